package native

import (
	"fmt"
	"net/netip"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// getMethod implements get_method.
func getMethod(g *Guest, stack []uint64) {
	x := g.need("get_method")
	stack[0] = g.putString("get_method", "buf", uint32(stack[0]), uint32(stack[1]), x.Request.Method)
}

// setMethod implements set_method.
func setMethod(g *Guest, stack []uint64) {
	x := g.onRequest("set_method")
	m := g.bytes("set_method", "method", uint32(stack[0]), uint32(stack[1]))
	if !exchange.ValidName(m) {
		fail(fmt.Sprintf("set_method: %q is not a method", m))
	}
	// Whether the answer has a body depends on these methods (RFC 9112 section
	// 6.3), and the client goes by the one that it sent.
	if to := exchange.String(m); to != x.Request.Method && (fixedMethod(to) || fixedMethod(x.Request.Method)) {
		fail(fmt.Sprintf("set_method: %s can't become %s", x.Request.Method, to))
	}
	x.Request.Method = g.keep(m)
}

func fixedMethod(m string) bool { return m == "HEAD" || m == "CONNECT" }

// getURI implements get_uri: path and query.
func getURI(g *Guest, stack []uint64) {
	const function, what = "get_uri", "buf"
	r := &g.need("get_uri").Request
	ptr, limit := uint32(stack[0]), uint32(stack[1])
	path := r.Path
	if path == "" {
		path = "/"
	}
	if r.RawQuery == "" {
		stack[0] = g.putString(function, what, ptr, limit, path)
		return
	}
	n := len(path) + 1 + len(r.RawQuery)
	if uint64(n) <= uint64(limit) {
		p := g.bytes(function, what, ptr, uint32(n))
		copy(p, path)
		p[len(path)] = '?'
		copy(p[len(path)+1:], r.RawQuery)
	}
	stack[0] = uint64(n)
}

// setURI implements set_uri: path and, after a question mark, query.
func setURI(g *Guest, stack []uint64) {
	x := g.onRequest("set_uri")
	p := g.bytes("set_uri", "uri", uint32(stack[0]), uint32(stack[1]))
	if len(p) == 0 {
		x.Request.Path, x.Request.RawQuery = "/", ""
		return
	}
	if len(p) > abi.MaxURI {
		fail("set_uri: the URI is too long")
	}
	path, query, ok := abi.SplitURI(p)
	if !ok {
		fail(fmt.Sprintf("set_uri: %.200q is not a path in normal form with an optional query", p))
	}
	x.Request.Path, x.Request.RawQuery = g.keep(path), g.keep(query)
}

// getProtocolVersion implements get_protocol_version.
func getProtocolVersion(g *Guest, stack []uint64) {
	x := g.need("get_protocol_version")
	text := x.Request.Proto.String()
	switch x.Request.Proto {
	case exchange.HTTP2:
		text = "HTTP/2.0"
	case exchange.HTTP3:
		text = "HTTP/3.0"
	}
	stack[0] = g.putString("get_protocol_version", "buf", uint32(stack[0]), uint32(stack[1]), text)
}

// getSourceAddr implements get_source_addr: the client behind trusted proxies;
// its port is known only if it is the peer itself.
func getSourceAddr(g *Guest, stack []uint64) {
	x := g.need("get_source_addr")
	var addr netip.AddrPort
	if x.Conn != nil {
		addr = x.Conn.Peer
	}
	if x.RemoteIP.IsValid() && x.RemoteIP != addr.Addr() {
		addr = netip.AddrPortFrom(x.RemoteIP, 0)
	}
	var text []byte
	if addr.IsValid() {
		text = addr.AppendTo(g.scratch[:0])
	}
	stack[0] = g.put("get_source_addr", "buf", uint32(stack[0]), uint32(stack[1]), text)
}

// getStatusCode implements get_status_code.
func getStatusCode(g *Guest, stack []uint64) {
	x := g.need("get_status_code")
	status := x.Response.Status
	if g.phase == phaseRequestChunk {
		fail("get_status_code is not allowed " + g.phase.String())
	}
	if g.phase == phaseRequest {
		if status = g.s.status; status == 0 {
			status = 200
		}
	}
	stack[0] = uint64(uint32(status))
}

// setStatusCode implements set_status_code.
func setStatusCode(g *Guest, stack []uint64) {
	x := g.need("set_status_code")
	status := int(uint32(stack[0]))
	if g.inChunk() {
		fail("set_status_code is not allowed " + g.phase.String())
	}
	if status < 200 || status > 599 {
		fail(fmt.Sprintf("set_status_code: %d is not the status of a final response", status))
	}
	switch {
	case g.phase == phaseRequest:
		g.s.status = status
	case x.Response.Status == 101:
		fail("set_status_code: the connection switches to another protocol")
	default:
		x.Response.Status = status
		if status == 204 || status == 304 {
			x.Response.SetBytes(nil) // these have no content
		}
	}
}

// onRequest ends a call that changes the request when it has gone.
func (g *Guest) onRequest(function string) *exchange.Exchange {
	x := g.need(function)
	if g.phase != phaseRequest {
		fail(function + " is not allowed " + g.phase.String())
	}
	return x
}
