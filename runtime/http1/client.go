package http1

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// ErrNoAnswer means that the connection ended before the first byte of a
// response.
var ErrNoAnswer = errors.New("the connection ended before an answer")

var (
	errStale        = errors.New("the idle connection was closed, or holds bytes that nobody asked for")
	errRequestShort = errors.New("the request body is shorter than its Content-Length")
	errRequestLong  = errors.New("the request body is longer than its Content-Length")
	errOver         = errors.New("the response is over, and its connection with it")
	errInterim      = errors.New("the upstream sends interim responses without end")
)

// Buffers are the memory that the idle connections of many Clients share. The
// zero value is ready to use.
type Buffers struct{ buffers }

// Client is one connection to an upstream. One goroutine uses it, or two: one
// that writes the request and one that reads the response.
type Client struct {
	nc     net.Conn
	peeker peeker
	lim    Limits

	// turn sends a small request together with the read of its response.
	turn turn
	used bool // for an earlier request

	// The writer's side.
	out      output
	framing  bodyKind
	left     int64 // of a request body with a length
	complete bool  // the request left whole
	wrote    bool
	bounded  bool // by a write deadline

	// A write that meets a reset takes the news of it: a read then finds an end.
	writing sync.Mutex // held while a body is written, guards reset
	reset   bool
	over    atomic.Bool // the response: nothing is written any more

	// The reader's side.
	in           reader
	keepAlive    bool
	answered     bool // a final head came
	interim      int  // responses before it
	readBy, want time.Time
	limited      io.LimitedReader // what Pipe reads
}

// NewClient makes a client of a fresh connection, which it then owns.
func NewClient(nc net.Conn, lim Limits, b *Buffers) *Client {
	c := &Client{nc: nc, lim: lim.withDefaults(), keepAlive: true, complete: true, answered: true}
	c.in.src, c.in.pool, c.out.pool = c, &b.buffers, &b.buffers
	c.in.body.done = true
	c.out.begin(nc)
	c.peeker.begin(rawConn(below(nc)))
	c.turn.begin(c)
	return c
}

// WriteRequest sends the head of r and the first bytes of its body in one
// write. last tells that no body and no trailers follow; a small request may then
// leave as late as with ReadResponse, and first must stay as it is until then.
//
// Wrote is false after an error of a head that may not be sent, and of an idle
// connection that its peer closed, or sent on what nobody asked for. Each use of
// an idle connection finds out.
func (c *Client) WriteRequest(r *exchange.Request, first []byte, last bool) error {
	c.wrote, c.complete, c.answered, c.interim = false, false, false, 0
	c.in.reset()
	c.out.hold()
	var err error
	if c.out.buf, err = AppendRequest(c.out.buf[:0], r); err != nil {
		c.out.buf = c.out.buf[:0]
		return err
	}
	c.framing, c.left = bodyLength, r.Length
	if r.Length == exchange.Unknown {
		c.framing = bodyChunked
	}
	used := c.used
	c.used = true
	if last && c.framing == bodyLength && int64(len(first)) == c.left && c.turn.hold(first, used) {
		c.complete = true
		return nil
	}
	if used && c.Stale() {
		return c.stale()
	}
	return c.send(first, last)
}

func (c *Client) stale() error {
	c.keepAlive = false
	return errStale
}

// WriteBody sends bytes of the request body.
func (c *Client) WriteBody(p []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.over.Load() {
		return errOver
	}
	return c.send(p, false)
}

func (c *Client) send(p []byte, last bool) error {
	if c.framing == bodyLength {
		if int64(len(p)) > c.left {
			return errRequestLong
		}
		if c.left -= int64(len(p)); last && c.left > 0 {
			return errRequestShort
		}
	}
	n, err := c.out.send(p, c.framing == bodyChunked, last)
	c.wrote = c.wrote || n > 0
	c.complete = err == nil && last
	c.failed(err)
	return err
}

// failed takes note of a failed write.
func (c *Client) failed(err error) {
	if err != nil && errors.Is(err, syscall.ECONNRESET) {
		c.reset = true
	}
}

// wasReset tells, when a read found the end of the response, whether the peer
// reset the connection instead. The response is over in any case, so that the
// rest of the request need not leave any more.
func (c *Client) wasReset() bool {
	c.over.Store(true)
	_ = c.nc.SetWriteDeadline(past) // wakes a write that began before
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.reset
}

// EndBody completes the request. trailer may be nil and is sent only with a
// chunked body.
func (c *Client) EndBody(trailer *exchange.Head) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.complete {
		return nil
	}
	if c.over.Load() {
		return errOver
	}
	if c.framing == bodyLength && c.left > 0 {
		return errRequestShort
	}
	if c.framing == bodyChunked {
		c.out.hold()
		var err error
		if c.out.buf, err = appendTrailer(c.out.buf, trailer); err != nil {
			return err
		}
	}
	_, err := c.out.flush()
	c.complete = err == nil
	c.failed(err)
	return err
}

// Wrote reports whether any byte of the current request reached the socket. Of
// a request that left with ReadResponse it tells after that.
func (c *Client) Wrote() bool { return c.wrote }

// maxInterim bounds the interim responses before a final one.
const maxInterim = 64

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
			n, m, err := parseResponse(in.buf[:in.w], in.seen, method, r, c.lim)
			if err != nil {
				c.keepAlive = false
				return err
			}
			if n > 0 {
				in.r, in.base = n, n
				return c.begin(method, r, m)
			}
		}
		if err := c.moreHead(); err != nil {
			return err
		}
	}
}

// AwaitResponse waits until ReadResponse has something to begin with.
func (c *Client) AwaitResponse() error {
	if c.in.base > 0 {
		c.in.reset()
	}
	if c.in.w > 0 {
		return nil
	}
	return c.moreHead()
}

// moreHead reads more of the head of a response.
func (c *Client) moreHead() error {
	in := &c.in
	err := in.more()
	if err == nil || isTimeout(err) {
		return err
	}
	c.keepAlive = false
	switch {
	case err == errStale:
		return err
	case in.w == 0 && c.interim == 0:
		return errors.Join(ErrNoAnswer, err)
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// begin sets the body up.
func (c *Client) begin(method string, r *exchange.Response, m meta) error {
	r.Body, r.Buffered, r.Whole = nil, nil, false
	r.Trailer.Reset(nil)
	if r.Close {
		c.keepAlive = false
	}
	// From here on it is about the client's connection, which goes on.
	r.Close = false
	kind := bodyLength
	switch {
	case noContent(method, r.Status):
		kind = bodyNone
	case m.chunked:
		kind = bodyChunked
	case !m.hasLength:
		kind = bodyClose
	}
	b := &c.in.body
	b.start(&c.in, kind, m.length, &r.Trailer, c.lim)
	if !b.done {
		r.Body = b
	}
	if r.Status == 101 {
		c.answered, c.keepAlive = true, false
	} else if c.answered = r.Status >= 200; !c.answered {
		if c.interim++; c.interim > maxInterim {
			c.keepAlive = false
			return errInterim
		}
	}
	return nil
}

// SetReadDeadline bounds the reads from now on. It belongs to the reader.
func (c *Client) SetReadDeadline(t time.Time) error {
	// Moving a deadline takes a lock in the runtime. One that is only a little
	// early stays, and read moves it if it passes.
	const early = 900 * time.Millisecond
	c.want = t
	if !c.readBy.IsZero() && !t.IsZero() && !c.readBy.After(t) && t.Sub(c.readBy) < early {
		return nil
	}
	c.readBy = t
	return c.nc.SetReadDeadline(t)
}

// read implements source.
func (c *Client) read(p []byte) (int, error) {
	for {
		n, err := c.readOnce(p)
		if n > 0 || !isTimeout(err) || c.readBy.Equal(c.want) {
			return n, err
		}
		c.readBy = c.want
		if err := c.nc.SetReadDeadline(c.want); err != nil {
			return 0, err
		}
	}
}

func (c *Client) readOnce(p []byte) (int, error) {
	if c.turn.held {
		return c.turn.take(p)
	}
	return c.nc.Read(p)
}

// SetWriteDeadline bounds the writes from now on, until Park.
func (c *Client) SetWriteDeadline(t time.Time) error {
	c.bounded = !t.IsZero()
	return c.nc.SetWriteDeadline(t)
}

// Stale reports whether an idle connection can't be used: its peer closed it,
// or sent what nobody asked for. It does not wait and costs a system call.
func (c *Client) Stale() bool { return c.in.r != c.in.w || c.peeker.look() != lookQuiet }

// Reusable reports whether the connection may carry another request: both
// messages are complete, nothing is left over and the peer keeps it open.
func (c *Client) Reusable() bool {
	return c.keepAlive && c.complete && c.answered && c.in.body.done && c.in.r == c.in.w
}

// Park makes an idle connection wait at no cost: it gives the memory back and
// lifts the write deadline. The head and the body of the last response are not
// valid afterwards.
func (c *Client) Park() {
	if c.in.r == c.in.w {
		c.in.release()
	}
	c.out.release()
	if c.bounded { // a deadline that is over would fail the next request
		_ = c.SetWriteDeadline(time.Time{})
	}
}

// Tunnel gives the connection away after a 101 response, with what was read
// behind its head.
func (c *Client) Tunnel() (nc net.Conn, read []byte) {
	read = append([]byte(nil), c.in.buf[c.in.r:c.in.w]...)
	_ = c.nc.SetDeadline(time.Time{})
	nc, c.nc = c.nc, given{c.nc}
	return nc, read
}

// given stands in for a connection that was given away.
type given struct{ net.Conn }

func (given) Close() error { return nil }

// Close closes the connection. It is safe to call while another goroutine
// reads or writes.
func (c *Client) Close() error { return c.nc.Close() }
