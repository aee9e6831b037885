package proxywasm

import "slices"

// The types of buffers.
const (
	bufferRequestBody  = 0
	bufferResponseBody = 1
	bufferCallBody     = 4
	bufferGRPC         = 5
	bufferVMConfig     = 6
	bufferConfig       = 7
	bufferCallData     = 8
)

// bufferOf returns what a buffer holds now.
func (g *Guest) bufferOf(which uint32) ([]byte, bool) {
	switch which {
	case bufferRequestBody:
		if g.buffer != nil && (g.stage == stageRequestBody || g.stage == stageRequestTrailers) {
			return *g.buffer, true
		}
	case bufferResponseBody:
		if g.buffer != nil && (g.stage == stageResponseBody || g.stage == stageResponseTrailers) {
			return *g.buffer, true
		}
	case bufferCallBody, bufferGRPC:
		if g.answer != nil {
			return g.answer.Content, true
		}
	case bufferVMConfig:
		return g.env.VMConfig, true
	case bufferConfig:
		if g.root != nil {
			return g.root.cfg.Bytes, true
		}
	}
	return nil, false
}

func getBuffer(g *Guest, a []uint64) status {
	p, found := g.bufferOf(uint32(a[0]))
	if !found {
		return notFound
	}
	start, size := uint32(a[1]), uint32(a[2])
	if start+size < start {
		return badArgument
	}
	p = p[min(int64(start), int64(len(p))):]
	return g.give(a[3], a[4], p[:min(int64(size), int64(len(p)))])
}

func getBufferStatus(g *Guest, a []uint64) status {
	p, found := g.bufferOf(uint32(a[0]))
	if !found {
		return notFound
	}
	if s := g.put(a[1], uint32(len(p))); s != ok {
		return s
	}
	return g.put(a[2], 0)
}

// setBuffer puts bytes in the place of a part of a body, as Envoy does: at the
// start, with a length of 0, ahead of it; from its end on, behind it; and all of
// it can be replaced.
func setBuffer(g *Guest, a []uint64) status {
	which, start, size := uint32(a[0]), int64(uint32(a[1])), int64(uint32(a[2]))
	if which > bufferResponseBody {
		return badArgument
	}
	old, found := g.bufferOf(which)
	if !found {
		return notFound
	}
	p, in := g.read(a[3], a[4])
	if !in {
		return invalidMemoryAccess
	}
	n := int64(len(old))
	switch {
	case start == 0 && size == 0:
		size = 0
	case start == 0 && size >= n:
		size = n
	case start >= n:
		start, size = n, 0
	default:
		return badArgument
	}
	if len(old)+len(p) > g.env.MaxBody {
		return internalFailure
	}
	*g.buffer = slices.Concat(old[:start], p, old[start+size:])
	return ok
}
