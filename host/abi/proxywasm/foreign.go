package proxywasm

import (
	"bytes"
	"compress/zlib"
	"io"
)

// maxForeign bounds what is compressed, and what comes out of the compressed, in
// bytes: a guest can't be stopped in the middle of it.
const maxForeign = 1 << 20

// callForeign implements those of Envoy's foreign functions that make sense
// here.
func callForeign(g *Guest, a []uint64) status {
	name, in := g.read(a[0], a[1])
	p, in2 := g.read(a[2], a[3])
	if !in || !in2 {
		return invalidMemoryAccess
	}
	switch string(name) {
	case "compress":
		if len(p) > maxForeign {
			return badArgument
		}
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		if _, err := w.Write(p); err != nil || w.Close() != nil {
			return internalFailure
		}
		return g.give(a[4], a[5], b.Bytes())
	case "uncompress":
		r, err := zlib.NewReader(bytes.NewReader(p))
		if err != nil {
			return badArgument
		}
		out, err := io.ReadAll(io.LimitReader(r, maxForeign+1))
		if err != nil || len(out) > maxForeign {
			return badArgument
		}
		return g.give(a[4], a[5], out)
	case "clear_route_cache":
		return g.give(a[4], a[5], nil) // the route stays
	}
	return notFound
}
