package http1

import "time"

// partTime is how long a connection that ends idle is watched for a request
// that crossed the end on its way.
const partTime = 100 * time.Millisecond

// late reports whether a request arrived at the very end of the wait for it, and
// gives the connection the time to serve it.
func (c *serverConn) late() bool {
	if c.peeker.raw == nil {
		c.peeker.begin(rawConn(below(c.nc)))
	}
	if c.peeker.look() != lookBytes {
		return false
	}
	c.readBy = time.Now().Add(partTime)
	return c.nc.SetReadDeadline(c.readBy) == nil
}

// part ends an idle connection while the server drains. Its client may be
// sending a request just now: it sees an end before any answer, which it may take
// for an invitation to ask again elsewhere (RFC 9112 section 9.3.1), and no
// reset.
func (c *serverConn) part() {
	t, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || t.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(partTime))
	var b [1]byte // most clients send nothing but their own end
	if n, _ := c.nc.Read(b[:]); n > 0 {
		c.linger(true)
	}
}
