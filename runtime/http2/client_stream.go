package http2

//lint:file-ignore SA1019 the framer has no successor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/net/http2"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// ClientStream carries one request over a connection that others share. One
// goroutine uses it, or two: one that writes the request and one that reads the
// response. http1.Client documents the methods that both have.
type ClientStream struct {
	c       *ClientConn
	arrived chan struct{} // for the reader
	room    chan struct{} // for the writer

	// The writer's.
	writeBy time.Time
	left    int64 // of a request with a length
	wrote   bool

	// The reader's.
	readBy   time.Time
	out      []byte // handed out by Next
	response *exchange.Response
	expected int64
	noBody   bool

	// Guarded by c.mu.
	id       uint32
	began    time.Time
	window   int64
	credit   int // what the peer may send
	owes     int // of it, not told yet
	in       []byte
	heads    []answerHead
	interim  int  // responses before the final one
	answered bool // a final head came
	trailer  []field
	ended    bool // the response is complete
	sent     bool // the request is
	wasReset bool
	told     bool // the upstream was sent a reset for what it did
	refused  bool
	closed   bool
	err      error
}

// answerHead is a head that was not read yet.
type answerHead struct {
	status int
	fields []field
	ended  bool
}

type field struct{ name, value string }

// maxInterim bounds the interim responses before a final one, as in HTTP/1.1,
// whether they are read quickly or not.
const maxInterim = 64

// fail ends the stream. c.mu is held.
func (s *ClientStream) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	signal(s.arrived)
	signal(s.room)
}

// headers takes a head or the trailers. It returns what the stream is to be reset
// for. c.mu is held.
func (s *ClientStream) headers(f *http2.MetaHeadersFrame) http2.ErrCode {
	fields := make([]field, 0, len(f.Fields))
	for _, hf := range f.RegularFields() {
		switch id := exchange.Classify(hf.Name); {
		case id.HopByHop() && id != exchange.NameTE && id != exchange.NameTrailer && id != exchange.NameProxyAuthenticate && id != exchange.NameProxyAuthorization:
			return s.malformed("a field of another protocol")
		default:
			fields = append(fields, field{hf.Name, hf.Value})
		}
	}
	if f.Truncated || len(fields) > s.c.lim.MaxHeaders {
		return s.malformed("too many header fields")
	}
	if s.answered {
		if len(f.PseudoFields()) > 0 || !f.StreamEnded() || s.ended {
			return s.malformed("trailers out of place")
		}
		s.trailer, s.ended = fields, true
		signal(s.arrived)
		return http2.ErrCodeNo
	}
	status, err := strconv.Atoi(f.PseudoValue("status"))
	if err != nil || status < 100 || status > 999 || status == 101 || status < 200 && f.StreamEnded() || len(f.PseudoFields()) > 1 {
		return s.malformed("no valid status")
	}
	if s.answered, s.ended = status >= 200, f.StreamEnded(); !s.answered {
		if s.interim++; s.interim > maxInterim {
			return s.malformed("interim responses without end")
		}
	}
	s.heads = append(s.heads, answerHead{status, fields, s.ended})
	signal(s.arrived)
	return http2.ErrCodeNo
}

func (s *ClientStream) malformed(what string) http2.ErrCode {
	s.fail(fmt.Errorf("%w: %s", errMessage, what))
	s.wasReset = true
	return http2.ErrCodeProtocol
}

// data takes a part of the body, whose frame had size bytes. c.mu is held.
func (s *ClientStream) data(p []byte, size int, end bool) http2.ErrCode {
	switch {
	case !s.answered || s.ended:
		return s.malformed("a body out of place")
	case size > s.credit:
		s.fail(fmt.Errorf("%w: more than the window takes", errMessage))
		s.wasReset = true
		return http2.ErrCodeFlowControl
	}
	s.credit -= size
	s.owes += size - len(p) // padding
	s.in = append(s.in, p...)
	s.ended = end
	signal(s.arrived)
	return http2.ErrCodeNo
}

// WriteRequest sends the head of r and the first bytes of its body.
func (s *ClientStream) WriteRequest(r *exchange.Request, first []byte, last bool) error {
	if err := sendable(r); err != nil {
		return err
	}
	s.left = r.Length
	c := s.c
	c.writing.Lock()
	if err := c.begin(s); err != nil {
		c.writing.Unlock()
		return err
	}
	s.wrote = true
	c.block.Reset()
	encodeRequest(c.enc, c.scheme, r)
	end := last && len(first) == 0
	if end {
		s.complete()
	}
	err := c.writeBlock(s.id, end)
	n := 0
	if err == nil && len(first) > 0 { // in one write with the head, if the windows allow it
		if n = s.grant(len(first)); n > 0 {
			err = s.writeData(first[:n], last && n == len(first))
		}
	}
	if err = c.flush(err); err != nil || n == len(first) {
		return err
	}
	if err = s.WriteBody(first[n:]); err == nil && last {
		err = s.EndBody(nil)
	}
	return err
}

// writeBlock writes the fields in c.block. writing is held.
func (c *ClientConn) writeBlock(id uint32, end bool) error {
	p := c.block.Bytes()
	n := min(len(p), 16<<10)
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p[:n], EndStream: end, EndHeaders: n == len(p)})
	for p = p[n:]; err == nil && len(p) > 0; p = p[n:] {
		n = min(len(p), 16<<10)
		err = c.framer.WriteContinuation(id, n == len(p), p[:n])
	}
	return err
}

// writeData writes what the windows granted. writing is held.
func (s *ClientStream) writeData(p []byte, last bool) error {
	s.c.mu.Lock()
	most := s.c.maxFrame
	s.c.mu.Unlock()
	if s.left >= 0 {
		if s.left -= int64(len(p)); s.left < 0 {
			return errLength
		}
	}
	if last {
		s.complete()
	}
	for {
		n := min(len(p), most)
		s.c.asked.Add(1)
		if err := s.c.framer.WriteData(s.id, last && n == len(p), p[:n]); err != nil {
			return err
		}
		if p = p[n:]; len(p) == 0 {
			return nil
		}
	}
}

func (s *ClientStream) complete() {
	s.c.mu.Lock()
	s.sent = true
	s.c.mu.Unlock()
}

// grant takes up to n bytes from the windows.
func (s *ClientStream) grant(n int) int {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	g := max(0, min(int64(n), s.window, s.c.window))
	s.window -= g
	s.c.window -= g
	return int(g)
}

// WriteBody sends bytes of the request body, as the peer's windows allow.
func (s *ClientStream) WriteBody(p []byte) error {
	if s.left >= 0 && int64(len(p)) > s.left {
		return errRequestLong
	}
	for len(p) > 0 {
		if err := s.over(); err != nil {
			return err
		}
		n := s.grant(len(p))
		if n == 0 {
			by := s.writeBy
			if by.IsZero() {
				by = time.Now().Add(stuckAfter)
			}
			if err := await(s.room, by); err != nil {
				return err
			}
			continue
		}
		s.c.writing.Lock()
		if err := s.c.flush(s.writeData(p[:n], false)); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

var (
	errRequestLong  = errors.New("the request body is longer than its Content-Length")
	errRequestShort = errors.New("the request body is shorter than its Content-Length")
)

// over returns why no more of the request is to be sent.
func (s *ClientStream) over() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.err
}

// EndBody completes the request. trailer may be nil.
func (s *ClientStream) EndBody(trailer *exchange.Head) error {
	c := s.c
	c.mu.Lock()
	sent, err := s.sent, s.err
	c.mu.Unlock()
	switch {
	case sent || err != nil:
		return err
	case s.left > 0:
		return errRequestShort
	}
	c.writing.Lock()
	s.complete()
	c.block.Reset()
	if encodeTrailer(c.enc, trailer) {
		return c.flush(c.writeBlock(s.id, true))
	}
	return c.flush(c.framer.WriteData(s.id, true, nil))
}

// Wrote reports whether the peer may have looked at the request. One that it
// refused may be repeated (RFC 9113 section 8.7).
func (s *ClientStream) Wrote() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.wrote && !s.refused
}

// ReadResponse reads the head of a response, interim ones too.
func (s *ClientStream) ReadResponse(method string, r *exchange.Response) error {
	if err := s.AwaitResponse(); err != nil {
		return err
	}
	s.c.mu.Lock()
	h := s.heads[0]
	s.heads = s.heads[1:]
	s.c.mu.Unlock()
	return s.begin(method, r, h)
}

// AwaitResponse waits until ReadResponse has a head to return.
func (s *ClientStream) AwaitResponse() error {
	for {
		s.c.mu.Lock()
		some, err, none := len(s.heads) > 0, s.err, s.c.err != nil
		s.c.mu.Unlock()
		switch {
		case some:
			return nil
		case err != nil && none:
			return errors.Join(http1.ErrNoAnswer, err)
		case err != nil:
			return err
		}
		if err := await(s.arrived, s.readBy); err != nil {
			return err
		}
	}
}

// begin makes h the response.
func (s *ClientStream) begin(method string, r *exchange.Response, h answerHead) error {
	r.Head.Reset(nil)
	r.Trailer.Reset(nil)
	r.Status, r.Upgrade, r.Close = h.status, "", false
	r.Body, r.Buffered, r.Whole, r.Length = nil, nil, false, exchange.Unknown
	for _, f := range h.fields {
		if f.name == "content-length" {
			n, err := strconv.ParseUint(f.value, 10, 63)
			if err != nil || r.Length >= 0 && r.Length != int64(n) {
				return fmt.Errorf("%w: Content-Length", errMessage)
			}
			r.Length = int64(n)
		}
		r.Head.Add(f.name, f.value)
	}
	s.response, s.expected = r, r.Length
	s.noBody = method == "HEAD" || h.status == 204 || h.status == 304 || h.status < 200
	switch {
	case h.ended && r.Length > 0 && !s.noBody:
		return fmt.Errorf("%w: the body is shorter than its Content-Length", errMessage)
	case h.ended:
		if !s.noBody || r.Length < 0 {
			r.Length = 0
		}
	case h.status >= 200:
		r.Body = s
	}
	return nil
}

// Next implements exchange.Body for the response.
func (s *ClientStream) Next() ([]byte, error) {
	s.c.mu.Lock()
	s.owes += len(s.out)
	s.out = s.out[:0]
	credit := s.owed()
	s.c.mu.Unlock()
	if credit > 0 {
		_ = s.c.answer(func(fr *http2.Framer) error { return fr.WriteWindowUpdate(s.id, credit) })
	}
	for {
		p, err, ok := s.take()
		if ok {
			return p, err
		}
		if err := await(s.arrived, s.readBy); err != nil {
			return nil, err
		}
	}
}

// owed returns what the peer is to be told of, once it is worth a frame. c.mu is
// held.
func (s *ClientStream) owed() uint32 {
	if s.owes < streamWindow/2 || s.ended || s.err != nil {
		return 0
	}
	n := s.owes
	s.credit += n
	s.owes = 0
	return uint32(n)
}

// take returns what came; ok is false if nothing did.
func (s *ClientStream) take() (p []byte, err error, ok bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.out, s.in = s.in, s.out
	if n := int64(len(s.out)); s.expected >= 0 && n > 0 {
		if s.expected -= n; s.expected < 0 || s.noBody {
			return nil, fmt.Errorf("%w: the body is longer than its Content-Length", errMessage), true
		}
	}
	switch {
	case s.ended:
		if s.expected > 0 && !s.noBody {
			return nil, fmt.Errorf("%w: the body is shorter than its Content-Length", errMessage), true
		}
		for _, f := range s.trailer {
			s.response.Trailer.Add(f.name, f.value)
		}
		s.trailer = nil
		return s.out, io.EOF, true
	case len(s.out) > 0:
		return s.out, nil, true
	case s.err != nil:
		return nil, s.err, true
	}
	return nil, nil, false
}

// Ready implements exchange.Body.
func (s *ClientStream) Ready() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return len(s.in) > 0 || s.ended || s.err != nil
}

// SetReadDeadline bounds ReadResponse and Next.
func (s *ClientStream) SetReadDeadline(t time.Time) error { s.readBy = t; return nil }

// SetWriteDeadline bounds the wait for the peer's windows.
func (s *ClientStream) SetWriteDeadline(t time.Time) error { s.writeBy = t; return nil }

// Reusable reports whether the stream may carry another request, which none may.
func (s *ClientStream) Reusable() bool { return false }

// Park does nothing.
func (s *ClientStream) Park() {}

// Tunnel gives nothing away: there are no upgrades in HTTP/2.
func (s *ClientStream) Tunnel() (nc net.Conn, read []byte) { return nil, nil }

// Close ends the request. One that is not complete is reset.
func (s *ClientStream) Close() error {
	c := s.c
	c.mu.Lock()
	if s.closed {
		c.mu.Unlock()
		return nil
	}
	s.closed = true
	reset := s.id != 0 && c.err == nil && !s.wasReset && !(s.sent && s.ended)
	code := http2.ErrCodeCancel
	if s.ended {
		code = http2.ErrCodeNo
	}
	if reset && !s.answered && c.heard.Before(s.began) {
		c.leaving = true // a peer that is silent altogether gets no more requests
	}
	s.fail(errGivenUp)
	last := c.done(s)
	c.mu.Unlock()
	if reset {
		_ = c.answer(func(fr *http2.Framer) error { return fr.WriteRSTStream(s.id, code) })
	}
	if last {
		c.fail(errConnOver)
	}
	return nil
}

// await waits for a signal, until by unless that is zero.
func await(ch chan struct{}, by time.Time) error {
	if by.IsZero() {
		<-ch
		return nil
	}
	d := time.Until(by)
	if d <= 0 {
		select {
		case <-ch:
			return nil
		default:
			return os.ErrDeadlineExceeded
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ch:
		return nil
	case <-t.C:
		return os.ErrDeadlineExceeded
	}
}
