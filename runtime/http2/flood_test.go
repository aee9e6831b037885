package http2_test

//lint:file-ignore SA1019 the framer has no successor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// raw is a client that sends any frame.
type raw struct {
	net.Conn
	*xhttp2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
	seen  chan error // how the connection ended
	calm  atomic.Bool
}

func dialRaw(t *testing.T, url string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { nc.Close() })
	r := &raw{Conn: nc, Framer: xhttp2.NewFramer(nc, nc), seen: make(chan error, 1)}
	r.enc = hpack.NewEncoder(&r.block)
	r.AllowIllegalWrites = true
	_, _ = io.WriteString(nc, xhttp2.ClientPreface)
	_ = r.WriteSettings()
	go func() {
		for {
			f, err := r.ReadFrame()
			if err != nil {
				r.seen <- err
				return
			}
			if g, ok := f.(*xhttp2.GoAwayFrame); ok && g.ErrCode == xhttp2.ErrCodeEnhanceYourCalm {
				r.calm.Store(true)
			}
		}
	}()
	return r
}

func (r *raw) fields() []byte {
	r.block.Reset()
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}} {
		_ = r.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return r.block.Bytes()
}

// What costs the sender nothing ends its connection, while others are served.
func TestFloods(t *testing.T) {
	var served atomic.Int64
	client, url, _ := serve(t, handler(func(x *exchange.Exchange) {
		served.Add(1)
		x.Reply(200, "", []byte("fine"))
		_ = x.Front.WriteHead()
		_ = x.Front.Write(x.Response.Buffered, true)
	}), http1.Limits{})
	for name, flood := range map[string]func(r *raw, i uint32) error{
		"rapid reset": func(r *raw, i uint32) error {
			id := 2*i + 1
			_ = r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: r.fields(), EndHeaders: true, EndStream: true})
			return r.WriteRSTStream(id, xhttp2.ErrCodeCancel)
		},
		"provoked resets": func(r *raw, i uint32) error { // CVE-2025-8671
			id := 2*i + 1
			_ = r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: r.fields(), EndHeaders: true})
			return r.WriteWindowUpdate(id, 1<<31-1)
		},
		"malformed requests": func(r *raw, i uint32) error {
			r.block.Reset()
			_ = r.enc.WriteField(hpack.HeaderField{Name: "X", Value: "y"})
			return r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: r.block.Bytes(), EndHeaders: true, EndStream: true})
		},
		"settings": func(r *raw, _ uint32) error { return r.WriteSettings() },
		"pings":    func(r *raw, _ uint32) error { return r.WritePing(false, [8]byte{}) },
		"priorities": func(r *raw, i uint32) error {
			return r.WritePriority(2*i+1, xhttp2.PriorityParam{Weight: 1})
		},
		"empty data": func(r *raw, i uint32) error {
			if i == 0 {
				_ = r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields(), EndHeaders: true})
			}
			return r.WriteData(1, false, nil)
		},
		"padding": func(r *raw, i uint32) error {
			if i == 0 {
				_ = r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields(), EndHeaders: true})
			}
			return r.WriteDataPadded(1, false, nil, make([]byte, 1))
		},
		"unknown frames": func(r *raw, _ uint32) error { return r.WriteRawFrame(0x77, 0, 0, nil) },
		"pings that unknown frames pay for": func(r *raw, _ uint32) error {
			_ = r.WriteRawFrame(0x77, 0, 0, nil)
			_ = r.WriteRawFrame(0x77, 0, 0, nil)
			return r.WritePing(false, [8]byte{})
		},
		"empty continuations": func(r *raw, i uint32) error {
			if i == 0 {
				return r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields()})
			}
			return r.WriteContinuation(1, false, nil)
		},
		"endless continuations": func(r *raw, i uint32) error {
			if i == 0 {
				return r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields()})
			}
			r.block.Reset()
			_ = r.enc.WriteField(hpack.HeaderField{Name: "x-large", Value: strings.Repeat("v", 8<<10), Sensitive: true})
			return r.WriteContinuation(1, false, r.block.Bytes())
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, url)
			sent := uint32(0)
			for ; sent < 200_000; sent++ {
				if flood(r, sent) != nil {
					break
				}
				if sent%1000 == 0 {
					if res, err := client.Get(url); err != nil || res.StatusCode != 200 {
						t.Fatalf("another client is not served: %v", err)
					} else {
						res.Body.Close()
					}
				}
			}
			if sent == 200_000 {
				t.Error("nothing stopped the flood")
			}
			if err := <-r.seen; errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection is open: %v", err)
			}
		})
	}
	if n := served.Load(); n > 20_000 {
		t.Errorf("%d requests were served", n)
	}
}

// Fields that do not end are not waited for.
func TestSlowFields(t *testing.T) {
	_, url, _ := serveWithin(t, handler(echo), http1.Limits{}, http1.Timeouts{Header: 100 * time.Millisecond})
	r := dialRaw(t, url)
	_ = r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields()[:2]})
	if err := <-r.seen; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is open")
	}
}

// A client that cancels some of its requests is none that floods.
func TestCancelsAreNoFlood(t *testing.T) {
	_, url, _ := serve(t, handler(func(x *exchange.Exchange) {
		x.Reply(204, "", nil)
		_ = x.Front.WriteHead()
		_ = x.Front.End(nil)
	}), http1.Limits{})
	r := dialRaw(t, url)
	for i := range uint32(6000) {
		id := 2*i + 1
		if err := r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: r.fields(), EndHeaders: true, EndStream: true}); err != nil {
			t.Fatal(i, err)
		}
		if i%4 == 0 {
			_ = r.WriteRSTStream(id, xhttp2.ErrCodeCancel)
		}
	}
	select {
	case err := <-r.seen:
		t.Error(err, r.calm.Load())
	case <-time.After(100 * time.Millisecond):
	}
}

// New settings hold for new connections, and drains reach those of the old ones.
func TestConfigure(t *testing.T) {
	_, url, s := serve(t, handler(echo), http1.Limits{})
	old := dialRaw(t, url)
	_ = old.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: old.fields(), EndHeaders: true}) // a stream that stays open
	_ = old.WritePing(false, [8]byte{1})
	s.Configure(http1.Limits{}, http1.Timeouts{Idle: 50 * time.Millisecond})
	late := dialRaw(t, url)
	if err := <-late.seen; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("an idle connection is open after the new idle time")
	}
	select {
	case err := <-old.seen:
		t.Error("the old connection ended:", err)
	default:
	}
	s.Drain()
	_ = old.WriteData(1, true, nil)
	if err := <-old.seen; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the drain did not reach the old connection")
	}
}
