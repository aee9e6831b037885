package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What a client can put into HTTP/2 fields, which have a length and so may hold
// anything, must not become lines of the HTTP/1.1 that the backend gets.
func (c *smuggling) checkHTTP2(t *testing.T) {
	got := c.runHTTP2(t)
	if c.raced {
		if s := got.text(); got.end != c.want.end || strings.Contains(s, "\n|1 GET /smuggled") || strings.Contains(got.client, "smuggled") {
			t.Errorf("got\n%s", s)
		}
		return
	}
	if got.client != c.want.client || got.end != c.want.end || !slices.Equal(got.backend, c.want.backend) {
		t.Errorf("got\n%swant\n%s", got.text(), c.want.text())
	}
}

func (c *smuggling) settleHTTP2(t *testing.T) { c.want = c.runHTTP2(t) }

func (c *smuggling) runHTTP2(t *testing.T) (got outcome) {
	b := &scriptedBackend{}
	r, stop := launch(t, b.listen(t))
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	h := newRawHTTP2(nc)
	h.send(1, c.send)
	got.client = h.result(1)
	got.end = "closed"
	if !strings.HasPrefix(got.client, "goaway") {
		h.send(3, []string{":method: GET\r\n", ":scheme: http\r\n", ":authority: probe\r\n", ":path: /probe\r\n"})
		if h.result(3) == probeAnswer+"\n" {
			got.end = "open"
		}
	}
	nc.Close()
	stop()
	for _, conn := range b.seen(t) {
		got.backend = append(got.backend, abridgeRequests(conn, r.base))
	}
	return got
}

// rawHTTP2 is a client that checks nothing of what it sends.
type rawHTTP2 struct {
	framer *http2.Framer
	block  bytes.Buffer
	enc    *hpack.Encoder
}

func newRawHTTP2(nc net.Conn) *rawHTTP2 {
	h := &rawHTTP2{framer: http2.NewFramer(nc, nc)}
	h.enc = hpack.NewEncoder(&h.block)
	h.framer.AllowIllegalWrites = true
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, _ = io.WriteString(nc, http2.ClientPreface)
	_ = h.framer.WriteSettings()
	return h
}

// send sends a request: a line for each field, then, behind an empty one, the
// body, and behind "--" the trailers.
func (h *rawHTTP2) send(stream uint32, lines []string) {
	end := slices.Index(lines, "\r\n")
	if end < 0 {
		h.head(stream, h.fields(lines), true)
		return
	}
	h.head(stream, h.fields(lines[:end]), false)
	body, trailers := lines[end+1:], []string(nil)
	if i := slices.Index(body, "--\r\n"); i >= 0 {
		body, trailers = body[:i], body[i+1:]
	}
	_ = h.framer.WriteData(stream, trailers == nil, []byte(strings.Join(body, "")))
	if trailers != nil {
		h.head(stream, h.fields(trailers), true)
	}
}

// maxFrame is the largest frame that every peer takes (RFC 9113 section 4.2).
const maxFrame = 16 << 10

// head sends a field block in as many frames as it takes.
func (h *rawHTTP2) head(stream uint32, block []byte, end bool) {
	first := block[:min(len(block), maxFrame)]
	block = block[len(first):]
	_ = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for len(block) > 0 {
		next := block[:min(len(block), maxFrame)]
		block = block[len(next):]
		_ = h.framer.WriteContinuation(stream, len(block) == 0, next)
	}
}

func (h *rawHTTP2) fields(lines []string) []byte {
	h.block.Reset()
	for _, line := range lines {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\r\n"), ": ")
		_ = h.enc.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	return h.block.Bytes()
}

// result is what came of a stream: a status with the body, or how it ended.
func (h *rawHTTP2) result(stream uint32) string {
	status, body := "", ""
	for {
		f, err := h.framer.ReadFrame()
		if err != nil {
			return fmt.Sprintf("goaway without a word, %s\n", endOf(err))
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return fmt.Sprintf("goaway %v\n", f.ErrCode)
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return fmt.Sprintf("reset %v\n", f.ErrCode)
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID == stream {
				status = f.PseudoValue("status")
			}
		case *http2.DataFrame:
			if f.StreamID == stream {
				body += string(f.Data())
			}
		}
		if f.Header().StreamID != stream || !f.Header().Flags.Has(http2.FlagDataEndStream) {
			continue
		}
		if d := detail.FindStringSubmatch(body); d != nil {
			body = d[1]
		}
		return status + " " + strconv.QuoteToASCII(body) + "\n"
	}
}

func endOf(err error) string {
	if err == io.EOF {
		return "closed"
	}
	return "reset"
}
