package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// serverConn is one connection of a server. It is the exchange.Front of its
// current exchange and the body of that exchange's request. While it waits for a
// request it holds no buffer and no exchange.
type serverConn struct {
	s   *Server
	ctx context.Context
	nc  net.Conn
	raw syscall.RawConn // nil if nc is not a socket, nor TLS over one
	// beneath is what TLS runs over; nil without TLS.
	beneath *Beneath
	waiter  waiter
	peeker  peeker
	info    *exchange.Conn
	set     *settings
	in      reader
	x       *exchange.Exchange
	idle    atomic.Bool
	// glancing is set while the wait for a request is bounded by glance.
	glancing bool

	out     output
	state   writeState
	framing bodyKind
	left    int64 // of a response with a length
	http10  bool
	closing bool // this is the connection's last response
	tunnel  bool

	// A request body may be read by another goroutine than the one that writes.
	mu       sync.Mutex // guards what follows
	expect   bool       // the client waits for 100 (Continue)
	headSent bool
	broken   bool // the request body is malformed: nothing can follow it

	begun    atomic.Bool // the request body is or was read
	bodyDone atomic.Bool
	stopped  atomic.Bool

	// readBy and writeBy are the deadlines in force; moving one takes a lock in
	// the runtime, so they are left alone while they are about right.
	readBy, writeBy time.Time
}

var (
	errStop = errors.New("the request body is no longer read")
	// errServed ends a wait in which an exchange was served already.
	errServed = errors.New("the request was served")
)

// release gives the exchange and its memory back.
func (c *serverConn) release() {
	c.out.release()
	if x := c.x; x != nil {
		c.x = nil
		x.Reset(context.Background(), nil, nil)
		c.s.idle.Put(x)
	}
}

// serve takes one request through its life and reports whether the connection
// may carry another.
func (c *serverConn) serve() bool {
	m, status, err := c.readHead()
	if err == errServed {
		return c.finish()
	}
	if err != nil {
		switch {
		case status > 0:
			c.refuse(status, err)
		case c.s.draining.Load() && isTimeout(err):
			c.part()
		}
		return false
	}
	c.start(m)
	c.s.handler.Serve(c.x)
	return c.finish()
}

// readHead reads a request head into c.x. A status with the error says how to
// answer; 0 means that nobody waits for an answer.
func (c *serverConn) readHead() (m meta, status int, err error) {
	in := &c.in
	in.reset()
	for begun := false; ; {
		if in.w == 0 {
			c.release()
			c.set = c.s.settings.Load()
			if err := c.first(); err != nil {
				return m, 0, err
			}
			c.set = c.s.settings.Load() // it may have waited for long
		} else if !begun {
			c.set = c.s.settings.Load()
		}
		m, n, err := c.parse()
		if err != nil {
			return m, statusOf(err), err
		}
		if n > 0 {
			in.r, in.base = n, n
			return m, 0, nil
		}
		if !begun {
			begun = true
			c.readBy = time.Now().Add(c.set.to.Header)
			_ = c.nc.SetReadDeadline(c.readBy)
		}
		if err := in.more(); isTimeout(err) {
			return m, 408, errors.New("the request head did not arrive in time")
		} else if err != nil {
			return m, 0, err
		}
	}
}

// parse looks for a request head in the buffer; n is its length, 0 if it is not
// all there.
func (c *serverConn) parse() (m meta, n int, err error) {
	if c.x == nil {
		x, ok := c.s.idle.Get().(*exchange.Exchange)
		if !ok {
			x = &exchange.Exchange{}
		}
		c.x = x
		x.Begin(c.ctx, c.info, c)
	} else {
		c.x.Reset(c.ctx, c.info, c)
	}
	n, m, err = parseRequest(c.in.buf[:c.in.w], c.in.seen, &c.x.Request, c.set.lim)
	return m, n, err
}

// glance is how long the wait for another request lasts before the socket is
// looked at although there is no news.
const glance = time.Second

// first waits for the first bytes of a request.
func (c *serverConn) first() error {
	defer c.idle.Store(false)
	for {
		c.idle.Store(true)
		c.glancing = false
		c.armRead(time.Now(), c.set.to.Idle)
		// After the deadline was set: Drain sets its own only after it set this.
		if c.s.draining.Load() {
			c.readBy = time.Unix(0, c.s.drainBy.Load())
			if !time.Now().Before(c.readBy) && !c.late() {
				return os.ErrDeadlineExceeded
			}
			if c.nc.SetReadDeadline(c.readBy) != nil {
				return io.EOF
			}
		}
		err, ok := c.wait()
		if !ok {
			err = c.waitByte()
		}
		if !isTimeout(err) {
			return err
		}
		if !c.glancing && !time.Now().Before(c.readBy) && !(c.s.draining.Load() && c.late()) {
			return err
		}
		c.readBy = time.Time{}
	}
}

// waitByte waits where there is no descriptor to wait on. A TLS connection keeps
// the rest of its record, so that the second read does not wait.
func (c *serverConn) waitByte() error {
	var b [1]byte
	n, err := c.nc.Read(b[:])
	if n == 0 {
		return err
	}
	in := &c.in
	in.buf = in.pool.get(headBuffer)
	in.buf[0], in.w = b[0], 1
	// No request is one byte long.
	return in.more()
}

// armRead bounds the following reads by about d, never less.
func (c *serverConn) armRead(now time.Time, d time.Duration) {
	if left := c.readBy.Sub(now); left < d || left > d+d/8 {
		c.readBy = now.Add(d + d/16)
		_ = c.nc.SetReadDeadline(c.readBy)
	}
}

func (c *serverConn) armWrite(now time.Time, d time.Duration) {
	if left := c.writeBy.Sub(now); left < d || left > d+d/8 {
		c.writeBy = now.Add(d + d/16)
		_ = c.nc.SetWriteDeadline(c.writeBy)
	}
}

// read implements source.
func (c *serverConn) read(p []byte) (int, error) {
	for {
		n, err := c.nc.Read(p)
		if n > 0 || !isTimeout(err) || c.stopped.Load() || !time.Now().Before(c.readBy) {
			return n, err
		}
		// Drain took the connection for an idle one.
		_ = c.nc.SetReadDeadline(c.readBy)
		if c.stopped.Load() {
			return 0, err
		}
	}
}

func statusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 400
}

// refuse answers a head that is no request.
func (c *serverConn) refuse(status int, err error) {
	method := "GET"
	if c.x.Request.Method == "HEAD" {
		method = "HEAD"
	}
	c.x.Reset(c.ctx, c.info, c)
	r := &c.x.Request
	r.Method, r.Proto, r.Scheme = method, exchange.HTTP11, c.scheme()
	c.start(meta{close: true})
	if r, ok := c.s.handler.(Refuser); ok {
		r.Refuse(c.x, status, err.Error())
	} else {
		c.x.Reply(status, "", nil)
		if c.WriteHead() == nil {
			_ = c.End(nil)
		}
	}
	if c.state != writeDone {
		c.cut()
		return
	}
	c.linger(true)
}

func (c *serverConn) scheme() string {
	if c.info != nil && c.info.TLS != nil {
		return "https"
	}
	return "http"
}

// start prepares the response side and the body of the request just parsed.
func (c *serverConn) start(m meta) {
	r := &c.x.Request
	r.Scheme = c.scheme()
	c.state, c.left = writeNothing, 0
	c.http10 = r.Proto == exchange.HTTP10
	if m.close || c.http10 && !m.keepAlive {
		c.closing = true
	}
	c.headSent, c.broken = false, false
	c.stopped.Store(false)
	kind := bodyLength
	if m.chunked {
		kind = bodyChunked
	}
	b := &c.in.body
	b.start(&c.in, kind, m.length, &r.Trailer, c.set.lim)
	c.bodyDone.Store(b.done)
	c.expect = m.expect && !c.http10 && !b.done
	if !b.done {
		c.begun.Store(false)
		r.Body = c
	}
}

// Next implements exchange.Body for the request.
func (c *serverConn) Next() ([]byte, error) {
	b := &c.in.body
	if c.stopped.Load() {
		return nil, errStop
	}
	if !c.begun.Load() {
		c.begun.Store(true)
	}
	if !b.Ready() {
		if err := c.proceed(); err != nil {
			return nil, err
		}
		c.armRead(time.Now(), c.set.to.StreamIdle)
		if c.stopped.Load() { // StopBody came in between
			return nil, errStop
		}
	}
	p, err := b.Next()
	if err != nil {
		if err == io.EOF {
			c.bodyDone.Store(true)
		} else if c.stopped.Load() {
			err = errStop
		} else {
			c.mu.Lock()
			c.broken = true
			c.mu.Unlock()
		}
	}
	return p, err
}

// Ready implements exchange.Body.
func (c *serverConn) Ready() bool { return c.in.body.Ready() }

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// proceed sends 100 (Continue) to a client that waits for it, unless the
// response has begun (RFC 9110 section 10.1.1).
func (c *serverConn) proceed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.expect || c.headSent {
		return nil
	}
	c.expect = false
	// writeBy belongs to the other goroutine; this is never before it.
	idle := c.set.to.StreamIdle
	_ = c.nc.SetWriteDeadline(time.Now().Add(idle + idle/8))
	_, err := c.nc.Write(continueLine)
	return err
}

// StopBody implements exchange.Front.
func (c *serverConn) StopBody() {
	c.stopped.Store(true)
	_ = c.nc.SetReadDeadline(past)
}

// maxDrained bounds what is thrown away of a request body that nobody wanted,
// so that the connection can go on.
const maxDrained = 64 << 10

// drainTime is how long it may take to come.
const drainTime = 100 * time.Millisecond

// finish ends the exchange and reports whether the connection may carry
// another.
func (c *serverConn) finish() bool {
	if c.tunnel {
		return false
	}
	if c.state != writeDone {
		// The handler gave up, or forgot to: the client must not take what it got
		// for the whole.
		c.cut()
		return false
	}
	b := &c.in.body
	if c.stopped.Load() {
		if !b.done {
			c.linger(true)
			return false
		}
		c.stopped.Store(false)
		c.readBy = time.Time{} // StopBody moved the deadline
	}
	for drained, waited := 0, false; !b.done; { // the rest may be on its way
		if c.expect || drained > maxDrained || b.kind == bodyLength && b.left > maxDrained {
			c.linger(true)
			return false
		}
		if !b.Ready() && !waited {
			waited = true
			c.readBy = time.Now().Add(drainTime)
			_ = c.nc.SetReadDeadline(c.readBy)
		}
		p, err := b.Next()
		if err != nil && err != io.EOF {
			c.linger(true)
			return false
		}
		drained += len(p)
	}
	if c.closing {
		c.linger(c.in.r != c.in.w)
		return false
	}
	return true
}

// The bounds of linger.
const (
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// linger ends the connection in a way that lets the client read the response
// although it may still be sending: bytes that arrive at a closed socket would
// reset it (RFC 9112 section 9.6).
func (c *serverConn) linger(sending bool) {
	t, ok := c.nc.(interface{ CloseWrite() error })
	if !sending || !ok || t.CloseWrite() != nil {
		return
	}
	c.idle.Store(true) // Drain need not wait for it
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	if c.s.draining.Load() {
		_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime / 10))
	}
	buf := c.s.pool.get(headBuffer)
	defer c.s.pool.put(buf)
	for total := 0; total < lingerBytes; {
		n, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		total += n
	}
}

// cut ends the connection so that no client takes a truncated message for a
// whole one: with a reset, and without the closing alert of TLS.
func (c *serverConn) cut() {
	nc := below(c.nc)
	if t, ok := nc.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	if !c.waiter.inner { // else as soon as the wait is left
		nc.Close()
	}
}
