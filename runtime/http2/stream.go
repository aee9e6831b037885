package http2

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// stream is one request and the exchange.Front of its exchange.
type stream struct {
	x        exchange.Exchange
	w        http.ResponseWriter
	r        *http.Request
	control  *http.ResponseController
	timeouts *http1.Timeouts

	buf      []byte
	left     int64 // of a request body with a length; exchange.Unknown
	ended    bool
	err      error
	stopped  atomic.Bool
	state    state
	respLeft int64
	reset    bool
	code     exchange.ResetCode

	ahead    int // bytes in buf that were read to know whether there is a body
	aheadErr error
}

type state uint8

const (
	nothing state = iota
	head
	done
)

const bufferSize = 32 << 10

var (
	errLength = errors.New("the response body does not have its Content-Length")
	errOrder  = errors.New("the response is already complete")
	errStop   = errors.New("the request body is no longer read")
)

func (t *stream) begin(w http.ResponseWriter, r *http.Request, to *http1.Timeouts) {
	t.w, t.r, t.control, t.timeouts = w, r, http.NewResponseController(w), to
	t.ended, t.err, t.state, t.reset, t.code = false, nil, nothing, false, exchange.ResetInternal
	t.ahead, t.aheadErr = 0, nil
	t.stopped.Store(false)
}

func (t *stream) end() { t.w, t.r, t.control, t.timeouts = nil, nil, nil, nil }

// request fills the exchange from r. A status other than 0 refuses it.
func (t *stream) request(r *http.Request, lim *http1.Limits) (status int, reason string) {
	q := &t.x.Request
	q.Proto, q.Scheme, q.Method, q.Authority, q.Target = exchange.HTTP2, "http", r.Method, r.Host, r.RequestURI
	if t.x.Conn.TLS != nil {
		q.Scheme = "https"
	}
	if r.ProtoMajor == 3 {
		q.Proto = exchange.HTTP3
	}
	if status, reason := malformed(r); status != 0 {
		return status, reason
	}
	if q.Authority == "" {
		return 400, "the request has no authority"
	}
	if len(q.Target) > lim.MaxTarget {
		return 414, "the request target is too long"
	}
	for i := range len(q.Target) {
		if c := q.Target[i]; c <= 0x20 || c >= 0x7f || c == '#' {
			return 400, "the request target has an invalid byte"
		}
	}
	if q.Target == "" || q.Target[0] != '/' && (q.Target != "*" || r.Method != "OPTIONS") {
		return 400, "the request target has no valid form"
	}
	q.Path, q.RawQuery, _ = strings.Cut(q.Target, "?")
	n := 0
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		id := exchange.Classify(lower)
		if id == exchange.NameTE && len(values) == 1 && values[0] == "trailers" {
			q.Head.Add(lower, values[0])
			continue
		}
		if id.HopByHop() || id == exchange.NameHost || id == exchange.NameContentLength || exchange.Alias(lower) {
			continue
		}
		if id == exchange.NameCookie && len(values) > 1 { // RFC 9113 section 8.2.3
			values = []string{strings.Join(values, "; ")}
		}
		for _, v := range values {
			// RFC 9113 section 8.2.1: a value neither starts nor ends with space.
			// The upstream would take it off, and see what no filter saw.
			if !exchange.ValidName(lower) || !exchange.ValidValue(v) || strings.Trim(v, " \t") != v {
				return 400, "a header field is not valid"
			}
			q.Head.Add(lower, v)
			n++
		}
	}
	if n > lim.MaxHeaders {
		return 431, "the message has too many header fields"
	}
	q.Head.Add("host", r.Host)
	q.Length = r.ContentLength
	if q.Length < 0 && q.Proto == exchange.HTTP3 && bodiless(r.Method) {
		if err := t.peek(); err != nil {
			return 408, "the request did not end in time"
		}
	}
	if q.Length > 0 {
		q.Head.Add("content-length", strconv.FormatInt(q.Length, 10))
	}
	if q.Length != 0 {
		t.left = q.Length
		q.Body = t
	}
	return 0, ""
}

// Next implements exchange.Body for the request.
func (t *stream) Next() ([]byte, error) {
	if t.ended {
		return nil, io.EOF
	}
	if t.err != nil {
		return nil, t.err
	}
	if t.buf == nil {
		t.buf = make([]byte, bufferSize)
	}
	for {
		if t.stopped.Load() {
			return nil, errStop
		}
		_ = t.control.SetReadDeadline(t.deadline())
		n, err := t.read()
		if t.left > 0 {
			t.left -= int64(n)
		}
		switch {
		case err == io.EOF, t.left == 0 && err == nil && t.r.Trailer == nil:
			t.ended = true
			t.trailer()
			return t.buf[:n], io.EOF
		case err != nil:
			if t.stopped.Load() {
				err = errStop
			}
			t.err = err
			return nil, err
		case n > 0:
			return t.buf[:n], nil
		}
	}
}

// read reads into buf, beginning with what is there already.
func (t *stream) read() (int, error) {
	if n := t.ahead; n > 0 {
		t.ahead = 0
		return n, t.aheadErr
	}
	return t.r.Body.Read(t.buf)
}

func (t *stream) trailer() {
	for name, values := range t.r.Trailer {
		for _, v := range values {
			if v = strings.Trim(v, " \t"); exchange.ValidName(name) && exchange.ValidValue(v) && !exchange.ForbiddenTrailer(exchange.Classify(name), name) {
				t.x.Request.Trailer.Add(strings.ToLower(name), v)
			}
		}
	}
}

// Ready implements exchange.Body. The library does not tell what it has.
func (t *stream) Ready() bool { return t.ended || t.err != nil }

func (t *stream) deadline() time.Time {
	idle := t.timeouts.StreamIdle
	if idle <= 0 {
		idle = 5 * time.Minute
	}
	return time.Now().Add(idle)
}

// StopBody implements exchange.Front.
func (t *stream) StopBody() {
	t.stopped.Store(true)
	_ = t.control.SetReadDeadline(time.Unix(1, 0))
}

// Inform implements exchange.Front.
func (t *stream) Inform(status int, h *exchange.Head) error {
	if status < 100 || status > 199 || status == 100 || status == 101 {
		return nil
	}
	out := t.w.Header()
	copyHead(out, h)
	t.w.WriteHeader(status)
	clear(out)
	return nil
}

// copyHead adds what may be sent over HTTP/2 (RFC 9113 section 8.2).
func copyHead(out http.Header, h *exchange.Head) {
	for i := range h.Len() {
		id, name, value := h.At(i)
		if id.HopByHop() || id == exchange.NameContentLength || !exchange.ValidName(name) || !exchange.ValidValue(value) {
			continue
		}
		out.Add(string(name), string(value))
	}
}

// WriteHead implements exchange.Front.
func (t *stream) WriteHead() error {
	if t.state != nothing {
		return errOrder
	}
	r := &t.x.Response
	out := t.w.Header()
	copyHead(out, &r.Head)
	if out["Content-Type"] == nil {
		out["Content-Type"] = nil // keep the library from guessing one
	}
	t.respLeft = exchange.Unknown
	switch {
	case r.Status == 204 || r.Status == 304:
	case r.Body == nil && t.x.Request.Method != "HEAD":
		out.Set("Content-Length", "0")
	case r.Length >= 0:
		out.Set("Content-Length", strconv.FormatInt(r.Length, 10))
		t.respLeft = r.Length
	case r.Body == nil:
		out["Content-Length"] = nil // keep the library from telling 0 in answer to HEAD
	}
	if r.Body == nil {
		t.respLeft = exchange.Unknown
	}
	_ = t.control.SetWriteDeadline(t.deadline())
	t.w.WriteHeader(r.Status)
	t.state = head
	return nil
}

// Write implements exchange.Front.
func (t *stream) Write(p []byte, last bool) error {
	if t.state != head {
		return errOrder
	}
	if t.respLeft >= 0 {
		t.respLeft -= int64(len(p))
		if t.respLeft < 0 || last && t.respLeft > 0 {
			return errLength
		}
	}
	_ = t.control.SetWriteDeadline(t.deadline())
	if len(p) > 0 {
		if _, err := t.w.Write(p); err != nil {
			return err
		}
	}
	if last {
		t.state = done // leaves with the end of the stream
		return nil
	}
	return t.control.Flush()
}

// Flush implements exchange.Front.
func (t *stream) Flush() error {
	if t.state == nothing {
		return nil
	}
	return t.control.Flush()
}

// End implements exchange.Front.
func (t *stream) End(trailer *exchange.Head) error {
	if t.state == done {
		return nil
	}
	if t.respLeft > 0 {
		return errLength
	}
	t.state = done
	if trailer != nil {
		out := t.w.Header()
		for i := range trailer.Len() {
			if id, name, value := trailer.At(i); !id.HopByHop() && exchange.ValidName(name) && exchange.ValidValue(value) {
				out.Add(http.TrailerPrefix+string(name), string(value))
			}
		}
	}
	return nil
}

// Reset implements exchange.Front.
func (t *stream) Reset(code exchange.ResetCode) { t.reset, t.code = true, code }

// Gone implements exchange.Front.
func (t *stream) Gone() bool { return t.r.Context().Err() != nil }

// Tunnel implements exchange.Front; streams are no tunnels.
func (t *stream) Tunnel() (net.Conn, []byte, bool) { return nil, nil, false }

var _ exchange.Front = (*stream)(nil)
