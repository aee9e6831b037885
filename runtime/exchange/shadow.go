package exchange

import (
	"maps"
	"slices"
)

// Shadow returns a copy of x for a filter that must change nothing: it may be
// edited freely, has no Front, and its body is what was read ahead. It is valid
// as long as x.
func (x *Exchange) Shadow() *Exchange {
	y := &Exchange{
		Conn: x.Conn, Start: x.Start, ID: x.ID, RemoteIP: x.RemoteIP, Host: x.Host,
		Route: x.Route, Params: slices.Clone(x.Params), Auth: x.Auth,
		Metadata: maps.Clone(x.Metadata), Memory: x.Memory, ctx: x.ctx,
	}
	r, s := &y.Request, &x.Request
	r.Proto, r.Method, r.Scheme, r.Authority = s.Proto, s.Method, s.Scheme, s.Authority
	r.Target, r.Path, r.RawQuery, r.Upgrade = s.Target, s.Path, s.RawQuery, s.Upgrade
	r.Message.shadow(&s.Message)
	y.Enter(0, 1)
	return y
}

// ShadowResponse gives x, a shadow, a copy of src's response.
func (x *Exchange) ShadowResponse(src *Exchange) {
	x.Response.Status = src.Response.Status
	x.Response.Message.shadow(&src.Response.Message)
}

func (m *Message) shadow(src *Message) {
	m.Head.CopyFrom(&src.Head)
	m.Length = src.Length
	if src.Body == nil {
		return
	}
	m.Buffered, m.Whole = slices.Clone(src.Buffered), src.Whole
	m.fixed = fixedBody{p: m.Buffered}
	m.Body = &m.fixed
}
