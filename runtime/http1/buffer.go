package http1

import (
	"io"
	"net"
	"sync"

	"github.com/headgate/headgate/runtime/exchange"
)

// Buffers come in two sizes: heads and small messages, and streams.
const (
	smallBuffer = 8 << 10
	largeBuffer = 64 << 10
)

// buffers are shared by all connections of a server or of a client's owner.
type buffers struct{ small, large sync.Pool }

func (b *buffers) get(size int) []byte {
	switch {
	case size <= smallBuffer:
		if p, ok := b.small.Get().(*[smallBuffer]byte); ok {
			return p[:]
		}
		return make([]byte, smallBuffer)
	case size <= largeBuffer:
		if p, ok := b.large.Get().(*[largeBuffer]byte); ok {
			return p[:]
		}
		return make([]byte, largeBuffer)
	}
	return make([]byte, size)
}

func (b *buffers) put(p []byte) {
	switch len(p) {
	case smallBuffer:
		b.small.Put((*[smallBuffer]byte)(p))
	case largeBuffer:
		b.large.Put((*[largeBuffer]byte)(p))
	}
}

// reader reads messages from a connection. buf[r:w] is what was read and not
// used. The bytes of the current head stay where they are until reset.
type reader struct {
	nc   net.Conn
	pool *buffers
	buf  []byte
	head []byte // an earlier buf that the current head lies in
	r, w int
	base int  // body bytes may be overwritten from here on
	full bool // the last read filled buf: a larger one saves system calls

	body bodyReader
}

// reset ends the message: surplus bytes move to the front, and without any the
// buffer is given back.
func (b *reader) reset() {
	if b.head != nil {
		b.pool.put(b.head)
		b.head = nil
	}
	if b.r == b.w {
		b.release()
		return
	}
	b.w = copy(b.buf, b.buf[b.r:b.w])
	b.r, b.base = 0, 0
}

// release gives all buffers back.
func (b *reader) release() {
	if b.buf != nil {
		b.pool.put(b.buf)
	}
	if b.head != nil {
		b.pool.put(b.head)
	}
	b.buf, b.head, b.r, b.w, b.base, b.full = nil, nil, 0, 0, 0, false
}

// more reads at least one byte behind w while a head is incomplete; the head
// starts at 0.
func (b *reader) more(limit int) error {
	if b.buf == nil {
		b.buf = b.pool.get(smallBuffer)
	}
	if b.w == len(b.buf) {
		next := b.pool.get(min(max(2*len(b.buf), largeBuffer), limit+smallBuffer))
		if len(next) <= len(b.buf) {
			next = make([]byte, 2*len(b.buf))
		}
		copy(next, b.buf[:b.w])
		b.pool.put(b.buf)
		b.buf = next
	}
	n, err := b.nc.Read(b.buf[b.w:])
	b.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// fill reads body bytes when all read ones were used, or behind those that the
// decoder needs again.
func (b *reader) fill() error {
	const least = 4 << 10 // a window smaller than this is not worth a system call
	if keep := b.w - b.r; b.r > b.base {
		copy(b.buf[b.base:], b.buf[b.r:b.w])
		b.r, b.w = b.base, b.base+keep
	}
	if len(b.buf)-b.w < least || b.full && len(b.buf) < largeBuffer {
		next := b.pool.get(max(largeBuffer, b.w-b.r+least))
		b.w = copy(next, b.buf[b.r:b.w])
		b.r, b.base = 0, 0
		if b.head == nil {
			b.head = b.buf // the head lies there
		} else {
			b.pool.put(b.buf)
		}
		b.buf = next
	}
	n, err := b.nc.Read(b.buf[b.w:])
	b.w += n
	b.full = b.w == len(b.buf)
	if n > 0 {
		return nil
	}
	return err
}

// bodyKind is how a body ends.
type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyLength
	bodyChunked
	bodyClose
)

// bodyReader is the body of the message that a reader is at. A read deadline
// that passes leaves it as it is: Next may be called again.
type bodyReader struct {
	in     *reader
	kind   bodyKind
	left   int64
	chunks dechunker
	t      *exchange.Head
	lim    Limits
	done   bool
	err    error
}

func (b *bodyReader) start(in *reader, kind bodyKind, length int64, t *exchange.Head, lim Limits) {
	*b = bodyReader{in: in, kind: kind, left: length, t: t, lim: lim, done: kind == bodyNone || kind == bodyLength && length == 0}
}

// Ready implements exchange.Body.
func (b *bodyReader) Ready() bool {
	if b.done || b.err != nil {
		return true
	}
	in := b.in
	if b.kind != bodyChunked {
		return in.w > in.r
	}
	switch p := in.buf[in.r:in.w]; b.chunks.state {
	case chunkData:
		return len(p) > 0
	case chunkSize:
		n, size, err := chunkLine(p)
		return err != nil || n > 0 && (len(p) > n && size > 0 || size == 0 && len(p) >= n+2)
	}
	return false
}

// Next implements exchange.Body.
func (b *bodyReader) Next() ([]byte, error) {
	if b.done {
		return nil, io.EOF
	}
	for b.err == nil {
		p, err := b.take()
		if err != nil {
			b.err = err
			break
		}
		if b.done {
			return p, io.EOF
		}
		if len(p) > 0 {
			return p, nil
		}
		switch err := b.in.fill(); {
		case err == nil:
		case isTimeout(err):
			return nil, err
		case err == io.EOF && b.kind == bodyClose:
			b.done = true
			return nil, io.EOF
		case err == io.EOF:
			b.err = io.ErrUnexpectedEOF
		default:
			b.err = err
		}
	}
	return nil, b.err
}

// take returns the body bytes that are at hand.
func (b *bodyReader) take() ([]byte, error) {
	in := b.in
	p := in.buf[in.r:in.w]
	switch b.kind {
	case bodyLength:
		n := int(min(b.left, int64(len(p))))
		b.left -= int64(n)
		in.r += n
		b.done = b.left == 0
		return p[:n], nil
	case bodyChunked:
		out, used, err := b.chunks.decode(p, b.t, b.lim)
		in.r += used
		b.done = b.chunks.state == chunkDone
		return p[:out], err
	}
	in.r = in.w
	return p, nil
}
