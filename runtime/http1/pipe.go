package http1

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

var errWriteTimeout = errors.New("the client does not take the response")

var (
	_ exchange.Piper     = (*bodyReader)(nil)
	_ exchange.PipeFront = (*serverConn)(nil)
)

// Pipe implements exchange.Piper for a body with a length whose rest is still to
// be read from a plain socket.
func (b *bodyReader) Pipe(dst *net.TCPConn, n int64) (int64, error) {
	in := b.in
	c, ok := in.src.(*Client)
	if !ok || b.kind != bodyLength || b.done || b.err != nil || in.r != in.w {
		return 0, exchange.ErrNoPipe
	}
	src, ok := c.nc.(*net.TCPConn)
	if !ok {
		return 0, exchange.ErrNoPipe
	}
	// ReadFrom recognises exactly this: the kernel moves the bytes.
	c.limited = io.LimitedReader{R: src, N: min(n, b.left)}
	moved, err := dst.ReadFrom(&c.limited)
	b.left -= moved
	switch {
	case b.left == 0:
		b.done = true
		return moved, io.EOF
	case err == nil && c.limited.N > 0:
		b.err = io.ErrUnexpectedEOF
		return moved, b.err
	case err == nil || isTimeout(err):
		return moved, err
	}
	b.err = err
	return moved, err
}

// WritePipe implements exchange.PipeFront.
func (c *serverConn) WritePipe(b exchange.Piper, n int64) (int64, error) {
	dst, ok := c.nc.(*net.TCPConn)
	if !ok || c.state != writeBody || c.framing != bodyLength || n > c.left || c.out.pending() {
		return 0, exchange.ErrNoPipe
	}
	c.armWrite(time.Now(), c.set.to.StreamIdle)
	moved, err := b.Pipe(dst, n)
	c.left -= moved
	if isTimeout(err) && !time.Now().Before(c.writeBy) {
		// What the kernel holds between the sockets is lost.
		err = errWriteTimeout
	}
	if err != nil && err != io.EOF && err != exchange.ErrNoPipe && !isTimeout(err) {
		c.state = writeBroken
	}
	return moved, err
}
