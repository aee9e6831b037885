package policies

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/headgate/headgate/runtime/exchange"
)

// amendment is what a policy said about a response, checked.
type amendment struct {
	allowed bool
	status  int // 0: leave it
	set     []field
	remove  []string
	body    []byte // nil: leave it
	isJSON  bool
}

// amend decodes the value of the rule for responses: a boolean, or an object.
func amend(v ast.Value) (amendment, error) {
	d := amendment{allowed: true}
	switch v := v.(type) {
	case ast.Boolean:
		d.allowed = bool(v)
		return d, nil
	case ast.Object:
		err := v.Iter(func(k, v *ast.Term) error {
			name, _ := k.Value.(ast.String)
			return d.member(string(name), v)
		})
		return d, err
	}
	return d, fmt.Errorf("the decision is neither a boolean nor an object but %s", kind(v))
}

func (d *amendment) member(name string, v *ast.Term) (err error) {
	switch name {
	case "allowed":
		b, ok := v.Value.(ast.Boolean)
		if !ok {
			return wrong(name, "a boolean", v)
		}
		d.allowed = bool(b)
	case "http_status":
		d.status, err = statusOf(v)
	case "headers":
		d.set, err = headerFields(name, v)
	case "response_headers_to_remove":
		if d.remove, err = texts(name, v); err == nil {
			err = editable(name, d.remove...)
		}
	case "body":
		if s, ok := v.Value.(ast.String); ok {
			d.body = []byte(s)
			return nil
		}
		d.isJSON = true
		var doc any
		if doc, err = ast.JSON(v.Value); err == nil {
			d.body, err = json.Marshal(doc)
		}
	}
	return err
}

// answer is the response side of the filter.
func (f *filter) answer(x *exchange.Exchange) exchange.Verdict {
	start := time.Now()
	e := event{start: start, program: f.p.program.Load(), response: true}
	if e.program == nil || e.program.response == nil {
		return exchange.Continue
	}
	verdict, result := f.amend(x, &e)
	if d := f.p.opts.Decisions; d != nil {
		d.Decision(f.p.name, result, time.Since(start))
	}
	if f.p.log != nil {
		e.record(f.p, x)
	}
	return verdict
}

func (f *filter) amend(x *exchange.Exchange, e *event) (exchange.Verdict, string) {
	p, g := f.p, e.program.response
	e.id = uuid.NewString()
	b := builder{w: &g.want, x: x}
	input, err := b.build(f.extensions, e.id)
	if err != nil {
		// The backend's answer can't be read, or, once more, the request's body.
		e.err = err
		return x.Fail(fmt.Errorf("policy %s: response: %w", p.name, err)), failed
	}
	e.input, e.size = input, b.size
	e.result, err = p.evaluate(x.Context(), g, input, p.printer(g, x))
	if err != nil {
		e.err = err
		return x.Fail(fmt.Errorf("policy %s: response: %w", p.name, err)), failed
	}
	d := amendment{}
	if e.result == nil {
		err = errors.New("it is undefined")
	} else {
		d, err = amend(e.result)
	}
	if err != nil {
		e.err = err
		p.opts.Log.Error("the decision about a response has the wrong form, which denies", "policy", p.name, "decide", p.spec.Response, "request_id", x.ID, "route", x.Route, "error", err.Error())
		return x.Reply(403, "", nil), denied
	}
	if !d.allowed {
		return d.refuse(x), denied
	}
	d.apply(x)
	return exchange.Continue, allowed
}

// refuse replaces the response.
func (d *amendment) refuse(x *exchange.Exchange) exchange.Verdict {
	status := d.status
	if status == 0 {
		status = 403
	}
	v := x.Reply(status, d.contentType(), d.body)
	d.edit(&x.Response.Head)
	return v
}

func (d *amendment) contentType() string {
	switch {
	case len(d.body) == 0 || slices.ContainsFunc(d.set, func(f field) bool { return strings.EqualFold(f.name, "content-type") }):
		return ""
	case d.isJSON:
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// apply changes the response.
func (d *amendment) apply(x *exchange.Exchange) {
	r := &x.Response
	if d.status != 0 {
		r.Status = d.status
	}
	if d.body != nil && x.Request.Method != "HEAD" && r.Status != 204 && r.Status != 304 {
		r.SetBytes(d.body)
		// What was true of the bytes that were there.
		for _, name := range [...]string{"content-encoding", "etag", "content-digest", "repr-digest", "accept-ranges"} {
			r.Head.Del(name)
		}
		if d.isJSON {
			r.Head.Set("content-type", "application/json")
		}
	}
	d.edit(&r.Head)
}

func (d *amendment) edit(h *exchange.Head) {
	for _, f := range d.set {
		for i, v := range f.values {
			if i == 0 {
				h.Set(f.name, v)
			} else {
				h.Add(f.name, v)
			}
		}
	}
	for _, name := range d.remove {
		h.Del(name)
	}
}

// response is the document's part about the backend's answer.
func (b *builder) response() ([]part, error) {
	w, r := b.w, &b.x.Response
	var out []part
	if w.respStatus {
		out = append(out, part{keys.status, ast.InternedTerm(r.Status)})
	}
	if w.respHeaders {
		out = append(out, part{keys.headers, ast.ObjectTerm(b.fields(&r.Head)...)})
	}
	if !w.readsAnswer() {
		return out, nil
	}
	content, whole := r.Content()
	if w.respBody && len(content) > 0 {
		out = append(out, part{keys.body, b.text(exchange.String(content))})
	}
	if w.respParsed {
		body, err := b.parsedBody(&r.Head, content, whole)
		if err != nil {
			return nil, err
		}
		out = append(out, part{keys.parsedBody, body})
	}
	if w.respTruncated {
		out = append(out, part{keys.truncatedBody, ast.InternedTerm(!whole)})
	}
	return out, nil
}
