package native

import (
	"fmt"

	"github.com/headgate/headgate/runtime/exchange"
)

// head returns the fields of a kind. In handle_request the response's are those
// of the answer that the guest builds.
func (g *Guest) head(function string, kind uint32) *exchange.Head {
	x := g.need(function)
	if g.phase == phaseRequestChunk && kind != kindRequest {
		g.misplaced(function, kind) // there may be another goroutine with the response
	}
	switch kind {
	case kindRequest:
		return &x.Request.Head
	case kindResponse:
		if g.phase == phaseRequest {
			return &g.s.head
		}
		return &x.Response.Head
	case kindRequestTrailer, kindResponseTrailer:
		if g.s.features&featureTrailers == 0 {
			fail(function + ": trailers need the feature trailers")
		}
		if kind == kindRequestTrailer {
			return &x.Request.Trailer
		}
		return &x.Response.Trailer
	}
	fail(fmt.Sprintf("%s: there is no header kind %d", function, kind))
	return nil
}

// name reads a field name and returns it in lower case, valid until the next
// call.
func (g *Guest) name(function string, ptr, size uint32) []byte {
	p := g.bytes(function, "name", ptr, size)
	if len(p) == 0 {
		fail(function + ": the name is empty")
	}
	return g.lower(p)
}

// lower returns p in lower case: p itself if it is, else in scratch memory.
func (g *Guest) lower(p []byte) []byte {
	i := 0
	for i < len(p) && (p[i] < 'A' || p[i] > 'Z') {
		i++
	}
	if i == len(p) {
		return p
	}
	q := append(g.scratch[:0], p[:i]...)
	for _, c := range p[i:] {
		q = append(q, lower(c))
	}
	return q
}

// host returns the value of the host field of a request: it may be the target's
// authority, or a pseudo-header, and not among the fields.
func (g *Guest) host(kind uint32) (string, bool) {
	if kind != kindRequest || g.x.Request.Authority == "" {
		return "", false
	}
	return g.x.Request.Authority, true
}

// writer fills a buffer in guest memory with NUL-terminated strings, or only
// counts if they do not fit.
type writer struct {
	dst    []byte
	n      int
	count  uint32
	commit bool
}

func (w *writer) put(p []byte) {
	if w.commit {
		copy(w.dst[w.n:], p)
		w.dst[w.n+len(p)] = 0
	}
	w.n += len(p) + 1
}

func (w *writer) putLower(p []byte) {
	if w.commit {
		for i, c := range p {
			w.dst[w.n+i] = lower(c)
		}
		w.dst[w.n+len(p)] = 0
	}
	w.n += len(p) + 1
}

// strings runs fill once to measure and, if the result fits, again to write.
// The result is count<<32 | length.
func (g *Guest) strings(function string, ptr, limit uint32, fill func(*Guest, *writer)) uint64 {
	w := &g.out
	*w = writer{}
	fill(g, w)
	if w.n > 0 && uint64(w.n) <= uint64(limit) {
		*w = writer{dst: g.bytes(function, "buf", ptr, uint32(w.n)), commit: true}
		fill(g, w)
		w.dst = nil
	}
	return uint64(w.count)<<32 | uint64(w.n)
}

// getHeaderValues implements get_header_values.
func getHeaderValues(g *Guest, stack []uint64) {
	const function = "get_header_values"
	kind, ptr, limit := uint32(stack[0]), uint32(stack[3]), uint32(stack[4])
	h := g.head(function, kind)
	name := g.name(function, uint32(stack[1]), uint32(stack[2]))
	if !g.env.Read.Has(name) {
		stack[0] = 0
		return
	}
	g.values = h.Values(g.values[:0], exchange.String(name))
	if len(g.values) == 0 && exchange.String(name) == "host" {
		if v, ok := g.host(kind); ok {
			g.values = append(g.values, exchange.Bytes(v))
		}
	}
	total := len(g.values)
	for _, v := range g.values {
		total += len(v)
	}
	if total > 0 && uint64(total) <= uint64(limit) {
		w := writer{dst: g.bytes(function, "buf", ptr, uint32(total)), commit: true}
		for _, v := range g.values {
			w.put(v)
		}
	}
	stack[0] = uint64(len(g.values))<<32 | uint64(total)
}

// getHeaderNames implements get_header_names: each name once, in lower case.
func getHeaderNames(g *Guest, stack []uint64) {
	const function = "get_header_names"
	kind := uint32(stack[0])
	h := g.head(function, kind)
	stack[0] = g.strings(function, uint32(stack[1]), uint32(stack[2]), func(g *Guest, w *writer) {
		sawHost := false
		for i := range h.Len() {
			id, name, _ := h.At(i)
			sawHost = sawHost || id == exchange.NameHost
			if !g.env.Read.Has(g.lower(name)) || seen(h, i, name) {
				continue
			}
			w.putLower(name)
			w.count++
		}
		if _, ok := g.host(kind); ok && !sawHost && g.env.Read.Has([]byte("host")) {
			w.put([]byte("host"))
			w.count++
		}
	})
}

// seen reports whether one of the first n fields has this name.
func seen(h *exchange.Head, n int, name []byte) bool {
	for i := range n {
		if _, other, _ := h.At(i); equalFold(other, name) {
			return true
		}
	}
	return false
}

// getAllHeaders implements headgate_v1's get_all_headers: name and value of
// every field in order, each NUL-terminated. The count is that of the fields.
func getAllHeaders(g *Guest, stack []uint64) {
	const function = "get_all_headers"
	kind := uint32(stack[0])
	h := g.head(function, kind)
	stack[0] = g.strings(function, uint32(stack[1]), uint32(stack[2]), func(g *Guest, w *writer) {
		sawHost := false
		for i := range h.Len() {
			id, name, value := h.At(i)
			sawHost = sawHost || id == exchange.NameHost
			if g.env.Read.Has(g.lower(name)) {
				w.putLower(name)
				w.put(value)
				w.count++
			}
		}
		if v, ok := g.host(kind); ok && !sawHost && g.env.Read.Has([]byte("host")) {
			w.put([]byte("host"))
			w.put(exchange.Bytes(v))
			w.count++
		}
	})
}

// editable returns the head that an edit of a field concerns, or nil if the
// gateway keeps the field to itself: what frames a message or belongs to one
// connection (RFC 9110 section 7.6.1), and the host, by which the request was
// routed already. Such an edit does nothing.
func (g *Guest) editable(function string, kind uint32, name []byte) *exchange.Head {
	h := g.head(function, kind)
	if g.inChunk() || g.phase == phaseResponse && (kind == kindRequest || kind == kindRequestTrailer) {
		g.misplaced(function, kind)
	}
	if !g.env.Write.Has(name) {
		g.env.Denials.Add()
		fail(fmt.Sprintf("%s: %q is not granted by allow.headers.write", function, name))
	}
	switch id := exchange.Classify(name); {
	case id.HopByHop(), id == exchange.NameContentLength:
		return nil
	case id == exchange.NameHost && kind == kindRequest:
		return nil
	}
	if kind >= kindRequestTrailer {
		g.s.trailers = true
	}
	return h
}

func (g *Guest) edit(function string, stack []uint64) (h *exchange.Head, name, value string) {
	n := g.name(function, uint32(stack[1]), uint32(stack[2]))
	v := g.bytes(function, "value", uint32(stack[3]), uint32(stack[4]))
	if !exchange.ValidName(n) {
		fail(fmt.Sprintf("%s: %q is not a field name", function, n))
	}
	if !exchange.ValidValue(v) {
		fail(fmt.Sprintf("%s: the value of %q has a control character", function, n))
	}
	g.s.written += len(n) + len(v) + editCost
	if g.s.written > maxEdits {
		fail(function + ": too many bytes of header fields")
	}
	return g.editable(function, uint32(stack[0]), n), exchange.String(n), exchange.String(v)
}

// setHeaderValue implements set_header_value.
func setHeaderValue(g *Guest, stack []uint64) {
	g.need("set_header_value")
	if h, name, value := g.edit("set_header_value", stack); h != nil {
		h.Set(name, value)
	}
}

// addHeaderValue implements add_header_value.
func addHeaderValue(g *Guest, stack []uint64) {
	g.need("add_header_value")
	if h, name, value := g.edit("add_header_value", stack); h != nil {
		h.Add(name, value)
	}
}

// removeHeader implements remove_header.
func removeHeader(g *Guest, stack []uint64) {
	const function = "remove_header"
	g.need(function)
	name := g.name(function, uint32(stack[1]), uint32(stack[2]))
	if h := g.editable(function, uint32(stack[0]), name); h != nil {
		h.Del(exchange.String(name))
	}
}
