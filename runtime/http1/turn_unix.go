//go:build unix

package http1

import "syscall"

// turn writes a request and reads the first bytes of its response in one go. The
// runtime tells each arrival of bytes once, to whoever is waiting by then. By
// beginning to wait before it writes, a turn can't miss the response, and need
// not look for it too early.
type turn struct {
	c    *Client
	raw  syscall.RawConn // nil if the connection is not a socket
	fn   func(fd uintptr) bool
	held bool   // a request waits for take
	look bool   // the connection was idle: see whether it is still good
	body []byte // behind the head in c.out
	dst  []byte
	n    int
	err  error
}

func (t *turn) begin(c *Client) {
	t.c, t.raw = c, rawConn(c.nc)
	t.fn = t.step
}

// hold keeps the head in c.out and body back for take, if they are small enough
// to fit into the send buffer of an idle socket for sure.
func (t *turn) hold(body []byte, used bool) bool {
	if t.raw == nil || len(t.c.out.buf)+len(body) > sureToFit {
		return false
	}
	t.held, t.look, t.body = true, used, body
	return true
}

// sureToFit is what the send buffer of an idle socket takes without waiting for
// the peer.
const sureToFit = 8 << 10

// take is a Read of the connection that first sends what is held.
func (t *turn) take(p []byte) (int, error) {
	t.dst, t.n, t.err = p, 0, nil
	err := t.raw.Read(t.fn)
	n, stepErr := t.n, t.err
	t.dst, t.err = nil, nil
	switch {
	case err != nil:
		return 0, err // a deadline, and the request may still be held
	case stepErr == errAgain:
		// The request did not leave in one go: the slow way.
		return t.c.nc.Read(p)
	}
	return n, stepErr
}

// step reports whether the turn is over.
func (t *turn) step(fd uintptr) bool {
	c := t.c
	if !t.held {
		t.n, t.err = receive(fd, t.dst)
		return t.err != errAgain
	}
	if t.look {
		if n, err := receive(fd, t.dst); err != errAgain || n > 0 {
			t.drop()
			t.err = c.stale()
			return true
		}
	}
	head, body := c.out.buf, t.body
	t.drop()
	n, err := transmit(fd, head, body, nil)
	c.wrote = n > 0
	if err == nil && n == len(head)+len(body) {
		return false
	}
	if err == nil || err == errAgain {
		head, body = skip(head, &n), skip(body, &n)
		if m, writeErr := c.out.write(head, body, nil); writeErr != nil {
			c.wrote = c.wrote || m > 0
			err = writeErr
		} else {
			c.wrote, err = true, nil
		}
	}
	// A server may have answered before it closed, so that a failed write is not
	// the end.
	c.complete = err == nil
	c.failed(err)
	t.err = errAgain
	return true
}

// drop forgets what is held.
func (t *turn) drop() {
	t.held, t.body = false, nil
	t.c.out.buf = t.c.out.buf[:0]
}
