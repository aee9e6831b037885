//go:build unix

package http1

import (
	"io"
	"syscall"
)

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

// waiter reads the first bytes of a message into a buffer that it borrows only
// once there are some. A connection that waits holds no buffer.
type waiter struct {
	fn  func(fd uintptr) bool
	n   int
	err error
}

// wait fills in from the socket; ok is false if there is no descriptor.
func (c *serverConn) wait() (err error, ok bool) {
	if c.raw == nil {
		return nil, false
	}
	w := &c.waiter
	if w.fn == nil {
		w.fn = c.tryRead
	}
	if err := c.raw.Read(w.fn); err != nil {
		return err, true
	}
	n, err := w.n, w.err
	w.err = nil
	switch {
	case err != nil:
		return err, true
	case n <= 0:
		return io.EOF, true
	}
	c.in.w = n
	return nil, true
}

// tryRead reports whether the wait is over.
func (c *serverConn) tryRead(fd uintptr) bool {
	buf := c.in.pool.get(headBuffer)
	n, err := syscall.Read(int(fd), buf)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), buf)
	}
	if err == syscall.EAGAIN {
		c.in.pool.put(buf)
		return false
	}
	c.in.buf, c.waiter.n, c.waiter.err = buf, n, err
	return true
}
