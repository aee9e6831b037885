package native

import (
	"io"

	"github.com/headgate/headgate/runtime/exchange"
)

// The body kinds.
const (
	bodyRequest = iota
	bodyResponse
)

// buffered bounds a body that is read ahead because the guest enabled the
// feature during the call, when the engine could not know it.
const buffered = 1 << 20

// bodyState is where a guest stands in one body.
type bodyState struct {
	off int // in the buffered body

	// Of a body that is read without the buffering feature: what is read is
	// gone, as http-wasm has it.
	streaming, ended bool
	rest             []byte // read from the message and not yet by the guest
	consumed         int64

	wrote bool
	out   []byte
}

// giveBack leaves in the message what the guest did not read of it.
func (b *bodyState) giveBack(m *exchange.Message) {
	if !b.streaming {
		return
	}
	m.Buffered, m.Whole = nil, false
	m.Head.Del("content-length")
	switch {
	case b.ended && len(b.rest) == 0:
		m.SetBytes(nil)
	case b.ended:
		m.SetBytes(append([]byte(nil), b.rest...))
	default:
		if len(b.rest) > 0 {
			m.Body = &exchange.Prefixed{Head: b.rest, Rest: m.Body}
		}
		if m.Length != exchange.Unknown {
			m.Length -= b.consumed
		}
	}
	b.rest = nil
}

// readBody implements read_body: up to limit bytes, and in bit 32 whether that
// was the end.
func readBody(g *Guest, stack []uint64) {
	kind, ptr, limit := uint32(stack[0]), uint32(stack[1]), uint32(stack[2])
	if limit == 0 {
		fail("read_body: buf_limit is 0")
	}
	dst := g.bytes("read_body", "buf", ptr, limit)
	var n int
	var end bool
	switch {
	case kind == bodyRequest && g.phase == phaseRequest:
		m := &g.x.Request.Message
		if g.s.features&featureBufferRequest != 0 {
			n, end = g.readBuffered(&g.s.request, m, dst)
		} else {
			n, end = g.readStream(&g.s.request, m, dst)
		}
	case kind == bodyRequest && g.phase == phaseRequestChunk, kind == bodyResponse && g.phase == phaseResponseChunk:
		n, end = g.readChunk(dst)
	case kind == bodyRequest && g.phase == phaseResponse && g.s.features&featureBufferRequest != 0:
		end = true // it was sent to the backend
	case kind == bodyResponse && g.phase == phaseRequest:
		end = true // what the guest wrote itself is not there to be read
	case kind == bodyResponse && g.phase == phaseResponse:
		if g.s.features&featureBufferResponse == 0 {
			fail("read_body: the response body needs the feature buffer_response")
		}
		n, end = g.readBuffered(&g.s.response, &g.x.Response.Message, dst)
	default:
		g.misplaced("read_body", kind)
	}
	stack[0] = uint64(n)
	if end {
		stack[0] |= 1 << 32
	}
}

func (g *Guest) readBuffered(b *bodyState, m *exchange.Message, dst []byte) (n int, end bool) {
	p := g.whole("read_body", m)
	n = copy(dst, p[min(b.off, len(p)):])
	b.off += n
	return n, b.off >= len(p)
}

// whole returns a body whose buffering is enabled.
func (g *Guest) whole(function string, m *exchange.Message) []byte {
	p, whole := m.Content()
	if whole {
		return p
	}
	// The feature came with this call; otherwise the engine has the body.
	g.Pause(g.stopBody(m))
	err := g.x.ReadAhead(m, buffered)
	g.Resume()
	if err != nil {
		failWith(function, err)
	}
	if p, whole = m.Content(); !whole {
		fail(function + ": the body is larger than what is buffered for a feature enabled during a call")
	}
	return p
}

func (g *Guest) readStream(b *bodyState, m *exchange.Message, dst []byte) (n int, end bool) {
	b.streaming = true
	if m.Body == nil {
		b.ended = true
	}
	for n < len(dst) {
		if len(b.rest) == 0 {
			if b.ended {
				break
			}
			b.rest = g.next(b, m)
			continue
		}
		k := copy(dst[n:], b.rest)
		n, b.rest = n+k, b.rest[k:]
	}
	b.consumed += int64(n)
	return n, b.ended && len(b.rest) == 0
}

// next waits for more of the body.
func (g *Guest) next(b *bodyState, m *exchange.Message) []byte {
	wait := !m.Body.Ready()
	if wait {
		g.Pause(g.stopBody(m))
	}
	p, err := m.Body.Next()
	if wait {
		g.Resume()
	}
	if err == io.EOF {
		b.ended = true
	} else if err != nil {
		failWith("read_body", err)
	}
	return p
}

// stopBody returns what ends a wait for the message's body, if there is a way.
func (g *Guest) stopBody(m *exchange.Message) func() {
	if m == &g.x.Request.Message && g.x.Front != nil {
		return g.x.Front.StopBody
	}
	return nil
}

// writeBody implements write_body: the first call of a phase replaces the body,
// the following ones append.
func writeBody(g *Guest, stack []uint64) {
	kind, ptr, size := uint32(stack[0]), uint32(stack[1]), uint32(stack[2])
	p := g.bytes("write_body", "body", ptr, size)
	var b *bodyState
	switch {
	case kind == bodyRequest && g.phase == phaseRequestChunk, kind == bodyResponse && g.phase == phaseResponseChunk:
		if len(g.chunk.out)+len(p) > g.env.MaxBody {
			fail("write_body: the body is larger than limits.memory")
		}
		g.chunk.out = append(g.chunk.out, p...)
		return
	case kind == bodyRequest && g.phase == phaseRequest:
		b = &g.s.request
	case kind == bodyResponse && g.phase == phaseRequest:
		b = &g.s.response
	case kind == bodyResponse && g.phase == phaseResponse:
		b = &g.s.response // to replace a body it need not be read
	default:
		g.misplaced("write_body", kind)
	}
	if len(b.out)+len(p) > g.env.MaxBody {
		fail("write_body: the body is larger than limits.memory")
	}
	b.wrote = true
	b.out = append(b.out, p...)
}
