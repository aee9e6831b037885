package http1

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/headgate/headgate/runtime/exchange"
)

// Buffers come in three sizes: what is written in one piece, what is read of
// heads and small messages, and streams.
const (
	outBuffer    = 4 << 10
	headBuffer   = 16 << 10
	streamBuffer = 64 << 10
)

// buffers are shared by all connections of a server or of a client's owner.
type buffers struct{ out, head, stream sync.Pool }

func (b *buffers) get(size int) []byte {
	switch {
	case size <= outBuffer:
		if p, ok := b.out.Get().(*[outBuffer]byte); ok {
			return p[:]
		}
		return make([]byte, outBuffer)
	case size <= headBuffer:
		if p, ok := b.head.Get().(*[headBuffer]byte); ok {
			return p[:]
		}
		return make([]byte, headBuffer)
	case size <= streamBuffer:
		if p, ok := b.stream.Get().(*[streamBuffer]byte); ok {
			return p[:]
		}
		return make([]byte, streamBuffer)
	}
	return make([]byte, size)
}

func (b *buffers) put(p []byte) {
	switch cap(p) {
	case outBuffer:
		b.out.Put((*[outBuffer]byte)(p[:outBuffer]))
	case headBuffer:
		b.head.Put((*[headBuffer]byte)(p[:headBuffer]))
	case streamBuffer:
		b.stream.Put((*[streamBuffer]byte)(p[:streamBuffer]))
	}
}

// source reads from a connection and minds its deadlines.
type source interface{ read(p []byte) (int, error) }

// reader reads messages from a connection. buf[r:w] is what was read and not
// used. The bytes of the current head stay where they are until reset.
type reader struct {
	src  source
	pool *buffers
	buf  []byte
	head []byte // an earlier buf that the current head lies in
	r, w int
	base int  // body bytes may be overwritten from here on
	seen int  // of a head that is not complete: looked at
	full bool // the last read filled buf: a larger one saves system calls

	body bodyReader
}

// reset ends the message: surplus bytes move to the front, and without any the
// buffers are given back.
func (b *reader) reset() {
	if b.r == b.w {
		b.release()
		return
	}
	if b.head != nil {
		b.pool.put(b.head)
		b.head = nil
	}
	b.w = copy(b.buf, b.buf[b.r:b.w])
	b.r, b.base, b.seen = 0, 0, 0
}

// release gives all buffers back.
func (b *reader) release() {
	if b.buf != nil {
		b.pool.put(b.buf)
	}
	if b.head != nil {
		b.pool.put(b.head)
	}
	b.buf, b.head, b.r, b.w, b.base, b.seen, b.full = nil, nil, 0, 0, 0, 0, false
}

// more reads at least one byte behind w while a head is incomplete; the head
// starts at 0.
func (b *reader) more() error {
	b.seen = b.w
	if b.buf == nil {
		b.buf = b.pool.get(headBuffer)
	}
	if b.w == len(b.buf) {
		next := b.pool.get(max(2*len(b.buf), streamBuffer))
		copy(next, b.buf)
		b.pool.put(b.buf)
		b.buf = next
	}
	return b.read()
}

// fill reads body bytes when all read ones were used, or behind those that the
// decoder needs again.
func (b *reader) fill() error {
	const least = 4 << 10 // a window smaller than this is not worth a system call
	if b.r > b.base {
		b.w = b.base + copy(b.buf[b.base:], b.buf[b.r:b.w])
		b.r = b.base
	}
	if len(b.buf)-b.w < least || b.full && len(b.buf) < streamBuffer {
		next := b.pool.get(max(streamBuffer, b.w-b.r+least))
		n := copy(next, b.buf[b.r:b.w])
		if b.head == nil {
			b.head = b.buf // the head lies there
		} else {
			b.pool.put(b.buf)
		}
		b.buf, b.r, b.w, b.base = next, 0, n, 0
	}
	err := b.read()
	b.full = b.w == len(b.buf)
	return err
}

func (b *reader) read() error {
	n, err := b.src.read(b.buf[b.w:])
	b.w += n
	switch {
	case n > 0:
		return nil // an error comes again
	case err == nil:
		return io.ErrNoProgress
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
	done   bool
	left   int64
	chunks dechunker
	t      *exchange.Head
	lim    Limits
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
	p := in.buf[in.r:in.w]
	if b.kind != bodyChunked {
		return len(p) > 0
	}
	d := &b.chunks
	if d.state == chunkDataEnd {
		if len(p) < 2 {
			return false
		}
		p = p[2:]
	}
	switch d.state {
	case chunkData:
		return len(p) > 0
	case chunkSize, chunkDataEnd:
		n, size, _, err := chunkLine(p)
		return err != nil || n > 0 && (len(p) > n && size > 0 || size == 0 && len(p) >= n+2 && p[n] == '\r')
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
			if c, ok := b.in.src.(*Client); ok && c.wasReset() {
				b.err = syscall.ECONNRESET
				break
			}
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
		data, used, err := b.chunks.decode(p, b.t, b.lim)
		in.r += used
		b.done = b.chunks.state == chunkDone
		return data, err
	}
	in.r = in.w
	return p, nil
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
