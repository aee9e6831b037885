package policies

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/headgate/headgate/runtime/exchange"
)

// decision is what a policy said, checked.
type decision struct {
	allowed bool

	// With allowed: edits of the request, and fields for the response.
	headers         []field
	removeHeaders   []string
	responseHeaders []field
	setQuery        []field
	removeQuery     []string

	// Without: the answer. Its header fields are in headers.
	status int
	body   string

	metadata map[string]any

	extension
}

type field struct {
	name   string
	values []string
}

// decode checks the types of a decision. An error names the part at fault.
func decode(v ast.Value) (decision, error) {
	d := decision{status: 403}
	switch v := v.(type) {
	case ast.Boolean:
		d.allowed = bool(v)
		return d, nil
	case ast.Object:
		err := d.decodeObject(v)
		return d, err
	}
	return d, fmt.Errorf("the decision is neither a boolean nor an object but %s", kind(v))
}

func (d *decision) decodeObject(o ast.Object) error {
	if o.Get(keys.allowed) == nil {
		return fmt.Errorf("the decision has no %q", "allowed")
	}
	err := o.Iter(func(k, v *ast.Term) error {
		key, ok := k.Value.(ast.String)
		if !ok {
			return nil
		}
		var err error
		switch name := string(key); name {
		case "allowed":
			b, ok := v.Value.(ast.Boolean)
			if !ok {
				return wrong(name, "a boolean", v)
			}
			d.allowed = bool(b)
		case "headers":
			d.headers, err = headerFields(name, v)
		case "response_headers_to_add":
			d.responseHeaders, err = headerFields(name, v)
		case "request_headers_to_remove":
			if d.removeHeaders, err = texts(name, v); err == nil {
				err = editable(name, d.removeHeaders...)
			}
		case "http_status":
			d.status, err = statusOf(v)
		case "body":
			s, ok := v.Value.(ast.String)
			if !ok {
				return wrong(name, "a string (json.marshal makes one of an object)", v)
			}
			d.body = string(s)
		case "dynamic_metadata":
			if _, ok := v.Value.(ast.Object); !ok {
				return wrong(name, "an object", v)
			}
			var m any
			if m, err = ast.JSON(v.Value); err == nil {
				d.metadata, _ = m.(map[string]any)
			}
		case "query_parameters_to_set":
			d.setQuery, err = fields(name, v)
		case "query_parameters_to_remove":
			d.removeQuery, err = texts(name, v)
		}
		return err
	})
	if err != nil {
		return err
	}
	// After dynamic_metadata, which obligations are added to.
	return o.Iter(func(k, v *ast.Term) error {
		name, _ := k.Value.(ast.String)
		return d.decodeExtension(string(name), v)
	})
}

func statusOf(v *ast.Term) (int, error) {
	n, ok := v.Value.(ast.Number)
	if !ok {
		return 0, wrong("http_status", "a number", v)
	}
	status, ok := n.Int()
	if !ok || status < 200 || status > 599 {
		return 0, fmt.Errorf("http_status is %s, which is no status from 200 to 599", n)
	}
	return status, nil
}

func wrong(name string, want string, got *ast.Term) error {
	return fmt.Errorf("%s is not %s but %s", name, want, kind(got.Value))
}

func kind(v ast.Value) string {
	name := ast.ValueName(v)
	if strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

func headerFields(name string, v *ast.Term) ([]field, error) {
	list, err := fields(name, v)
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		if err := editable(name, f.name); err != nil {
			return nil, err
		}
		for _, value := range f.values {
			if !exchange.ValidValue(value) {
				return nil, fmt.Errorf("%s has a value of %s with a byte that no header may have", name, f.name)
			}
		}
	}
	return list, nil
}

// editable refuses names that no header can have, and those that belong to the
// connection or the framing and are the gateway's alone.
func editable(in string, names ...string) error {
	for _, n := range names {
		id := exchange.Classify(n)
		switch {
		case !exchange.ValidName(n):
			return fmt.Errorf("%s names %q, which is no header name", in, n)
		case id.HopByHop(), id == exchange.NameContentLength, id == exchange.NameHost:
			return fmt.Errorf("%s names %s, which a policy can't change", in, n)
		}
	}
	return nil
}

// fields reads an object of strings or lists of strings, or a list of such
// objects.
func fields(name string, v *ast.Term) ([]field, error) {
	var out []field
	object := func(v *ast.Term) error {
		o, ok := v.Value.(ast.Object)
		if !ok {
			return wrong(name, "an object or a list of objects", v)
		}
		return o.Iter(func(k, v *ast.Term) error {
			key, ok := k.Value.(ast.String)
			if !ok {
				return wrong(name, "an object with string keys", k)
			}
			var values []string
			if s, ok := v.Value.(ast.String); ok {
				values = []string{string(s)}
			} else {
				var err error
				if values, err = texts(name+"."+string(key), v); err != nil {
					return err
				}
			}
			for i := range out {
				if strings.EqualFold(out[i].name, string(key)) {
					out[i].values = append(out[i].values, values...)
					return nil
				}
			}
			out = append(out, field{string(key), values})
			return nil
		})
	}
	if _, ok := v.Value.(ast.Object); ok {
		return out, object(v)
	}
	list, ok := v.Value.(interface {
		Iter(func(*ast.Term) error) error
	})
	if !ok {
		return nil, wrong(name, "an object or a list of objects", v)
	}
	return out, list.Iter(object)
}

// texts reads a list or set of strings.
func texts(name string, v *ast.Term) ([]string, error) {
	list, ok := v.Value.(interface {
		Iter(func(*ast.Term) error) error
	})
	if !ok {
		return nil, wrong(name, "a list of strings", v)
	}
	var out []string
	err := list.Iter(func(t *ast.Term) error {
		s, ok := t.Value.(ast.String)
		if !ok {
			return wrong(name, "a list of strings", t)
		}
		out = append(out, string(s))
		return nil
	})
	return out, err
}

// editRequest applies an allowing decision, in Envoy's order: what is removed
// stays away even if it is also set.
func (d *decision) editRequest(r *exchange.Request) {
	for _, f := range d.headers {
		for i, v := range f.values {
			if i == 0 {
				r.Head.Set(f.name, v)
			} else {
				r.Head.Add(f.name, v)
			}
		}
	}
	for _, name := range d.removeHeaders {
		r.Head.Del(name)
	}
	if len(d.setQuery) > 0 || len(d.removeQuery) > 0 {
		r.RawQuery = d.editQuery(r.RawQuery)
	}
}

// editResponse adds what an allowing decision has for the client.
func (d *decision) editResponse(h *exchange.Head) {
	for _, f := range d.responseHeaders {
		for _, v := range f.values {
			h.Add(f.name, v)
		}
	}
}

// editQuery keeps the text and order of the parameters that it does not touch.
func (d *decision) editQuery(raw string) string {
	var out []string
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		k, _, _ := strings.Cut(pair, "=")
		k = unescape(k)
		set := slices.ContainsFunc(d.setQuery, func(f field) bool { return f.name == k })
		if !set && !slices.Contains(d.removeQuery, k) {
			out = append(out, pair)
		}
	}
	for _, f := range d.setQuery {
		if slices.Contains(d.removeQuery, f.name) {
			continue
		}
		for _, v := range f.values {
			out = append(out, url.QueryEscape(f.name)+"="+url.QueryEscape(v))
		}
	}
	return strings.Join(out, "&")
}

// answer makes the response of a refusal. Without a body of the policy's own
// the engine gives it one.
func (d *decision) answer(x *exchange.Exchange) exchange.Verdict {
	contentType := ""
	if d.body != "" && !slices.ContainsFunc(d.headers, func(f field) bool { return strings.EqualFold(f.name, "content-type") }) {
		contentType = "text/plain; charset=utf-8"
	}
	verdict := x.Reply(d.status, contentType, []byte(d.body))
	for _, f := range d.headers {
		for _, v := range f.values {
			x.Response.Head.Add(f.name, v)
		}
	}
	return verdict
}
