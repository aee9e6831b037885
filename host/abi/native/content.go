package native

import "github.com/headgate/headgate/runtime/exchange"

// sourceGuest is the source of functions that work on a body, kinds 0 and 1, or
// on a range of guest memory.
const sourceGuest = 2

// maxDocument bounds what host functions parse: they are not interrupted.
const maxDocument = 8 << 20

// content returns what a function works on, and reads more than once. It is valid
// until the guest runs again, and must not be changed.
func (g *Guest) content(function string, source, ptr, size uint32) []byte {
	p := g.source(function, source, ptr, size)
	g.Spend(8 * int64(len(p)))
	return p
}

func (g *Guest) source(function string, source, ptr, size uint32) []byte {
	if source == sourceGuest {
		return g.bytes(function, "data", ptr, size)
	}
	b, m, feature := g.body(function, source)
	switch {
	case b.wrote:
		return b.out
	case g.s.features&feature == 0:
		fail(function + ": a body needs the feature that buffers it")
	}
	return g.whole(function, m)
}

// body returns a body that the phase can change.
func (g *Guest) body(function string, source uint32) (*bodyState, *exchange.Message, uint32) {
	x := g.need(function)
	switch {
	case source == bodyRequest && g.phase == phaseRequest:
		return &g.s.request, &x.Request.Message, featureBufferRequest
	case source == bodyResponse && g.phase == phaseResponse:
		return &g.s.response, &x.Response.Message, featureBufferResponse
	}
	g.misplaced(function, source)
	return nil, nil, 0
}

// give stores what a function made: it replaces the body, or goes to the guest's
// buffer. The result is its length.
func (g *Guest) give(function string, source, ptr, limit uint32, p []byte) uint64 {
	if source == sourceGuest {
		return g.put(function, "buf", ptr, limit, p)
	}
	b, _, _ := g.body(function, source)
	b.wrote, b.out = true, p
	return uint64(len(p))
}
