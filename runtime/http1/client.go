package http1

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// ErrNoAnswer means that the connection ended before the first byte of a
// response.
var ErrNoAnswer = errors.New("the connection ended before an answer")

// Buffers are the memory that the idle connections of many Clients share. The
// zero value is ready to use.
type Buffers struct{ buffers }

// Client is one connection to an upstream. One goroutine uses it, or two: one
// that writes the request and one that reads the response.
type Client struct {
	nc  net.Conn
	raw syscall.RawConn
	lim Limits
	in  reader

	out       []byte
	chunked   bool // the request body is
	complete  bool // the request left whole
	wrote     bool
	keepAlive bool
	read      bool // a byte of the current response came
	upgraded  bool

	peekFn func(fd uintptr)
	stale  bool
}

// NewClient makes a client of a fresh connection, which it then owns.
func NewClient(nc net.Conn, lim Limits, b *Buffers) *Client {
	c := &Client{nc: nc, lim: lim.withDefaults(), keepAlive: true, complete: true}
	c.in.nc, c.in.pool = nc, &b.buffers
	c.in.body.done = true
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	c.peekFn = func(fd uintptr) {
		var p [1]byte
		n, _, err := syscall.Recvfrom(int(fd), p[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		c.stale = n >= 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	}
	return c
}

// WriteRequest sends the head of r and the first bytes of its body in one
// write. last tells that no body and no trailers follow. An error of a field
// that may not be sent leaves Wrote false.
func (c *Client) WriteRequest(r *exchange.Request, first []byte, last bool) error {
	c.wrote, c.complete, c.read = false, false, false
	c.in.reset()
	var err error
	if c.out, err = AppendRequest(c.out[:0], r); err != nil {
		return err
	}
	c.chunked = r.Length == exchange.Unknown
	return c.send(first, last)
}

// WriteBody sends bytes of the request body.
func (c *Client) WriteBody(p []byte) error {
	c.out = c.out[:0]
	return c.send(p, false)
}

func (c *Client) send(p []byte, last bool) error {
	if c.chunked {
		if len(p) > 0 {
			c.out = appendChunk(c.out, p)
			p = nil
		}
		if last {
			c.out = append(c.out, "0\r\n\r\n"...)
		}
	}
	if len(c.out) > 0 {
		c.out = append(c.out, p...)
		p = c.out
	}
	if len(p) == 0 {
		c.complete = c.complete || last
		return nil
	}
	n, err := c.nc.Write(p)
	c.wrote = c.wrote || n > 0
	if err == nil && last {
		c.complete = true
	}
	if cap(c.out) > largeBuffer {
		c.out = nil
	}
	return err
}

// EndBody completes the request. trailer may be nil and is sent only with a
// chunked body.
func (c *Client) EndBody(trailer *exchange.Head) error {
	if !c.chunked {
		c.complete = true
		return nil
	}
	var err error
	if c.out, err = appendTrailer(c.out[:0], trailer); err != nil {
		return err
	}
	if _, err = c.nc.Write(c.out); err == nil {
		c.complete = true
	}
	return err
}

// Wrote reports whether any byte of the current request reached the socket.
func (c *Client) Wrote() bool { return c.wrote }

// ReadResponse reads the head of a response to a request of the given method
// into r and sets its body. A 1xx response other than 101 is returned as any
// other; the caller then calls again. After os.ErrDeadlineExceeded it may be
// called again and goes on where it was.
func (c *Client) ReadResponse(method string, r *exchange.Response) error {
	in := &c.in
	if in.base > 0 { // behind an interim response
		in.reset()
	}
	for {
		if in.w > 0 {
			n, m, err := parseResponse(in.buf[:in.w], method, r, c.lim)
			if err != nil {
				c.keepAlive = false
				return err
			}
			if n > 0 {
				in.r, in.base = n, n
				c.begin(method, r, m)
				return nil
			}
		}
		if err := in.more(c.lim.MaxHeaderBytes); err != nil {
			if isTimeout(err) {
				return err
			}
			c.keepAlive = false
			switch {
			case in.w == 0:
				return errors.Join(ErrNoAnswer, err)
			case err == io.EOF:
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

// begin sets the body up.
func (c *Client) begin(method string, r *exchange.Response, m meta) {
	r.Body, r.Buffered, r.Whole = nil, nil, false
	r.Trailer.Reset(nil)
	if m.close {
		c.keepAlive = false
	}
	r.Close = false
	kind := bodyLength
	switch {
	case noContent(method, r.Status):
		kind = bodyNone
	case m.chunked:
		kind = bodyChunked
	case !m.hasLength:
		kind, c.keepAlive = bodyClose, false
	}
	b := &c.in.body
	b.start(&c.in, kind, m.length, &r.Trailer, c.lim)
	if !b.done {
		r.Body = b
	}
	c.upgraded = r.Status == 101
}

// SetReadDeadline bounds the reads from now on.
func (c *Client) SetReadDeadline(t time.Time) error { return c.nc.SetReadDeadline(t) }

// SetWriteDeadline bounds the writes from now on.
func (c *Client) SetWriteDeadline(t time.Time) error { return c.nc.SetWriteDeadline(t) }

// Stale reports whether an idle connection can't be used: its peer closed it,
// or sent what nobody asked for. It does not wait and costs a system call.
func (c *Client) Stale() bool {
	if c.raw == nil {
		return false
	}
	c.stale = false
	return c.raw.Control(c.peekFn) != nil || c.stale
}

// Reusable reports whether the connection may carry another request: both
// messages are complete, nothing is left over and the peer keeps it open.
func (c *Client) Reusable() bool {
	return c.keepAlive && c.complete && !c.upgraded && c.in.body.done && c.in.r == c.in.w && c.in.base > 0
}

// Park gives the memory back that an idle connection does not need.
func (c *Client) Park() {
	c.in.release()
	if cap(c.out) > smallBuffer {
		c.out = nil
	}
}

// Tunnel gives the connection away after a 101 response, with what was read
// behind its head.
func (c *Client) Tunnel() (nc net.Conn, read []byte) {
	read = append([]byte(nil), c.in.buf[c.in.r:c.in.w]...)
	_ = c.nc.SetDeadline(time.Time{})
	nc, c.nc = c.nc, closed{c.nc}
	return nc, read
}

// closed stands in for a connection that was given away.
type closed struct{ net.Conn }

func (closed) Close() error { return nil }

// Close closes the connection. It is safe to call while another goroutine
// reads or writes.
func (c *Client) Close() error { return c.nc.Close() }
