package proxywasm

import (
	"strconv"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// The types of maps.
const (
	mapRequestHeaders = iota
	mapRequestTrailers
	mapResponseHeaders
	mapResponseTrailers
	mapGRPCInitial
	mapGRPCTrailing
	mapCallHeaders
	mapCallTrailers
)

// view is a map of the running call. fixed ones can't be changed any more: an
// edit does nothing, as for a header that Envoy sent already.
type view struct {
	head  *exchange.Head
	which uint32
	fixed bool
}

// view returns a map, if it is there now.
func (g *Guest) view(which uint32) (v view, found bool) {
	v.which = which
	if g.answer != nil {
		switch which {
		case mapCallHeaders, mapGRPCInitial:
			v.head, v.fixed = &g.answer.Answer, true
			return v, true
		case mapCallTrailers, mapGRPCTrailing:
			v.head, v.fixed = &g.answer.Trailer, true
			return v, true
		}
	}
	if g.stream == nil || g.stream.x == nil {
		return v, false
	}
	x, at := g.stream.x, g.stage
	switch which {
	case mapRequestHeaders:
		v.head, v.fixed = &x.Request.Head, at != stageRequestHeaders
		return v, at != stageNone
	case mapRequestTrailers:
		v.head, v.fixed = &x.Request.Trailer, at != stageRequestTrailers
		return v, at == stageRequestTrailers || at == stageLog
	case mapResponseHeaders:
		v.head, v.fixed = &x.Response.Head, at != stageResponseHeaders
		return v, at >= stageResponseHeaders
	case mapResponseTrailers:
		v.head, v.fixed = &x.Response.Trailer, at != stageResponseTrailers
		return v, at == stageResponseTrailers || at == stageLog
	}
	return v, false
}

// pseudo are the names of what is not among the fields, in the order in which a
// map has them.
func (v view) pseudo() []string {
	switch v.which {
	case mapRequestHeaders:
		return requestPseudo[:]
	case mapResponseHeaders, mapCallHeaders:
		return responsePseudo[:]
	}
	return nil
}

var (
	requestPseudo  = [...]string{":authority", ":path", ":method", ":scheme"}
	responsePseudo = [...]string{":status"}
)

// field returns a pseudo field; the bytes are valid until the next call.
func (g *Guest) field(v view, name string) ([]byte, bool) {
	if v.which == mapCallHeaders {
		return strconv.AppendInt(g.number[:0], int64(g.answer.Status), 10), name == ":status"
	}
	x := g.stream.x
	switch name {
	case ":authority":
		return exchange.Bytes(x.Request.Authority), g.env.Read.Has([]byte("host"))
	case ":path":
		return exchange.Bytes(g.path(x)), true
	case ":method":
		return exchange.Bytes(x.Request.Method), true
	case ":scheme":
		return exchange.Bytes(x.Request.Scheme), true
	case ":status":
		return strconv.AppendInt(g.number[:0], int64(x.Response.Status), 10), v.which == mapResponseHeaders
	}
	return nil, false
}

// path returns path and query.
func (g *Guest) path(x *exchange.Exchange) string {
	if x.Request.RawQuery == "" {
		return x.Request.Path
	}
	return x.Request.Path + "?" + x.Request.RawQuery
}

// shown reports whether the guest sees a field.
func (g *Guest) shown(v view, id exchange.Name, name []byte) bool {
	if v.which == mapRequestHeaders && id == exchange.NameHost {
		return false // it is :authority
	}
	return v.which >= mapGRPCInitial || g.env.Read.Has(g.lower(name))
}

// lower returns p in lower case, valid until the next call.
func (g *Guest) lower(p []byte) []byte {
	i := 0
	for i < len(p) && (p[i] < 'A' || p[i] > 'Z') {
		i++
	}
	if i == len(p) {
		return p
	}
	q := append(g.lowered[:0], p...)
	for ; i < len(q); i++ {
		if 'A' <= q[i] && q[i] <= 'Z' {
			q[i] |= 0x20
		}
	}
	return q
}

// collect serialises a map into g.out.
func (g *Guest) collect(v view) {
	g.out.reset()
	for _, name := range v.pseudo() {
		if value, shown := g.field(v, name); shown {
			g.out.add(exchange.Bytes(name), value)
		}
	}
	for i := range v.head.Len() {
		if id, name, value := v.head.At(i); g.shown(v, id, name) {
			g.out.add(g.lower(name), value)
		}
	}
}

// count returns the number of fields that the guest sees in a map.
func (g *Guest) count(which uint32) (n int) {
	v, found := g.view(which)
	if !found {
		return 0
	}
	for _, name := range v.pseudo() {
		if _, shown := g.field(v, name); shown {
			n++
		}
	}
	for i := range v.head.Len() {
		if id, name, _ := v.head.At(i); g.shown(v, id, name) {
			n++
		}
	}
	return n
}

func getPairs(g *Guest, a []uint64) status {
	v, found := g.view(uint32(a[0]))
	if !found {
		return badArgument
	}
	g.collect(v)
	n := g.out.size()
	ptr, p := g.alloc(n)
	g.out.write(p)
	if s := g.put(a[1], ptr); s != ok {
		return s
	}
	return g.put(a[2], uint32(n))
}

func getMapSize(g *Guest, a []uint64) status {
	v, found := g.view(uint32(a[0]))
	if !found {
		return badArgument
	}
	g.collect(v)
	return g.put(a[1], uint32(g.out.size()))
}

func getValue(g *Guest, a []uint64) status {
	v, found := g.view(uint32(a[0]))
	if !found {
		return badArgument
	}
	name, in := g.read(a[1], a[2])
	if !in {
		return invalidMemoryAccess
	}
	if len(name) > 0 && name[0] == ':' {
		if value, shown := g.field(v, exchange.String(name)); shown {
			return g.give(a[3], a[4], value)
		}
		return notFound
	}
	name = g.lower(name)
	if v.which == mapRequestHeaders && string(name) == "host" {
		if value, shown := g.field(v, ":authority"); shown {
			return g.give(a[3], a[4], value)
		}
		return notFound
	}
	if v.which < mapGRPCInitial && !g.env.Read.Has(name) {
		return notFound
	}
	return g.giveValues(v.head, name, a[3], a[4])
}

// giveValues gives the values of a field, several joined by commas as Envoy does.
func (g *Guest) giveValues(h *exchange.Head, lower []byte, ptr, size uint64) status {
	var few [4][]byte
	values := h.Values(few[:0], exchange.String(lower))
	switch len(values) {
	case 0:
		return notFound
	case 1:
		return g.give(ptr, size, values[0])
	}
	joined := append([]byte(nil), values[0]...)
	for _, v := range values[1:] {
		joined = append(append(joined, ','), v...)
	}
	return g.give(ptr, size, joined)
}

func replaceValue(g *Guest, a []uint64) status { return g.edit(a, true) }
func addValue(g *Guest, a []uint64) status     { return g.edit(a, false) }

func removeValue(g *Guest, a []uint64) status {
	v, found := g.view(uint32(a[0]))
	if !found || v.which >= mapGRPCInitial {
		return badArgument
	}
	name, in := g.read(a[1], a[2])
	if !in {
		return invalidMemoryAccess
	}
	name = g.lower(name)
	if s := g.mayWrite(v, name); s != ok {
		return s
	}
	if g.editable(v, name) {
		v.head.Del(exchange.String(name))
	}
	return ok
}

func (g *Guest) edit(a []uint64, replace bool) status {
	v, found := g.view(uint32(a[0]))
	if !found || v.which >= mapGRPCInitial {
		return badArgument
	}
	name, in := g.read(a[1], a[2])
	value, in2 := g.read(a[3], a[4])
	if !in || !in2 {
		return invalidMemoryAccess
	}
	return g.set(v, name, value, replace)
}

// maxEdits bounds what one exchange may have the host remember of fields, each
// counting editCost more.
const (
	maxEdits = 256 << 10
	editCost = 256
)

// set changes a field, or a pseudo field.
func (g *Guest) set(v view, name, value []byte, replace bool) status {
	if !exchange.ValidValue(value) {
		return badArgument
	}
	if g.stream.edits += len(name) + len(value) + editCost; g.stream.edits > maxEdits {
		return internalFailure
	}
	if len(name) > 0 && name[0] == ':' {
		return g.setPseudo(v, string(name), value)
	}
	name = g.lower(name)
	if !exchange.ValidName(name) {
		return badArgument
	}
	if v.which == mapRequestHeaders && string(name) == "host" {
		return g.setPseudo(v, ":authority", value)
	}
	if s := g.mayWrite(v, name); s != ok {
		return s
	}
	if !g.editable(v, name) {
		return ok
	}
	if replace {
		v.head.Set(exchange.String(name), exchange.String(value))
	} else {
		v.head.Add(exchange.String(name), exchange.String(value))
	}
	return ok
}

// mayWrite looks at the grants.
func (g *Guest) mayWrite(v view, lower []byte) status {
	if v.which < mapGRPCInitial && !g.env.Write.Has(lower) {
		g.env.Denials.Add()
		return badArgument
	}
	return ok
}

// editable reports whether an edit does something. What frames a message or
// belongs to one connection is the gateway's (RFC 9110 section 7.6.1).
func (g *Guest) editable(v view, lower []byte) bool {
	if v.fixed {
		return false
	}
	switch id := exchange.Classify(lower); {
	case id == exchange.NameContentLength:
		g.lengthChanges(v)
		return false
	case id.HopByHop():
		return false
	case id == exchange.NameHost:
		return v.which != mapRequestHeaders
	}
	return true
}

// lengthChanges is called when the guest touches Content-Length: it says that it
// will change the body, whose length is then only known at its end.
func (g *Guest) lengthChanges(v view) {
	x := g.stream.x
	switch {
	case v.which == mapRequestHeaders && x.Request.Body != nil && g.on.requestBody != nil:
		x.Request.Length = exchange.Unknown
		x.Request.Head.Del("content-length")
	case v.which == mapResponseHeaders && x.Response.Body != nil && g.on.responseBody != nil:
		x.Response.Length = exchange.Unknown
		x.Response.Head.Del("content-length")
	}
}

// setPseudo changes what is not a field.
func (g *Guest) setPseudo(v view, name string, value []byte) status {
	x := g.stream.x
	if name == ":status" && v.which == mapResponseHeaders {
		n, err := strconv.Atoi(string(value))
		if err != nil || n < 200 || n > 599 || x.Response.Status == 101 {
			return badArgument
		}
		if !v.fixed {
			x.Response.Status = n
		}
		return ok
	}
	if v.which != mapRequestHeaders {
		return badArgument
	}
	switch name {
	case ":path":
		path, query, valid := abi.SplitURI(value)
		if !valid {
			return badArgument
		}
		if !v.fixed {
			x.Request.Path, x.Request.RawQuery = string(path), string(query)
		}
	case ":method":
		if !exchange.ValidName(value) || string(value) != x.Request.Method && (fixedMethod(string(value)) || fixedMethod(x.Request.Method)) {
			return badArgument
		}
		if !v.fixed {
			x.Request.Method = string(value)
		}
	case ":authority":
		if s := g.mayWrite(v, []byte("host")); s != ok {
			return s
		}
		if !validAuthority(value) {
			return badArgument
		}
		if !v.fixed {
			x.Request.Authority = string(value)
			if _, has := x.Request.Head.Known(exchange.NameHost); has {
				x.Request.Head.Set("host", x.Request.Authority)
			}
		}
	case ":scheme": // what the client used stays what it is
	default:
		return badArgument
	}
	return ok
}

// fixedMethod: whether the answer has a body depends on these (RFC 9112 section
// 6.3), and the client goes by the one that it sent.
func fixedMethod(m string) bool { return m == "HEAD" || m == "CONNECT" }

func setPairs(g *Guest, a []uint64) status {
	v, found := g.view(uint32(a[0]))
	if !found || v.which >= mapGRPCInitial {
		return badArgument
	}
	p, in := g.read(a[1], a[2])
	if !in {
		return invalidMemoryAccess
	}
	if !pairsOf(p, func(name, value []byte) bool { return len(name) > 0 && exchange.ValidValue(value) }) {
		return badArgument
	}
	if v.fixed {
		return ok
	}
	for i := v.head.Len() - 1; i >= 0; i-- {
		id, name, _ := v.head.At(i)
		lower := g.lower(name)
		if g.shown(v, id, name) && !id.HopByHop() && id != exchange.NameContentLength && g.env.Write.Has(lower) {
			v.head.DelAt(i)
		}
	}
	s := ok
	pairsOf(p, func(name, value []byte) bool {
		if string(name) == "content-length" {
			return true // it may be what the guest was given
		}
		s = g.set(v, name, value, false)
		return s == ok
	})
	return s
}

// validAuthority reports whether p could be a host with or without a port.
func validAuthority(p []byte) bool {
	for _, c := range p {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return len(p) > 0 && len(p) < 256
}
