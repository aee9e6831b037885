//go:build unix

package http1

import (
	"errors"
	"syscall"
	"time"
)

// errAgain is temporary: TLS goes on after it where it was.
var errAgain error = notReady{}

type notReady struct{}

func (notReady) Error() string   { return "the socket is not ready" }
func (notReady) Timeout() bool   { return false }
func (notReady) Temporary() bool { return true }

func peek(fd uintptr) look {
	var b [1]byte
	for {
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return lookQuiet
		case err == nil && n > 0:
			return lookBytes
		default:
			return lookEnded
		}
	}
}

// sender writes to a socket without waiting.
type sender struct {
	raw     syscall.RawConn
	fn      func(fd uintptr) // made once: a closure per write would be garbage
	p, q, r []byte
	n       int
	err     error
}

// send writes what the socket takes at once of p, q and r. The error is nil if
// the rest needs waiting.
func (s *sender) send(p, q, r []byte) (int, error) {
	if s.fn == nil {
		s.fn = func(fd uintptr) { s.n, s.err = transmit(fd, s.p, s.q, s.r) }
	}
	s.p, s.q, s.r = p, q, r
	err := s.raw.Control(s.fn)
	s.p, s.q, s.r = nil, nil, nil
	if err != nil {
		return 0, err
	}
	if s.err == errAgain {
		return 0, nil
	}
	return s.n, s.err
}

// waiter waits for the next request, and serves those that arrive whole without
// leaving the wait. The runtime tells each arrival of bytes once. Between two
// waits that news can get lost, so each wait begins with a read, most of them
// for nothing. Within one wait it can't, and nothing is read for nothing.
type waiter struct {
	fn    func(fd uintptr) bool
	err   error
	inner bool // in fn: nobody may wait for bytes, or close the socket
	ended bool // an exchange was served and finish has to look after the rest
}

// wait fills in from the socket, or serves exchanges and returns errServed. ok is
// false if there is no descriptor.
func (c *serverConn) wait() (err error, ok bool) {
	if c.raw == nil {
		return nil, false
	}
	w := &c.waiter
	if w.fn == nil {
		w.fn = c.readable
	}
	w.err, w.ended = nil, false
	if err := c.raw.Read(w.fn); err != nil {
		return err, true
	}
	if w.ended {
		return errServed, true
	}
	return w.err, true
}

// readable reports whether the wait is over. The buffer is borrowed only when
// there are bytes: a connection that waits holds none.
func (c *serverConn) readable(fd uintptr) bool {
	w, in := &c.waiter, &c.in
	buf := in.pool.get(headBuffer)
	n, err := c.pull(fd, buf)
	if isAgain(err) {
		in.pool.put(buf)
		return false
	}
	c.idle.Store(false)
	in.buf, in.w = buf, max(n, 0)
	if w.err = err; err != nil {
		return true
	}
	// There may be more, of which no news will come.
	if n == len(buf) || c.beneath != nil && !c.beneath.whole() || !c.plain() {
		return true
	}
	return c.waitAgain()
}

// pull reads what is there, through TLS if there is any.
func (c *serverConn) pull(fd uintptr, p []byte) (int, error) {
	b := c.beneath
	if b == nil {
		return receive(fd, p)
	}
	b.fd, b.fast, b.records = fd, true, 0
	n, err := c.nc.Read(p)
	b.fast = false
	return n, err
}

func isAgain(err error) bool {
	if err == errAgain {
		return true
	}
	var again notReady
	return errors.As(err, &again) // within an error of TLS
}

// plain serves the request in the buffer if all of it is there and the
// connection goes on as HTTP/1.1 behind it. It reports whether it did.
func (c *serverConn) plain() bool {
	w, in := &c.waiter, &c.in
	c.set = c.s.settings.Load()
	m, n, err := c.parse()
	if err != nil || n == 0 || m.chunked || m.expect || c.x.Request.Upgrade != "" || m.length > int64(in.w-n) {
		return false // readHead looks at it again, and knows what to do
	}
	in.r, in.base = n, n
	w.inner = true
	c.start(m)
	c.s.handler.Serve(c.x)
	w.inner = false
	w.ended = true
	return true
}

// waitAgain ends an exchange that left nothing to be done and returns false: the
// wait goes on.
func (c *serverConn) waitAgain() bool {
	in := &c.in
	if c.state != writeDone || c.closing || c.stopped.Load() || !in.body.done || in.r != in.w || c.out.pending() {
		return true
	}
	// A client that ended its side together with the last request makes no news
	// any more. The wait is a short one, and the next begins with a read.
	now := c.x.Now
	if now.IsZero() {
		now = time.Now()
	}
	in.reset()
	c.release()
	c.idle.Store(true)
	c.glancing = true
	c.armRead(now, min(glance, c.set.to.Idle))
	if c.s.draining.Load() { // first gives it what is left of the grace
		c.idle.Store(false)
		return true
	}
	c.waiter.ended = false
	return false
}
