package native

import "encoding/binary"

// maxCalls bounds how many requests are sent at once.
const maxCalls = 16

// fetchMany implements headgate_v1's fetch_many: it sends requests at once and waits
// for all answers, among which fetch_answer chooses. A request is five numbers of
// 32 bits, little-endian: the lengths of method, URL, fields and body, and the
// timeout in milliseconds; then these four.
func fetchMany(g *Guest, stack []uint64) {
	const name = "fetch_many"
	x := g.need(name)
	g.fetched, g.many = nil, nil
	p := g.bytes(name, "requests", uint32(stack[0]), uint32(stack[1]))
	var calls, ready []*call
	for len(p) > 0 {
		var parts [4][]byte
		timeout, rest, ok := cutCall(p, &parts)
		if !ok || len(calls) == maxCalls {
			stack[0] = result(fetchInvalid)
			return
		}
		c := g.prepare(parts[0], parts[1], parts[2], parts[3], timeout)
		if calls, p = append(calls, c), rest; c.status == 0 {
			ready = append(ready, c)
		}
	}
	for _, c := range ready { // together they have what one may have
		c.q.Limit = int64(min(g.env.MaxBody, maxFetchAnswer) / len(ready))
	}
	if len(ready) > 0 {
		g.send(x, ready...)
	}
	g.fetched, g.many = nil, calls
	stack[0] = uint64(len(calls))
}

// cutCall cuts a request off p.
func cutCall(p []byte, parts *[4][]byte) (timeout uint32, rest []byte, ok bool) {
	const head = 20
	if len(p) < head {
		return 0, nil, false
	}
	rest = p[head:]
	for i := range parts {
		n := binary.LittleEndian.Uint32(p[4*i:])
		if uint64(n) > uint64(len(rest)) {
			return 0, nil, false
		}
		parts[i], rest = rest[:n], rest[n:]
	}
	return binary.LittleEndian.Uint32(p[16:]), rest, true
}

// fetchAnswer implements headgate_v1's fetch_answer: the answer that fetch_headers
// and fetch_body return from now on.
func fetchAnswer(g *Guest, stack []uint64) {
	g.need("fetch_answer")
	i := uint64(uint32(stack[0]))
	if i >= uint64(len(g.many)) {
		stack[0] = result(fetchInvalid)
		return
	}
	c := g.many[i]
	if g.fetched = nil; c.status > 0 {
		g.fetched = c.q
	}
	stack[0] = result(c.status)
}
