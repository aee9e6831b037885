package exchange

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
)

// Body is a stream of message content that is pulled. It belongs to one
// exchange and is used by one goroutine at a time.
type Body interface {
	// Next returns the bytes at hand, and waits only if there are none. They
	// are valid until the following call of Next. io.EOF comes with the last
	// bytes whenever the end is already known, so that a small message is one
	// call; later calls return no bytes and io.EOF. Trailers are complete once
	// io.EOF was returned. Any other error means that the message is broken.
	Next() ([]byte, error)
	// Ready reports whether Next would return without waiting for the peer.
	Ready() bool
}

// ErrNoPipe means that the bytes have to go through memory.
var ErrNoPipe = errors.New("the body can't be moved between sockets")

// Piper is a Body that can move from socket to socket within the kernel.
type Piper interface {
	Body
	// Pipe moves up to n of the bytes behind the last Next, and returns how many;
	// io.EOF when the body is complete, as Next does. After
	// os.ErrDeadlineExceeded it can go on, if it was dst that had time left.
	Pipe(dst *net.TCPConn, n int64) (int64, error)
}

// PipeFront is a Front that a Piper can write to.
type PipeFront interface {
	// WritePipe is Write for up to n bytes of b.
	WritePipe(b Piper, n int64) (int64, error)
}

// Unknown is the Length of a message whose size is not known before its end.
const Unknown int64 = -1

// Message is what requests and responses have in common.
type Message struct {
	Head
	// Body is nil if the message has none.
	Body Body
	// Length is the size of Body in bytes, or Unknown. For an answer to HEAD
	// and for 304 it is the size that the content would have.
	Length int64
	// Trailer holds the trailer fields, complete after Body's io.EOF.
	Trailer Head

	// Buffered is the start of the body, read ahead because a filter asked for
	// it. Whole tells that it is all of it. Body still yields every byte.
	Buffered []byte
	Whole    bool

	fixed fixedBody
}

func (m *Message) reset() {
	m.Head.Reset(nil)
	m.Trailer.Reset(nil)
	m.Body, m.Length = nil, 0
	m.Buffered, m.Whole = nil, false
	m.fixed = fixedBody{}
}

// SetBytes replaces the body by p, which the message then owns, and corrects
// Length and Content-Length. Content-Encoding is the caller's to mind.
func (m *Message) SetBytes(p []byte) {
	m.fixed = fixedBody{p: p}
	m.Body, m.Length = &m.fixed, int64(len(p))
	m.Buffered, m.Whole = p, true
	if len(p) == 0 {
		m.Body = nil
	}
	m.Head.Del("content-length")
	m.Trailer.Reset(nil)
}

// Correct is told the size of a body that is at hand whole: a filter that it passed
// through may have changed what was declared.
func (m *Message) Correct(size int) {
	if m.Length != Unknown {
		m.Length = int64(size)
	}
}

// Content returns the buffered body and whether it is complete. A message
// without a body is complete and empty.
func (m *Message) Content() (p []byte, whole bool) {
	if m.Body == nil {
		return nil, true
	}
	return m.Buffered, m.Whole
}

type fixedBody struct {
	p    []byte
	done bool
}

func (b *fixedBody) Next() ([]byte, error) {
	if b.done {
		return nil, io.EOF
	}
	b.done = true
	return b.p, io.EOF
}

func (b *fixedBody) Ready() bool { return true }

// Prefixed is a Body that yields the bytes read ahead, then the rest.
type Prefixed struct {
	Head []byte // yielded first
	Rest Body   // nil if Head is everything
}

// Next implements Body.
func (b *Prefixed) Next() ([]byte, error) {
	if b.Head != nil {
		p := b.Head
		b.Head = nil
		if b.Rest == nil {
			return p, io.EOF
		}
		return p, nil
	}
	if b.Rest == nil {
		return nil, io.EOF
	}
	return b.Rest.Next()
}

// Ready implements Body.
func (b *Prefixed) Ready() bool { return b.Head != nil || b.Rest == nil || b.Rest.Ready() }

// ErrMemory is returned by ReadAhead when the shared ceiling is reached.
var ErrMemory = errors.New("the memory for buffered bodies is used up")

// Budget is a ceiling on bytes that many exchanges share.
type Budget struct {
	max  int64
	used atomic.Int64
}

// NewBudget returns a budget of max bytes; 0 means no ceiling.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// Used returns the bytes taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// Take reserves n bytes and reports whether they were left.
func (b *Budget) Take(n int64) bool {
	if b == nil {
		return true
	}
	if b.used.Add(n) > b.max && b.max > 0 {
		b.used.Add(-n)
		return false
	}
	return true
}

// Give returns n bytes.
func (b *Budget) Give(n int64) {
	if b != nil {
		b.used.Add(-n)
	}
}

// BodyError is why an expression had no request body to look at. It is no fault of
// the expression.
type BodyError struct{ Err error }

// Error implements error.
func (e *BodyError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *BodyError) Unwrap() error { return e.Err }

// ReadAhead reads m's body until its end or until limit bytes are in
// m.Buffered, and sets m.Whole. It may be called again with a larger limit. The
// body still yields every byte, also after a read deadline passed. Errors are
// those of the body, or ErrMemory.
func (x *Exchange) ReadAhead(m *Message, limit int64) error {
	if m.Body == nil || m.Whole || limit <= 0 || int64(len(m.Buffered)) >= limit {
		return nil
	}
	rest := m.Body
	var buf []byte
	if p, ok := m.Body.(*Prefixed); ok && p.Head != nil {
		buf, rest = p.Head, p.Rest
	}
	// What was read is kept even if the body breaks, or only takes a break: a
	// read deadline may pass and the caller may come again.
	keep := func() {
		if len(buf) > 0 {
			m.Body = &Prefixed{Head: buf, Rest: rest}
		}
	}
	// One more byte than limit tells a body of exactly limit from a longer one.
	for int64(len(buf)) <= limit && rest != nil {
		p, err := rest.Next()
		if err == io.EOF {
			rest = nil
		} else if err != nil {
			keep()
			return err
		}
		if buf == nil && rest == nil {
			buf = p // the whole body at once: nothing overwrites it
			break
		}
		if len(p) > 0 {
			if !x.Memory.Take(int64(len(p))) {
				keep()
				x.starved = true
				return ErrMemory
			}
			x.held += int64(len(p))
			buf = append(buf, p...)
		}
	}
	m.Whole = rest == nil && int64(len(buf)) <= limit
	m.Buffered = buf[:min(int64(len(buf)), limit)]
	if buf == nil {
		buf = []byte{}
	}
	m.Body = &Prefixed{Head: buf, Rest: rest}
	return nil
}

// Starved reports whether there was no memory for a body, so that what was made of
// it means nothing.
func (x *Exchange) Starved() bool { return x.starved }

// Forget gives the memory that ReadAhead took back to the budget.
func (x *Exchange) Forget() {
	x.starved = false
	if x.held > 0 {
		x.Memory.Give(x.held)
		x.held = 0
	}
}
