package native

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/headgate/headgate/runtime/exchange"
)

const (
	// maxPublished bounds what a filter says of a caller or publishes, as JSON.
	maxPublished = 64 << 10
	// maxIdentity bounds a subject and the name of a consumer.
	maxIdentity = 1 << 10
)

// identity is exchange.Auth as JSON. A member that is not there stays as it is.
type identity struct {
	Subject  *string        `json:"subject,omitempty"`
	Consumer *string        `json:"consumer,omitempty"`
	Claims   map[string]any `json:"claims,omitempty"`
}

// granted counts a call that no grant allows.
func (g *Guest) granted(ok bool) bool {
	if !ok {
		g.env.Denials.Add()
	}
	return ok
}

// authGet implements headgate_v1's auth_get.
func authGet(g *Guest, stack []uint64) {
	const name = "auth_get"
	a := &g.need(name).Auth
	if !g.granted(g.env.Auth) {
		stack[0] = result(denied)
		return
	}
	out := identity{Claims: a.Claims}
	if a.Subject != "" {
		out.Subject = &a.Subject
	}
	if a.Consumer != "" {
		out.Consumer = &a.Consumer
	}
	stack[0] = g.putJSON(name, uint32(stack[0]), uint32(stack[1]), out)
}

// putJSON writes v, which came from JSON, to the guest's buffer.
func (g *Guest) putJSON(function string, ptr, limit uint32, v any) uint64 {
	p, err := json.Marshal(v)
	if err != nil {
		return result(invalid)
	}
	return g.put(function, "buf", ptr, limit, p)
}

// authSet implements headgate_v1's auth_set.
func authSet(g *Guest, stack []uint64) {
	const name = "auth_set"
	x := g.onRequest(name)
	if !g.granted(g.env.Auth) {
		stack[0] = result(denied)
		return
	}
	var in identity
	if code := g.decode(name, stack, &in); code != 0 {
		stack[0] = result(code)
		return
	}
	for _, s := range []*string{in.Subject, in.Consumer} {
		if s != nil && !nameable(*s) {
			stack[0] = result(invalid)
			return
		}
	}
	if in.Subject != nil {
		x.Auth.Subject = *in.Subject
	}
	if in.Consumer != nil {
		x.Auth.Consumer = *in.Consumer
	}
	if in.Claims != nil {
		x.Auth.Claims = in.Claims
	}
	stack[0] = 0
}

// decode reads the JSON object of a function's first two arguments.
func (g *Guest) decode(function string, stack []uint64, into any) (code int32) {
	p := g.bytes(function, "data", uint32(stack[0]), uint32(stack[1]))
	switch {
	case len(p) > maxPublished:
		return large
	case len(p) == 0 || p[0] != '{' || !validJSON(p) || json.Unmarshal(p, into) != nil:
		return invalid
	}
	return 0
}

// nameable reports whether a subject or a consumer can go into logs and header
// fields.
func nameable(s string) bool {
	return len(s) <= maxIdentity && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// publish implements headgate_v1's publish: an object for later filters, policies
// and the log, under the plugin's name.
func publish(g *Guest, stack []uint64) {
	const name = "publish"
	x := g.alone(name)
	data := map[string]any{}
	if code := g.decode(name, stack, &data); code != 0 {
		stack[0] = result(code)
		return
	}
	if x.Metadata == nil {
		x.Metadata = map[string]any{}
	}
	x.Metadata[g.env.Name] = data
	stack[0] = 0
}

// published implements headgate_v1's published: what another plugin or a policy
// published for this exchange.
func published(g *Guest, stack []uint64) {
	const name = "published"
	x := g.need(name)
	from := exchange.String(g.bytes(name, "name", uint32(stack[0]), uint32(stack[1])))
	if !g.granted(from == g.env.Name || g.env.Call[from]) {
		stack[0] = result(denied)
		return
	}
	data, ok := x.Metadata[from]
	if !ok {
		stack[0] = result(absent)
		return
	}
	stack[0] = g.putJSON(name, uint32(stack[2]), uint32(stack[3]), data)
}
