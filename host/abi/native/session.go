package native

import (
	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// Session is what the host keeps for one exchange of a guest. It is made once
// and used again; its zero value is ready.
type Session struct {
	context  uint32 // the guest's own number for the exchange
	features uint32

	// The answer that the guest builds before there is a response.
	status int
	head   exchange.Head

	written int // bytes of names and values that the guest wrote

	request, response bodyState
	trailers          bool // the guest changed trailers in this phase

	// Of a guest that sees bodies as they pass.
	entry   abi.Entry
	handled bool // it wants handle_response
	asked   bool // it asked for a body, and stays until the end
	chunked bool // it asked for the response's
	chunks  [2]*chunks
}

// Bind says how the guest of the exchange is entered outside of the calls of its
// filter.
func (s *Session) Bind(e abi.Entry) { s.entry = e }

// Stays reports whether the guest stays until the exchange ends.
func (s *Session) Stays() bool { return s.asked }

// Forget ends the bodies that the guest is part of.
func (s *Session) Forget() {
	for i, c := range s.chunks {
		if c != nil {
			c.forget()
		}
		s.chunks[i] = nil
	}
}

// maxEdits bounds the bytes of header fields that a guest writes into one
// exchange, each edit counting editCost more: they are the host's memory, and
// some look-ups take time with the square of their number.
const (
	maxEdits = 256 << 10
	editCost = 256
)

func (s *Session) start(features uint32) {
	s.context, s.features, s.status, s.written = 0, features, 0, 0
	s.head.Reset(nil)
	s.request, s.response, s.trailers = bodyState{}, bodyState{}, false
	s.handled, s.asked, s.chunked = false, false, false
}

// reply makes the guest's answer that of the exchange.
func (s *Session) reply(x *exchange.Exchange) {
	status := s.status
	if status == 0 {
		status = 200
	}
	x.Reply(status, "", s.response.out)
	s.response.out = nil
	for i := range s.head.Len() {
		_, name, value := s.head.At(i)
		x.Response.Head.Add(exchange.String(name), exchange.String(value))
	}
}

// finishRequest applies what the guest did to the request body.
func (s *Session) finishRequest(x *exchange.Exchange) {
	b := &s.request
	if !b.wrote {
		b.giveBack(&x.Request.Message)
		return
	}
	s.setBody(&x.Request.Message, b.out)
	b.out = nil
}

// finishResponse applies what the guest did to the response body.
func (s *Session) finishResponse(x *exchange.Exchange) {
	if b := &s.response; b.wrote {
		s.setBody(&x.Response.Message, b.out)
		b.out = nil
	}
}

// setBody replaces a body. Its trailers go with it, unless the guest set them.
func (s *Session) setBody(m *exchange.Message, p []byte) {
	trailer := m.Trailer
	m.SetBytes(p)
	if s.trailers {
		m.Trailer = trailer
	}
}

// BeginResponse applies what the guest did to the response while it had the
// request, whether or not it wants to see the response: fields are set, and a body
// comes ahead of the response's, as in http-wasm's own host. A status is dropped:
// the response has its own.
func (s *Session) BeginResponse(x *exchange.Exchange) {
	for i := range s.head.Len() {
		_, name, value := s.head.At(i)
		again := false
		for j := range i {
			if _, n, _ := s.head.At(j); equalFold(n, name) {
				again = true
				break
			}
		}
		if again {
			x.Response.Head.Add(exchange.String(name), exchange.String(value))
		} else {
			x.Response.Head.Set(exchange.String(name), exchange.String(value))
		}
	}
	s.head.Reset(nil)
	if out := s.response.out; len(out) > 0 && mayHaveBody(x) {
		prepend(&x.Response.Message, out)
	}
	s.response, s.trailers = bodyState{}, false
}

// mayHaveBody reports whether the response is of a kind that has content (RFC 9110
// section 6.4.1).
func mayHaveBody(x *exchange.Exchange) bool {
	status := x.Response.Status
	return x.Request.Method != "HEAD" && status >= 200 && status != 204 && status != 304
}

// prepend puts p, which the message then owns, ahead of its body.
func prepend(m *exchange.Message, p []byte) {
	rest, whole := m.Content()
	if whole {
		trailer := m.Trailer
		m.SetBytes(append(p, rest...))
		m.Trailer = trailer
		return
	}
	m.Body = &exchange.Prefixed{Head: p, Rest: m.Body}
	m.Buffered = nil
	m.Head.Del("content-length")
	if m.Length != exchange.Unknown {
		m.Length += int64(len(p))
	}
}

func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
