package exchange

import "io"

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
