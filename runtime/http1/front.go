package http1

import (
	"errors"
	"net"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

type writeState uint8

const (
	writeNothing writeState = iota
	writeBody
	writeDone
	writeBroken
)

var (
	errShort  = errors.New("the response body is shorter than its Content-Length")
	errLong   = errors.New("the response body is longer than its Content-Length")
	errOrder  = errors.New("the response is not at a point where this may be written")
	errStatus = errors.New("the status can't be sent")
)

var _ exchange.Front = (*serverConn)(nil)

// Inform implements exchange.Front.
func (c *serverConn) Inform(status int, h *exchange.Head) error {
	if status < 100 || status > 199 || status == 101 || c.state != writeNothing {
		return errStatus
	}
	if c.http10 { // RFC 9110 section 15.2
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if status == 100 {
		if !c.expect { // nobody waits for it, or no more
			return nil
		}
		c.expect = false
	}
	c.out.hold()
	c.out.buf = append(c.out.buf, statusLines[status]...)
	if h != nil {
		var err error
		if c.out.buf, _, err = appendFields(c.out.buf, h, false); err != nil {
			c.out.buf = c.out.buf[:0]
			return err
		}
	}
	c.out.buf = append(c.out.buf, "\r\n"...)
	c.armWrite(time.Now(), c.set.to.StreamIdle)
	return c.sent(c.out.flush())
}

// WriteHead implements exchange.Front.
func (c *serverConn) WriteHead() error {
	if s := c.x.Response.Status; s < 200 || s >= len(statusLines) {
		return errStatus
	}
	return c.writeHead()
}

func (c *serverConn) writeHead() error {
	if c.state != writeNothing {
		return errOrder
	}
	c.mu.Lock()
	c.headSent = true
	if c.broken || c.expect && !c.bodyDone.Load() {
		// Whether a client that was not invited sends its content can't be known.
		c.closing = true
	}
	c.mu.Unlock()
	if c.x.Request.Length > maxDrained && !c.begun.Load() { // nobody wants it, see finish
		c.closing = true
	}
	r := &c.x.Response
	c.out.hold()
	buf, dated, err := appendFields(append(c.out.buf, statusLines[r.Status]...), &r.Head, false)
	if err != nil {
		return err
	}
	now := c.x.Now
	if now.IsZero() {
		now = time.Now()
	}
	c.armWrite(now, c.set.to.StreamIdle)
	if !dated {
		buf = append(buf, c.s.clock.date(now)...)
	}
	buf = c.frame(buf, r)
	switch {
	case r.Status == 101:
		if buf, err = appendUpgrade(buf, r.Upgrade); err != nil {
			return err
		}
	case c.closing || r.Close || c.s.draining.Load():
		c.closing = true
		buf = append(buf, "Connection: close\r\n"...)
	case c.http10:
		buf = append(buf, "Connection: keep-alive\r\n"...)
	}
	c.out.buf = append(buf, "\r\n"...)
	c.state = writeBody
	return nil
}

// frame says how the response body ends (RFC 9112 section 6).
func (c *serverConn) frame(buf []byte, r *exchange.Response) []byte {
	c.framing, c.left = bodyNone, 0
	switch {
	case r.Status < 200 || r.Status == 204:
	case c.x.Request.Method == "HEAD" || r.Status == 304:
		if r.Length > 0 || r.Length == 0 && r.Status != 304 {
			return appendLength(buf, r.Length)
		}
	case r.Length > 0 || r.Length == 0 && r.Body != nil:
		c.framing, c.left = bodyLength, r.Length
		return appendLength(buf, r.Length)
	case r.Body == nil:
		return appendLength(buf, 0)
	case c.http10:
		c.framing, c.closing = bodyClose, true
	default:
		c.framing = bodyChunked
		return append(buf, "Transfer-Encoding: chunked\r\n"...)
	}
	return buf
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
		if int64(len(p)) > c.left {
			c.state = writeBroken
			return errLong
		}
		if c.left -= int64(len(p)); last && c.left > 0 {
			c.state = writeBroken
			return errShort
		}
	}
	if !c.out.pending() {
		c.armWrite(time.Now(), c.set.to.StreamIdle)
	}
	if err := c.sent(c.out.send(p, c.framing == bodyChunked, last)); err != nil {
		return err
	}
	if last {
		c.state = writeDone
	}
	return nil
}

// Flush implements exchange.Front.
func (c *serverConn) Flush() error { return c.sent(c.out.flush()) }

// End implements exchange.Front.
func (c *serverConn) End(trailer *exchange.Head) error {
	switch {
	case c.state == writeDone:
		return nil
	case c.state != writeBody:
		return errOrder
	case c.framing == bodyLength && c.left > 0:
		c.state = writeBroken
		return errShort
	}
	if c.framing == bodyChunked {
		c.out.hold()
		var err error
		if c.out.buf, err = appendTrailer(c.out.buf, trailer); err != nil {
			c.state = writeBroken
			return err
		}
	}
	c.armWrite(time.Now(), c.set.to.StreamIdle)
	if err := c.Flush(); err != nil {
		return err
	}
	c.state = writeDone
	return nil
}

// sent takes the result of a write. After an error the response can't be
// completed any more.
func (c *serverConn) sent(_ int64, err error) error {
	if err != nil {
		c.state = writeBroken
	}
	return err
}

// Reset implements exchange.Front.
func (c *serverConn) Reset(exchange.ResetCode) {
	c.state = writeBroken
	c.cut()
}

// Gone implements exchange.Front. A client that only ended its sending side
// counts as gone: it looks the same until something is sent to it.
func (c *serverConn) Gone() bool {
	if c.peeker.raw == nil {
		c.peeker.begin(rawConn(below(c.nc)))
	}
	return c.peeker.look() == lookEnded
}

// Tunnel implements exchange.Front.
func (c *serverConn) Tunnel() (net.Conn, []byte, bool) {
	if c.x.Response.Status != 101 || c.writeHead() != nil || c.Flush() != nil {
		return nil, nil, false
	}
	c.state, c.closing, c.tunnel = writeDone, true, true
	_ = c.nc.SetDeadline(time.Time{})
	// The exchange still aliases the buffer.
	return c.nc, append([]byte(nil), c.in.buf[c.in.r:c.in.w]...), true
}
