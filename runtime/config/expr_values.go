package config

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/tidwall/gjson"
	"github.com/zclconf/go-cty/cty"

	"github.com/headgate/headgate/runtime/exchange"
)

// traversal compiles a path of names that starts at a request-time value.
func (c *compiler) traversal(t hcl.Traversal, rng hcl.Range) (node, bool) {
	if len(t) < 2 {
		return c.errorf(rng, "Invalid reference", "Write for example: %s", example(t.RootName()))
	}
	name, ok := stepName(t[1])
	if !ok {
		return c.errorf(rng, "Invalid reference", "Write for example: %s", example(t.RootName()))
	}
	switch t.RootName() {
	case "request":
		return c.request(name, t, rng)
	case "path":
		n, ok := c.param(name, rng)
		return c.end(n, ok, t, 2, rng)
	case "response":
		return c.response(name, t, rng)
	case "auth":
		return c.auth(name, t, rng)
	}
	return c.tls(name, t, rng)
}

func example(root string) string {
	return map[string]string{
		"request": "request.method", "path": "path.id", "response": "response.status",
		"auth": "auth.subject", "tls": "tls.client.subject",
	}[root]
}

// end refuses steps behind a value that has no members.
func (c *compiler) end(n node, ok bool, t hcl.Traversal, after int, rng hcl.Range) (node, bool) {
	if ok && len(t) > after {
		return c.errorf(rng, "Invalid reference", "%s is a %s: it has no members.", traversalText(t[:after]), strings.TrimPrefix(kindText(n.kind), "a "))
	}
	return n, ok
}

func (c *compiler) request(name string, t hcl.Traversal, rng hcl.Range) (node, bool) {
	var n node
	switch name {
	case "method":
		n = textNode(readsOther, func(x *exchange.Exchange) string { return x.Request.Method })
	case "scheme":
		n = textNode(readsOther, func(x *exchange.Exchange) string { return x.Request.Scheme })
	case "host":
		n = textNode(readsOther, func(x *exchange.Exchange) string { return x.Host })
	case "path":
		n = textNode(readsPath, func(x *exchange.Exchange) string { return x.Request.Path })
	case "raw_query":
		n = textNode(readsOther, func(x *exchange.Exchange) string { return x.Request.RawQuery })
	case "id":
		n = textNode(readsOther, func(x *exchange.Exchange) string { return x.ID })
	case "protocol":
		n = textNode(readsOther, func(x *exchange.Exchange) string { return x.Request.Proto.String() })
	case "remote_ip":
		n = node{kind: exchange.KindString, typed: true, reads: readsOther, eval: remoteIP}
	case "header", "query", "cookie", "json":
		return c.keyed(name, t, rng)
	default:
		known := []string{"method", "scheme", "host", "path", "raw_query", "remote_ip", "id", "protocol", "header", "query", "cookie", "json"}
		return c.errorf(rng, "Unknown request value", "There is no request.%s.%s", name, suggest(name, known))
	}
	return c.end(n, true, t, 2, rng)
}

// keyed compiles request.header["x"] and its like.
func (c *compiler) keyed(name string, t hcl.Traversal, rng hcl.Range) (node, bool) {
	if len(t) < 3 {
		return c.errorf(rng, "Invalid reference", "Say which one: request.%s[\"name\"]", name)
	}
	key, ok := stepName(t[2])
	if !ok {
		return c.errorf(rng, "Invalid reference", "Say which one, as a string: request.%s[\"name\"]", name)
	}
	n, ok := c.lookup(name, key, rng)
	if name == "json" {
		return c.steps(n, t[3:]), ok
	}
	return c.end(n, ok, t, 3, rng)
}

func (c *compiler) lookup(name, key string, rng hcl.Range) (node, bool) {
	switch name {
	case "header":
		return c.header(key, rng, readsOther, func(x *exchange.Exchange) *exchange.Head { return &x.Request.Head })
	case "query":
		return optional(func(x *exchange.Exchange) (string, bool) { return queryValue(x, key) }), true
	case "cookie":
		return optional(func(x *exchange.Exchange) (string, bool) { return x.Request.Cookie(key) }), true
	}
	return node{reads: readsBody, eval: jsonExpr(key, c.opt.buffer, c.opt.response)}, true
}

// optional makes a string value that may be absent.
func optional(f func(*exchange.Exchange) (string, bool)) node {
	return node{kind: exchange.KindString, typed: true, reads: readsOther, eval: func(x *exchange.Exchange) (exchange.Value, error) {
		if s, ok := f(x); ok {
			return exchange.Text(s), nil
		}
		return exchange.Value{}, nil
	}}
}

func (c *compiler) header(name string, rng hcl.Range, r reads, head func(*exchange.Exchange) *exchange.Head) (node, bool) {
	if !exchange.ValidName(name) {
		return c.errorf(rng, "Invalid header name", "%q can't be the name of a header.", name)
	}
	lower := strings.ToLower(name)
	n := optional(func(x *exchange.Exchange) (string, bool) {
		v, ok := head(x).Get(lower)
		return exchange.String(v), ok
	})
	n.reads = r
	return n, true
}

func (c *compiler) param(name string, rng hcl.Range) (node, bool) {
	if c.opt.noPath != "" {
		return c.errorf(rng, "Unknown path variable", "%s", c.opt.noPath)
	}
	rest, ok := c.opt.params[name]
	if !ok {
		hint := suggest(name, mapKeys(c.opt.params))
		if hint == "" {
			hint = " Write it as {" + name + "} in the route's path."
		}
		return c.errorf(rng, "Unknown path variable", "The route's path has no variable %q.%s", name, hint)
	}
	n := optional(func(x *exchange.Exchange) (string, bool) { return x.Param(name) })
	if rest {
		n.reads = readsRest
	}
	return n, true
}

func (c *compiler) response(name string, t hcl.Traversal, rng hcl.Range) (node, bool) {
	if !c.opt.response {
		return c.errorf(rng, "No response here", "%s is evaluated before there is a response. response.* can be used in response_headers.", c.opt.what)
	}
	switch name {
	case "status":
		n := node{kind: exchange.KindNumber, typed: true, reads: readsResponse, eval: func(x *exchange.Exchange) (exchange.Value, error) {
			return number(float64(x.Response.Status)), nil
		}}
		return c.end(n, true, t, 2, rng)
	case "header":
		if len(t) < 3 {
			return c.errorf(rng, "Invalid reference", "Say which one: response.header[\"name\"]")
		}
		if key, ok := stepName(t[2]); ok {
			n, ok := c.header(key, rng, readsResponse, func(x *exchange.Exchange) *exchange.Head { return &x.Response.Head })
			return c.end(n, ok, t, 3, rng)
		}
	}
	return c.errorf(rng, "Unknown response value", "There is response.status and response.header[\"name\"].%s", suggest(name, []string{"status", "header"}))
}

func (c *compiler) auth(name string, t hcl.Traversal, rng hcl.Range) (node, bool) {
	switch name {
	case "subject":
		return c.end(optional(func(x *exchange.Exchange) (string, bool) { return x.Auth.Subject, x.Auth.Subject != "" }), true, t, 2, rng)
	case "consumer":
		return c.end(optional(func(x *exchange.Exchange) (string, bool) { return x.Auth.Consumer, x.Auth.Consumer != "" }), true, t, 2, rng)
	case "claims":
		if len(t) > 2 {
			if key, ok := stepName(t[2]); ok {
				return c.steps(claimNode(key), t[3:]), true
			}
		}
		return c.errorf(rng, "Invalid reference", "Say which claim: auth.claims[\"name\"]")
	}
	return c.errorf(rng, "Unknown auth value", "There is auth.subject, auth.consumer and auth.claims[\"name\"].%s", suggest(name, []string{"subject", "consumer", "claims"}))
}

func claimNode(path string) node {
	return node{reads: readsOther, eval: func(x *exchange.Exchange) (exchange.Value, error) {
		return fromAny(claim(x.Auth.Claims, path)), nil
	}}
}

// claim finds path in claims. A name may itself have dots, as the URLs have
// that many issuers use.
func claim(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	for i := len(path) - 1; i > 0; i-- {
		if path[i] != '.' {
			continue
		}
		if inner, ok := claims[path[:i]].(map[string]any); ok {
			if v := claim(inner, path[i+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}

func (c *compiler) tls(name string, t hcl.Traversal, rng hcl.Range) (node, bool) {
	if name == "client" && len(t) > 2 {
		field, _ := stepName(t[2])
		n := node{kind: exchange.KindString, typed: true, reads: readsOther}
		switch field {
		case "subject", "fingerprint":
			n.eval = func(x *exchange.Exchange) (exchange.Value, error) { return clientCert(x, field), nil }
			return c.end(n, true, t, 3, rng)
		case "san":
			n.kind, n.eval = exchange.KindJSON, func(x *exchange.Exchange) (exchange.Value, error) { return clientCert(x, field), nil }
			return c.steps(n, t[3:]), true
		}
	}
	return c.errorf(rng, "Unknown tls value", "There is tls.client.subject, tls.client.san and tls.client.fingerprint.")
}

// clientCert is a field of the client's certificate, null without one.
func clientCert(x *exchange.Exchange, field string) exchange.Value {
	if x.Conn == nil {
		return exchange.Value{}
	}
	c := x.Conn.ClientCert()
	if c == nil {
		return exchange.Value{}
	}
	switch field {
	case "subject":
		return exchange.Text(c.Subject)
	case "fingerprint":
		return exchange.Text(c.Fingerprint)
	}
	list := make([]any, len(c.Names))
	for i, n := range c.Names {
		list[i] = n
	}
	return exchange.Value{Kind: exchange.KindJSON, JSON: list}
}

func remoteIP(x *exchange.Exchange) (exchange.Value, error) {
	if !x.RemoteIP.IsValid() {
		return exchange.Value{}, nil
	}
	var b [64]byte
	return exchange.Text(keep(x, x.RemoteIP.AppendTo(b[:0]))), nil
}

// index compiles a[b]. A key that is known at load makes request.header[var.x]
// the same as with the name written out.
func (c *compiler) index(e *hclsyntax.IndexExpr) (node, bool) {
	if t, ok := e.Collection.(*hclsyntax.ScopeTraversalExpr); ok && c.s.isRequestTime(t.Traversal) {
		key, ok := c.key(e.Key)
		if !ok {
			return constant(exchange.Value{}), false
		}
		full := append(t.Traversal[:len(t.Traversal):len(t.Traversal)], hcl.TraverseIndex{Key: cty.StringVal(key), SrcRange: e.SrcRange})
		return c.traversal(full, e.SrcRange)
	}
	n, ok1 := c.node(e.Collection)
	k, ok2 := c.node(e.Key)
	coll, key := n.eval, k.eval
	return node{reads: n.reads | k.reads, eval: func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := coll(x)
		if err != nil {
			return v, err
		}
		w, err := key(x)
		if err != nil {
			return w, err
		}
		return element(x, v, w)
	}}, ok1 && ok2
}

// steps compiles members of a JSON value.
func (c *compiler) steps(n node, t hcl.Traversal) node {
	for _, step := range t {
		var key exchange.Value
		switch step := step.(type) {
		case hcl.TraverseAttr:
			key = exchange.Text(step.Name)
		case hcl.TraverseIndex:
			key = valueOf(step.Key)
		}
		of := n.eval
		n = node{reads: n.reads, eval: func(x *exchange.Exchange) (exchange.Value, error) {
			v, err := of(x)
			if err != nil {
				return v, err
			}
			return element(x, v, key)
		}}
	}
	return n
}

// element is a member of a JSON value, null if there is none.
func element(x *exchange.Exchange, v, key exchange.Value) (exchange.Value, error) {
	if v.Kind == exchange.KindNull {
		return v, nil
	}
	switch j := v.JSON.(type) {
	case map[string]any:
		name, err := asText(x, key)
		return fromAny(j[name]), err
	case []any:
		if f, ok := asNumber(key); ok {
			if f >= 0 && f < float64(len(j)) && f == math.Trunc(f) {
				return fromAny(j[int(f)]), nil
			}
			return exchange.Value{}, nil
		}
	}
	return v, typeError("a value with members", v)
}

// fromAny is a JSON value, as encoding/json and gjson make them.
func fromAny(v any) exchange.Value {
	switch v := v.(type) {
	case nil:
		return exchange.Value{}
	case bool:
		return boolean(v)
	case float64:
		return number(v)
	case string:
		return exchange.Text(v)
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return exchange.Text(v.String())
		}
		return number(f)
	case int:
		return number(float64(v))
	case int64:
		return number(float64(v))
	}
	return exchange.Value{Kind: exchange.KindJSON, JSON: v}
}

// errBody says that request.json can't be answered. Null would be wrong: a
// client could make a condition false by sending a long body.
var errBody = errors.New("the request body is larger than the route's buffer, so request.json can't be read")

// jsonExpr reads a gjson path in the request body. A body that is not JSON has
// no values.
func jsonExpr(path string, buffer int64, late bool) exchange.Expr {
	return func(x *exchange.Exchange) (exchange.Value, error) {
		r, err := jsonResult(x, path, buffer, late)
		if err != nil {
			return exchange.Value{}, err
		}
		return fromResult(r), nil
	}
}

func jsonResult(x *exchange.Exchange, path string, buffer int64, late bool) (gjson.Result, error) {
	m := &x.Request.Message
	if !late {
		if err := x.ReadAhead(m, buffer); err != nil {
			return gjson.Result{}, &exchange.BodyError{Err: err}
		}
	}
	if m.Body != nil && !m.Whole {
		return gjson.Result{}, errBody
	}
	if len(m.Buffered) == 0 || !shallow(m.Buffered) || !gjson.ValidBytes(m.Buffered) {
		return gjson.Result{}, nil
	}
	return gjson.Get(exchange.String(m.Buffered), path), nil
}

// maxJSONDepth bounds the nesting of bodies that are looked into. gjson recurses,
// and a stack beyond Go's limit ends the process.
const maxJSONDepth = 1000

// shallow reports whether b nests no deeper than maxJSONDepth. What is no JSON may
// be taken for shallow or not.
func shallow(b []byte) bool {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '[', '{':
			if depth++; depth > maxJSONDepth {
				return false
			}
		case ']', '}':
			depth--
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		}
	}
	return true
}

func fromResult(r gjson.Result) exchange.Value {
	switch r.Type {
	case gjson.True, gjson.False:
		return boolean(r.Bool())
	case gjson.Number:
		return number(r.Num)
	case gjson.String:
		return exchange.Text(r.Str)
	case gjson.JSON:
		return exchange.Value{Kind: exchange.KindJSON, JSON: r.Value()}
	}
	return exchange.Value{}
}

// queryValue is the first value of a query parameter, decoded.
func queryValue(x *exchange.Exchange, name string) (string, bool) {
	for q := x.Request.RawQuery; q != ""; {
		var pair string
		pair, q, _ = strings.Cut(q, "&")
		k, v, _ := strings.Cut(pair, "=")
		if pair != "" && unescape(x, k) == name {
			return unescape(x, v), true
		}
	}
	return "", false
}

// unescape decodes a part of a query. An escape that is none stands for itself.
func unescape(x *exchange.Exchange, s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	b := x.Arena.Alloc(len(s))[:0]
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			b = append(b, ' ')
		case '%':
			if i+2 < len(s) {
				if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
					b = append(b, byte(n))
					i += 2
					continue
				}
			}
			b = append(b, c)
		default:
			b = append(b, c)
		}
	}
	return exchange.String(b)
}
