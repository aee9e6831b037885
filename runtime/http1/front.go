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

// serverConn is one connection of a server and the exchange.Front of its
// current exchange.
type serverConn struct {
	s    *Server
	nc   net.Conn
	raw  syscall.RawConn // nil if there is no descriptor to look at
	info *exchange.Conn
	set  *settings
	in   reader
	x    exchange.Exchange
	idle atomic.Bool

	out     []byte // what WriteHead keeps back
	state   writeState
	framing bodyKind
	left    int64 // of a body with a length
	http10  bool
	closing bool // this is the connection's last response
	tunnel  bool

	// A request body may be read by another goroutine than the one that writes.
	mu       sync.Mutex // guards continued and headSent while expect is set
	expect   bool
	headSent bool
	bodyDone atomic.Bool
	stopped  atomic.Bool

	readDeadline, writeDeadline time.Time
	peekFn                      func(fd uintptr)
	gone                        bool
}

type writeState uint8

const (
	writeNothing writeState = iota
	writeBody
	writeDone
)

var (
	errShort = errors.New("the response body is shorter than its Content-Length")
	errLong  = errors.New("the response body is longer than its Content-Length")
	errOrder = errors.New("the response is already complete")
	errStop  = errors.New("the request body is no longer read")
)

func (c *serverConn) begin(nc net.Conn, info *exchange.Conn) {
	c.nc, c.info, c.in.nc = nc, info, nc
	c.raw = nil
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	c.closing, c.tunnel = false, false
	c.readDeadline, c.writeDeadline = time.Time{}, time.Time{}
}

func (c *serverConn) end() {
	if !c.tunnel {
		c.nc.Close()
	}
	c.in.release()
	c.x.Reset(nil, nil, nil)
	if cap(c.out) > smallBuffer {
		c.out = nil
	}
	c.nc, c.raw, c.info, c.in.nc = nil, nil, nil, nil
}

// start prepares the response side and the body of the request just parsed.
func (c *serverConn) start(m meta) {
	r := &c.x.Request
	c.out, c.state, c.left = c.out[:0], writeNothing, 0
	c.http10 = r.Proto == exchange.HTTP10
	if m.close || c.http10 && !m.keepAlive {
		c.closing = true
	}
	c.expect, c.headSent = m.expect && !c.http10, false
	c.stopped.Store(false)
	kind := bodyLength
	if m.chunked {
		kind = bodyChunked
	}
	b := &c.in.body
	b.start(&c.in, kind, m.length, &r.Trailer, c.set.lim)
	c.bodyDone.Store(b.done)
	if !b.done {
		r.Body = c
	}
}

// Next implements exchange.Body for the request.
func (c *serverConn) Next() ([]byte, error) {
	b := &c.in.body
	if c.stopped.Load() {
		return nil, errStop
	}
	if !b.Ready() {
		if err := c.proceed(); err != nil {
			return nil, err
		}
		_ = c.nc.SetReadDeadline(time.Now().Add(c.set.to.StreamIdle))
		if c.stopped.Load() { // StopBody came in between
			_ = c.nc.SetReadDeadline(past)
		}
		c.readDeadline = time.Time{}
	}
	p, err := b.Next()
	if err == io.EOF {
		c.bodyDone.Store(true)
	}
	return p, err
}

// Ready implements exchange.Body.
func (c *serverConn) Ready() bool { return c.in.body.Ready() }

// proceed sends 100 (Continue) to a client that waits for it, unless the
// response has begun.
func (c *serverConn) proceed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.expect || c.headSent {
		return nil
	}
	c.expect = false
	_, err := c.nc.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}

// StopBody implements exchange.Front.
func (c *serverConn) StopBody() {
	c.stopped.Store(true)
	_ = c.nc.SetReadDeadline(past)
}

// Inform implements exchange.Front.
func (c *serverConn) Inform(status int, h *exchange.Head) error {
	if c.http10 || status < 100 || status > 199 || status == 101 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if status == 100 {
		if !c.expect {
			return nil
		}
		c.expect = false
	}
	out, err := appendFields(append([]byte(nil), statusLines[status]...), h, false)
	if err != nil {
		return err
	}
	_, err = c.nc.Write(append(out, "\r\n"...))
	return err
}

// WriteHead implements exchange.Front.
func (c *serverConn) WriteHead() error {
	if c.state != writeNothing {
		return errOrder
	}
	c.mu.Lock()
	c.headSent = true
	c.mu.Unlock()
	r := &c.x.Response
	if r.Status < 100 || r.Status > 599 {
		return errors.New("the status is out of range")
	}
	c.out = append(c.out, statusLines[r.Status]...)
	var err error
	if c.out, err = appendFields(c.out, &r.Head, false); err != nil {
		return err
	}
	if _, ok := r.Head.Known(exchange.NameDate); !ok {
		c.out = append(c.out, c.s.clock.date(time.Now())...)
	}
	c.frame(r)
	if r.Status == 101 {
		c.out = append(append(append(c.out, "Connection: upgrade\r\nUpgrade: "...), r.Upgrade...), "\r\n"...)
	} else if r.Close || !c.bodyDone.Load() || c.s.draining.Load() {
		c.closing = true
	}
	switch {
	case r.Status == 101:
	case c.closing:
		c.out = append(c.out, "Connection: close\r\n"...)
	case c.http10:
		c.out = append(c.out, "Connection: keep-alive\r\n"...)
	}
	c.out = append(c.out, "\r\n"...)
	c.state = writeBody
	return nil
}

// frame says how the response body ends (RFC 9112 section 6).
func (c *serverConn) frame(r *exchange.Response) {
	c.framing, c.left = bodyNone, 0
	switch {
	case r.Status < 200 || r.Status == 204:
	case c.x.Request.Method == "HEAD" || r.Status == 304:
		if r.Length > 0 || r.Length == 0 && r.Status != 304 {
			c.out = appendLength(c.out, r.Length)
		}
	case r.Body == nil:
		c.out = appendLength(c.out, 0)
	case r.Length >= 0:
		c.out = appendLength(c.out, r.Length)
		c.framing, c.left = bodyLength, r.Length
	case c.http10:
		c.framing, c.closing = bodyClose, true
	default:
		c.out = append(c.out, "Transfer-Encoding: chunked\r\n"...)
		c.framing = bodyChunked
	}
}

// Write implements exchange.Front.
func (c *serverConn) Write(p []byte, last bool) error {
	if c.state != writeBody {
		return errOrder
	}
	switch c.framing {
	case bodyNone:
		p = nil
	case bodyLength:
		c.left -= int64(len(p))
		if c.left < 0 {
			return errLong
		}
		if last && c.left > 0 {
			return errShort
		}
	case bodyChunked:
		if len(p) > 0 {
			c.out = appendChunk(c.out, p)
			p = nil
		}
		if last {
			c.out = append(c.out, "0\r\n\r\n"...)
		}
	}
	if last {
		c.state = writeDone
	}
	// One copy costs less than a second system call, and than writev for what
	// commonly fits.
	if len(c.out) > 0 {
		c.out = append(c.out, p...)
		p = c.out
		c.out = c.out[:0]
	}
	return c.send(p)
}

// Flush implements exchange.Front.
func (c *serverConn) Flush() error {
	p := c.out
	c.out = c.out[:0]
	return c.send(p)
}

// End implements exchange.Front.
func (c *serverConn) End(trailer *exchange.Head) error {
	if c.state == writeDone {
		return nil
	}
	if c.state != writeBody {
		return errOrder
	}
	if c.framing == bodyLength && c.left > 0 {
		return errShort
	}
	c.state = writeDone
	if c.framing == bodyChunked {
		var err error
		if c.out, err = appendTrailer(c.out, trailer); err != nil {
			return err
		}
	}
	return c.Flush()
}

func (c *serverConn) send(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	now := time.Now()
	idle := c.set.to.StreamIdle
	// Moving a deadline takes a lock in the runtime: an eighth early will do.
	if c.writeDeadline.Sub(now) < idle-idle/8 {
		c.writeDeadline = now.Add(idle)
		if err := c.nc.SetWriteDeadline(c.writeDeadline); err != nil {
			return err
		}
	}
	_, err := c.nc.Write(p)
	return err
}

// Reset implements exchange.Front.
func (c *serverConn) Reset(exchange.ResetCode) {
	c.closing, c.state = true, writeNothing
	if t, ok := c.nc.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // a reset, so that a close-delimited body does not look complete
	}
	c.nc.Close()
}

// Gone implements exchange.Front.
func (c *serverConn) Gone() bool {
	if c.raw == nil {
		return false
	}
	c.gone = false
	if err := c.raw.Control(c.peekFn); err != nil {
		return true
	}
	return c.gone
}

func (c *serverConn) peek(fd uintptr) {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	c.gone = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
}

// Tunnel implements exchange.Front.
func (c *serverConn) Tunnel() (net.Conn, []byte, bool) {
	if c.WriteHead() != nil || c.Flush() != nil {
		return nil, nil, false
	}
	c.state, c.closing, c.tunnel = writeDone, true, true
	_ = c.nc.SetDeadline(time.Time{})
	read := append([]byte(nil), c.in.buf[c.in.r:c.in.w]...)
	c.in.release()
	return c.nc, read, true
}

// finish ends the exchange and reports whether the connection may carry
// another.
func (c *serverConn) finish() bool {
	if c.tunnel {
		return false
	}
	if c.state != writeDone || c.stopped.Load() {
		if c.state == writeDone {
			c.linger()
		}
		return false
	}
	for b := &c.in.body; !b.done; { // the rest may be at hand
		if c.expect || !b.Ready() {
			c.linger()
			return false
		}
		if _, err := b.Next(); err != nil && err != io.EOF {
			return false
		}
	}
	if c.closing {
		c.linger()
		return false
	}
	return true
}

// linger closes in a way that lets the client read the response although it is
// still sending: data that arrives at a closed socket would reset it (RFC 9112
// section 9.6).
func (c *serverConn) linger() {
	t, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || c.in.body.done && c.in.r == c.in.w {
		return
	}
	_ = t.CloseWrite()
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	if c.in.buf == nil {
		c.in.buf = c.in.pool.get(smallBuffer)
	}
	for total := 0; total < lingerBytes; {
		n, err := c.nc.Read(c.in.buf)
		if err != nil {
			return
		}
		total += n
	}
}

// The bounds of linger.
const (
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// idleDeadline bounds the wait for a request. A deadline that is nearly right
// is left alone.
func (c *serverConn) idleDeadline(idle time.Duration) {
	now := time.Now()
	if d := c.readDeadline.Sub(now); d > idle || d < idle-idle/8 {
		c.deadline(now.Add(idle))
	}
}

func (c *serverConn) deadline(t time.Time) {
	c.readDeadline = t
	_ = c.nc.SetReadDeadline(t)
}

var _ exchange.Front = (*serverConn)(nil)
