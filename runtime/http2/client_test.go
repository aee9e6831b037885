package http2_test

//lint:file-ignore SA1019 the framer has no successor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/http2"
)

// peer is an upstream that answers each request with frames of its choice.
type peer struct {
	net.Conn
	*xhttp2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
}

func (p *peer) head(id uint32, end bool, fields ...string) {
	p.block.Reset()
	for _, f := range fields {
		i := strings.LastIndex(f, ": ")
		_ = p.enc.WriteField(hpack.HeaderField{Name: f[:i], Value: f[i+2:]})
	}
	_ = p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndHeaders: true, EndStream: end})
}

// upstreamConn returns a connection to a peer that runs answer for each request,
// and the errors that the peer was told of.
func upstreamConn(t *testing.T, answer func(p *peer, id uint32)) (*http2.ClientConn, chan xhttp2.ErrCode) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	codes := make(chan xhttp2.ErrCode, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(codes)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		p := &peer{Conn: nc, Framer: xhttp2.NewFramer(nc, nc)}
		p.enc = hpack.NewEncoder(&p.block)
		p.AllowIllegalWrites = true
		_, _ = io.ReadFull(nc, make([]byte, len(xhttp2.ClientPreface)))
		_ = p.WriteSettings()
		for {
			f, err := p.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *xhttp2.HeadersFrame:
				answer(p, f.StreamID)
			case *xhttp2.RSTStreamFrame:
				tell(codes, f.ErrCode)
			case *xhttp2.GoAwayFrame:
				tell(codes, f.ErrCode)
			}
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := http2.NewClientConn(nc, "http", http1.Limits{MaxHeaders: 10})
	t.Cleanup(func() {
		c.Leave()
		nc.Close()
		l.Close()
		<-done
	})
	return c, codes
}

// flood writes frames until the connection ends.
func (p *peer) flood(write func() error) {
	go func() {
		for range 1 << 20 {
			if write() != nil {
				return
			}
		}
	}()
}

// tell keeps what fits: nobody may wait for more.
func tell(codes chan xhttp2.ErrCode, code xhttp2.ErrCode) {
	select {
	case codes <- code:
	default:
	}
}

// fetch sends a GET and returns the answer, its body and the first error.
func fetch(c *http2.ClientConn, method string) (r *exchange.Response, body string, s *http2.ClientStream, err error) {
	r = &exchange.Response{}
	if s = c.Open(); s == nil {
		return r, "", nil, errors.New("no stream")
	}
	defer s.Close()
	q := &exchange.Request{Method: method, Authority: "a", Path: "/"}
	_ = s.SetReadDeadline(time.Now().Add(5 * time.Second))
	if err = s.WriteRequest(q, nil, true); err != nil {
		return r, "", s, err
	}
	for {
		if err = s.ReadResponse(method, r); err != nil || r.Status >= 200 {
			break
		}
	}
	if err == nil && r.Body != nil {
		for err == nil {
			var p []byte
			p, err = r.Body.Next()
			body += string(p)
		}
		if err == io.EOF {
			err = nil
		}
	}
	return r, body, s, err
}

func TestUpstreamAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		method string
		answer func(p *peer, id uint32)
		body   string
		broken bool
		code   xhttp2.ErrCode // that the peer is told
		repeat bool
	}{
		{name: "whole", answer: func(p *peer, id uint32) {
			p.head(id, false, ":status: 200", "content-length: 5")
			_ = p.WriteDataPadded(id, true, []byte("hello"), make([]byte, 9))
		}, body: "hello"},
		{name: "interim", answer: func(p *peer, id uint32) {
			p.head(id, false, ":status: 103", "link: x")
			p.head(id, false, ":status: 100")
			p.head(id, true, ":status: 200")
		}},
		{name: "HEAD", method: "HEAD", answer: func(p *peer, id uint32) { p.head(id, true, ":status: 200", "content-length: 5") }},
		{name: "shorter than its length", answer: func(p *peer, id uint32) {
			p.head(id, false, ":status: 200", "content-length: 5")
			_ = p.WriteData(id, true, []byte("hell"))
		}, broken: true},
		{name: "longer than its length", answer: func(p *peer, id uint32) {
			p.head(id, false, ":status: 200", "content-length: 5")
			_ = p.WriteData(id, true, []byte("hello!"))
		}, broken: true},
		{name: "no body, but a length", answer: func(p *peer, id uint32) { p.head(id, true, ":status: 200", "content-length: 5") }, broken: true},
		{name: "two lengths", answer: func(p *peer, id uint32) {
			p.head(id, false, ":status: 200", "content-length: 5", "content-length: 6")
			_ = p.WriteData(id, true, []byte("hello"))
		}, broken: true},
		{name: "no status", answer: func(p *peer, id uint32) { p.head(id, true, "x-a: b") }, broken: true, code: xhttp2.ErrCodeProtocol},
		{name: "status 101", answer: func(p *peer, id uint32) { p.head(id, false, ":status: 101") }, broken: true, code: xhttp2.ErrCodeProtocol},
		{name: "upper case", answer: func(p *peer, id uint32) { p.head(id, true, ":status: 200", "X-A: b") }, broken: true, code: xhttp2.ErrCodeProtocol},
		{name: "a line break", answer: func(p *peer, id uint32) { p.head(id, true, ":status: 200", "x-a: b\r\nc: d") }, broken: true, code: xhttp2.ErrCodeProtocol},
		{name: "a connection field", answer: func(p *peer, id uint32) { p.head(id, true, ":status: 200", "transfer-encoding: chunked") }, broken: true, code: xhttp2.ErrCodeProtocol},
		{name: "too many fields", answer: func(p *peer, id uint32) {
			p.head(id, true, append([]string{":status: 200"}, strings.Split(strings.Repeat("x-a: b\n", 11), "\n")[:11]...)...)
		}, broken: true, code: xhttp2.ErrCodeProtocol},
		{name: "a body ahead of the head", answer: func(p *peer, id uint32) { _ = p.WriteData(id, true, []byte("x")) }, broken: true, code: xhttp2.ErrCodeProtocol},
		{name: "a promise", answer: func(p *peer, id uint32) {
			_ = p.WritePushPromise(xhttp2.PushPromiseParam{StreamID: id, PromiseID: 2, EndHeaders: true})
		}, broken: true, code: xhttp2.ErrCodeProtocol},
		{name: "a stream that never was", answer: func(p *peer, id uint32) { p.head(id+2, true, ":status: 200") }, broken: true, code: xhttp2.ErrCodeProtocol},
		{name: "more than the window", answer: func(p *peer, id uint32) {
			p.head(id, false, ":status: 200")
			for range 40 {
				_ = p.WriteData(id, false, make([]byte, 16<<10))
			}
		}, method: "SLOW", broken: true, code: xhttp2.ErrCodeFlowControl},
		{name: "empty data", answer: func(p *peer, id uint32) {
			p.head(id, false, ":status: 200")
			p.flood(func() error { return p.WriteData(id, false, nil) })
		}, broken: true, code: xhttp2.ErrCodeEnhanceYourCalm},
		{name: "settings", answer: func(p *peer, _ uint32) { p.flood(func() error { return p.WriteSettings() }) }, broken: true, code: xhttp2.ErrCodeEnhanceYourCalm},
		{name: "pings", answer: func(p *peer, _ uint32) {
			p.flood(func() error { return p.WritePing(false, [8]byte{}) })
		}, broken: true, code: xhttp2.ErrCodeEnhanceYourCalm},
		{name: "unknown frames", answer: func(p *peer, _ uint32) {
			p.flood(func() error { return p.WriteRawFrame(0x77, 0, 0, nil) })
		}, broken: true, code: xhttp2.ErrCodeEnhanceYourCalm},
		{name: "credit by the byte", answer: func(p *peer, _ uint32) {
			p.flood(func() error { return p.WriteWindowUpdate(0, 1) })
		}, broken: true, code: xhttp2.ErrCodeEnhanceYourCalm},
		{name: "reset", answer: func(p *peer, id uint32) { _ = p.WriteRSTStream(id, xhttp2.ErrCodeInternal) }, broken: true},
		{name: "refused", answer: func(p *peer, id uint32) { _ = p.WriteRSTStream(id, xhttp2.ErrCodeRefusedStream) }, broken: true, repeat: true},
		{name: "going away before it", answer: func(p *peer, _ uint32) { _ = p.WriteGoAway(0, xhttp2.ErrCodeNo, nil) }, broken: true, repeat: true},
		{name: "going away behind it", answer: func(p *peer, id uint32) {
			_ = p.WriteGoAway(id, xhttp2.ErrCodeNo, nil)
			p.head(id, true, ":status: 200")
		}},
		{name: "closed", answer: func(p *peer, _ uint32) { p.Close() }, broken: true},
		{name: "a window too wide", answer: func(p *peer, _ uint32) { _ = p.WriteWindowUpdate(0, 1<<31-1) }, broken: true, code: xhttp2.ErrCodeFlowControl},
		{name: "a stream's window too wide", answer: func(p *peer, id uint32) { _ = p.WriteWindowUpdate(id, 1<<31-1) }, broken: true, code: xhttp2.ErrCodeFlowControl},
		{name: "a first window too wide", answer: func(p *peer, _ uint32) {
			_ = p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 31})
		}, broken: true, code: xhttp2.ErrCodeFlowControl},
		{name: "a frame too large", answer: func(p *peer, id uint32) {
			_ = p.WriteRawFrame(xhttp2.FrameHeaders, xhttp2.FlagHeadersEndHeaders, id, make([]byte, 16<<10+1))
		}, broken: true},
		{name: "fields that can't be decoded", answer: func(p *peer, id uint32) {
			_ = p.WriteRawFrame(xhttp2.FrameHeaders, xhttp2.FlagHeadersEndHeaders, id, []byte{0xff, 0xff, 0xff, 0xff})
		}, broken: true, code: xhttp2.ErrCodeCompression},
		{name: "a head without end", answer: func(p *peer, id uint32) {
			_ = p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id})
			p.flood(func() error { return p.WriteContinuation(id, false, nil) })
		}, broken: true, code: xhttp2.ErrCodeEnhanceYourCalm},
		{name: "interim without end", answer: func(p *peer, id uint32) {
			for range 1000 {
				p.head(id, false, ":status: 103")
			}
		}, broken: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, codes := upstreamConn(t, c.answer)
			method := c.method
			if method == "" {
				method = "GET"
			}
			if method == "SLOW" {
				s := conn.Open()
				_ = s.WriteRequest(&exchange.Request{Method: "GET", Authority: "a", Path: "/"}, nil, true)
				if code := <-codes; code != c.code {
					t.Errorf("the peer was told %v", code)
				}
				s.Close()
				return
			}
			_, body, s, err := fetch(conn, method)
			if (err != nil) != c.broken || err == nil && body != c.body || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %q %v", body, err)
			}
			if s != nil && c.repeat == s.Wrote() {
				t.Errorf("may be repeated: %v", !s.Wrote())
			}
			if c.code != xhttp2.ErrCodeNo {
				select {
				case code, told := <-codes:
					// The end of a connection may overtake what was said last.
					if told && code != c.code {
						t.Errorf("the peer was told %v, want %v", code, c.code)
					}
				case <-time.After(5 * time.Second):
					t.Error("the peer was told nothing")
				}
			}
		})
	}
}
