package http1

import (
	"net"
	"strconv"
)

// Ends of chunks. Nobody writes to them.
var (
	crlf          = []byte("\r\n")
	lastChunk     = []byte("0\r\n\r\n")
	crlfLastChunk = []byte("\r\n0\r\n\r\n")
)

// output collects what leaves in one write: a head and the first bytes of the
// body. Small bodies are copied behind the head, which costs less than a second
// segment; larger ones leave from where they are.
type output struct {
	nc       net.Conn
	vectored bool   // nc writes several buffers with one system call
	direct   sender // without raw if nc is not a socket
	pool     *buffers
	buf      []byte
	vec      [3][]byte
	bufs     net.Buffers
}

func (o *output) begin(nc net.Conn) {
	o.nc, o.direct.raw = nc, rawConn(nc)
	o.vectored = o.direct.raw != nil
}

// directMost bounds what is written around the scheduler: copying more takes
// the kernel long enough for others to want the thread.
const directMost = 16 << 10

// write writes p, q and r. Whatever fits into the socket leaves at once; the
// rest waits, up to the write deadline.
func (o *output) write(p, q, r []byte) (int64, error) {
	total := len(p) + len(q) + len(r)
	sent := 0
	if o.vectored && total <= directMost {
		for sent < total {
			n, err := o.direct.send(p, q, r)
			sent += n
			if err != nil || sent == total {
				return int64(sent), err
			}
			if n == 0 {
				break
			}
			p, q, r = skip(p, &n), skip(q, &n), skip(r, &n)
		}
	}
	if len(q)+len(r) == 0 {
		n, err := o.nc.Write(p)
		return int64(sent + n), err
	}
	o.vec = [3][]byte{p, q, r}
	o.bufs = o.vec[:]
	n, err := o.bufs.WriteTo(o.nc)
	o.vec, o.bufs = [3][]byte{}, nil
	return int64(sent) + n, err
}

// skip returns p without its first n bytes, and takes off n what it skipped.
func skip(p []byte, n *int) []byte {
	m := min(*n, len(p))
	*n -= m
	return p[m:]
}

// hold makes buf ready to append to.
func (o *output) hold() {
	if o.buf == nil {
		o.buf = o.pool.get(outBuffer)[:0]
	}
}

// release gives the buffer back.
func (o *output) release() {
	if o.buf != nil {
		o.pool.put(o.buf)
		o.buf = nil
	}
}

// pending reports whether bytes are held back.
func (o *output) pending() bool { return len(o.buf) > 0 }

// flush writes what is held back.
func (o *output) flush() (int64, error) {
	if len(o.buf) == 0 {
		return 0, nil
	}
	n, err := o.write(o.buf, nil, nil)
	o.buf = o.buf[:0]
	return n, err
}

// send writes what is held back and p, as a chunk if chunked, and the end of the
// body if last.
func (o *output) send(p []byte, chunked, last bool) (n int64, err error) {
	var tail []byte
	if chunked {
		switch {
		case len(p) == 0 && last:
			tail = lastChunk
		case len(p) > 0 && last:
			tail = crlfLastChunk
		case len(p) > 0:
			tail = crlf
		}
		if len(p) > 0 {
			o.hold()
			o.buf = strconv.AppendInt(o.buf, int64(len(p)), 16)
			o.buf = append(o.buf, crlf...)
		}
	}
	if len(o.buf) == 0 {
		if len(tail) > 0 {
			p = tail // there is no p
		}
		if len(p) == 0 {
			return 0, nil
		}
		return o.write(p, nil, nil)
	}
	total := len(o.buf) + len(p) + len(tail)
	switch {
	case total <= cap(o.buf):
		o.buf = append(append(o.buf, p...), tail...)
		return o.flush()
	case !o.vectored && total <= streamBuffer:
		// Each write of a TLS connection is a record of its own.
		b := append(o.pool.get(streamBuffer)[:0], o.buf...)
		m, err := o.nc.Write(append(append(b, p...), tail...))
		o.pool.put(b)
		o.buf = o.buf[:0]
		return int64(m), err
	}
	n, err = o.write(o.buf, p, tail)
	o.buf = o.buf[:0]
	return n, err
}
