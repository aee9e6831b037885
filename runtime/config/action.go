package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/headgate/headgate/runtime/exchange"
)

// Target is one destination of a route and its share.
type Target struct {
	Name     string // the label of the to block, or "" for upstream
	Upstream Ref
	Weight   int
}

// Mirror is an upstream that gets copies of requests.
type Mirror struct {
	Upstream Ref
	Percent  float64
	Range    hcl.Range
}

// Redirect answers with a Location.
type Redirect struct {
	URL    *Expr
	Status int
	Range  hcl.Range
}

// Respond answers without an upstream.
type Respond struct {
	Status  int
	Body    *Expr // nil: empty
	Headers []HeaderEdit
	Range   hcl.Range
}

// Rewrite changes where a request goes.
type Rewrite struct {
	Path, Host *Expr // nil: as they are
	Query      []QueryEdit
	Range      hcl.Range
}

// QueryEdit sets a query parameter; null removes it.
type QueryEdit struct {
	Name  string
	Value *Expr
}

// HeaderEdit changes one header. Op is "set", "add" or "remove", Name is in
// lower case, and Value is nil for "remove".
type HeaderEdit struct {
	Op, Name string
	Value    *Expr
}

// action decodes what the route does: exactly one thing.
func (s *section) action(r *Route, opt exprScope) {
	type place struct {
		name string
		rng  hcl.Range
	}
	var found []place
	if a := s.attrs["upstream"]; a != nil {
		found = append(found, place{"upstream", a.rng})
		if ref := s.ref("upstream", "upstream"); ref != nil {
			r.Split = []Target{{Upstream: *ref, Weight: 1}}
		}
	}
	for _, typ := range []string{"split", "redirect", "respond", "compose"} {
		b, ok := s.one(typ)
		if !ok {
			continue
		}
		found = append(found, place{typ, b.DefRange})
		switch typ {
		case "split":
			r.Split = s.l.decodeSplit(b)
		case "redirect":
			r.Redirect = s.l.decodeRedirect(b, opt)
		case "respond":
			r.Respond = s.l.decodeRespond(b, opt)
		}
	}
	s.unavailable("compose")
	if len(found) == 0 && !s.dynamicFailed() {
		s.l.diags.errorf(s.rng, "Route without a destination", "A route has exactly one of upstream, split, redirect and respond. Write for example: upstream = upstream.%s", s.scope.example("upstream"))
	}
	slices.SortFunc(found, func(a, b place) int { return a.rng.Start.Byte - b.rng.Start.Byte })
	for i := 1; i < len(found); i++ {
		s.l.diags.twice(found[i].rng, found[0].rng, "Conflicting destinations", "A route has exactly one of upstream, split, redirect and respond; this one has %s already.", found[0].name)
	}
}

func (l *loader) decodeSplit(b block) []Target {
	s := l.read(b, splitSchema)
	var out []Target
	sum := 0
	for _, n := range s.labelled("to") {
		t := l.read(n, toSchema)
		to := Target{Name: n.Labels[0], Weight: 1}
		t.number("weight", &to.Weight, 0, 1<<20)
		sum += to.Weight
		if !t.require("upstream", "upstream."+n.scope.example("upstream")) {
			continue
		}
		if ref := t.ref("upstream", "upstream"); ref != nil {
			to.Upstream = *ref
			out = append(out, to)
		}
	}
	switch {
	case len(s.blocks("to")) == 0 && !s.dynamicFailed():
		l.diags.errorf(b.DefRange, "Empty split", "A split needs at least one to block. Write for example: to \"v1\" { upstream = upstream.%s }", b.scope.example("upstream"))
	case sum == 0 && len(out) > 0:
		l.diags.errorf(b.DefRange, "Empty split", "All weights of the split are 0: no request could go anywhere.")
	}
	return out
}

func (l *loader) decodeMirror(b block, r *Route) *Mirror {
	s := l.read(b, mirrorSchema)
	m := &Mirror{Percent: 100, Range: b.DefRange}
	s.percent("percent", &m.Percent)
	if r.Redirect != nil || r.Respond != nil {
		l.diags.errorf(b.DefRange, "Nothing to mirror", "Only a route that forwards can have a mirror: this one answers itself.")
	}
	if !s.require("upstream", "upstream."+b.scope.example("upstream")) {
		return nil
	}
	ref := s.ref("upstream", "upstream")
	if ref == nil {
		return nil
	}
	m.Upstream = *ref
	return m
}

func (l *loader) decodeRedirect(b block, opt exprScope) *Redirect {
	s := l.read(b, redirectSchema)
	r := &Redirect{Status: 308, Range: b.DefRange}
	if s.require("url", `"https://${request.host}${request.path}"`) {
		r.URL = s.expr("url", opt)
		if r.URL != nil && r.URL.Const != nil {
			u := r.URL.Const
			if _, err := url.Parse(u.Text); u.Kind != exchange.KindString || u.Text == "" || err != nil || !exchange.ValidValue(u.Text) {
				l.diags.errorf(r.URL.Range, "Invalid URL", "redirect.url is not a URL. Write for example: url = \"https://example.com/\"")
			}
		}
	}
	if s.number("status", &r.Status, 300, 399) && !slices.Contains([]int{301, 302, 303, 307, 308}, r.Status) {
		l.diags.errorf(s.rangeOf("status"), "Invalid status", "redirect.status is 301, 302, 303, 307 or 308.")
	}
	return r
}

func (l *loader) decodeRespond(b block, opt exprScope) *Respond {
	s := l.read(b, respondSchema)
	r := &Respond{Status: 200, Range: b.DefRange}
	s.number("status", &r.Status, 200, 599)
	r.Body = s.expr("body", opt)
	if e := r.Body; e != nil && e.Const != nil {
		switch {
		case e.Const.Kind == exchange.KindJSON:
			l.diags.errorf(e.Range, "Wrong type", "respond.body is a string. Write for example: body = jsonencode({ ok = true })")
		case e.Const.Kind == exchange.KindString && e.Const.Text != "" && (r.Status == 204 || r.Status == 304):
			l.diags.errorf(e.Range, "Body not allowed", "A response with status %d has no body.", r.Status)
		}
	}
	r.Headers = s.headerEdits("headers", "set", opt)
	return r
}

func (l *loader) decodeRewrite(b block, opt exprScope) *Rewrite {
	s := l.read(b, rewriteSchema)
	r := &Rewrite{Range: b.DefRange}
	if a := s.attrs["path"]; a != nil {
		o := opt
		o.what = s.what(a)
		if e, ok := s.scope.compilePath(a.expr, o); ok {
			r.Path = e
		}
	}
	if r.Host = s.expr("host", opt); r.Host != nil && r.Host.Const != nil {
		h := r.Host.Const
		if h.Kind != exchange.KindString || h.Text == "" || strings.ContainsAny(h.Text, "/ \t\r\n@?#") {
			l.diags.errorf(r.Host.Range, "Invalid host", "rewrite.host is a host name. Write for example: host = \"orders.internal\"")
		}
	}
	for _, m := range s.exprMap("query", opt) {
		r.Query = append(r.Query, QueryEdit{Name: m.key, Value: m.value.expr(m.expr)})
	}
	return r
}

func (l *loader) decodeHeaderEdits(b block, opt exprScope) []HeaderEdit {
	s := l.read(b, headerEditsSchema)
	out := s.removed("remove")
	out = append(out, s.headerEdits("set", "set", opt)...)
	return append(out, s.headerEdits("add", "add", opt)...)
}

// expr compiles an attribute that is an expression of one value.
func (s *section) expr(name string, opt exprScope) *Expr {
	a := s.attrs[name]
	if a == nil {
		return nil
	}
	opt.what = s.what(a)
	e, ok := s.scope.compile(a.expr, opt)
	if !ok || e.Const != nil && e.Const.Kind == exchange.KindNull {
		return nil // null is as if it were absent
	}
	return e
}

// exprMap compiles an attribute that is a map of expressions: written out, or a
// map that is known at load.
func (s *section) exprMap(name string, opt exprScope) []member {
	a := s.attrs[name]
	if a == nil {
		return nil
	}
	opt.what = s.what(a)
	c := &compiler{s: s.scope, opt: opt}
	if obj, ok := a.expr.(*hclsyntax.ObjectConsExpr); ok {
		members, _ := c.members(obj)
		return members
	}
	if s.scope.readsRequest(a.expr) {
		s.l.diags.errorf(a.expr.Range(), "Wrong type", "%s takes a map whose names are known at load. Write for example: %s = { \"x-user\" = request.header[\"x-name\"] }", opt.what, name)
		return nil
	}
	v, ok := s.scope.evaluate(a.expr, opt.what)
	if !ok {
		return nil
	}
	v, _ = v.UnmarkDeep()
	if v.IsNull() {
		return nil
	}
	if !v.Type().IsMapType() && !v.Type().IsObjectType() {
		s.l.diags.errorf(a.expr.Range(), "Wrong type", "%s takes a map; this is %s. Write for example: %s = { \"x-user\" = \"a\" }", opt.what, article(v.Type()), name)
		return nil
	}
	var out []member
	values := v.AsValueMap()
	for _, k := range mapKeys(values) {
		out = append(out, member{key: k, rng: a.expr.Range(), value: constant(valueOf(values[k])), expr: a.expr})
	}
	return out
}

func (s *section) headerEdits(name, op string, opt exprScope) []HeaderEdit {
	var out []HeaderEdit
	first := map[string]hcl.Range{}
	for _, m := range s.exprMap(name, opt) {
		lower := strings.ToLower(m.key)
		if r, ok := first[lower]; ok {
			s.l.diags.twice(m.rng, r, "Duplicate header", "The header %q is in %s.%s already.", m.key, s.name, name)
			continue
		}
		first[lower] = m.rng
		if !s.editable(m.key, m.rng) {
			continue
		}
		if k := m.value.konst; k != nil {
			switch {
			case k.Kind == exchange.KindJSON:
				s.l.diags.errorf(m.expr.Range(), "Wrong type", "The value of a header is a string.")
			case !exchange.ValidValue(k.Text):
				s.l.diags.errorf(m.expr.Range(), "Invalid header value", "The value of a header has no line breaks and no control characters.")
			}
		}
		out = append(out, HeaderEdit{Op: op, Name: lower, Value: m.value.expr(m.expr)})
	}
	return out
}

func (s *section) removed(name string) []HeaderEdit {
	var names []string
	s.list(name, &names, `["x-debug"]`)
	var out []HeaderEdit
	for i, n := range names {
		if s.editable(n, s.itemRange(name, i)) {
			out = append(out, HeaderEdit{Op: "remove", Name: strings.ToLower(n)})
		}
	}
	return out
}

// editable refuses names that are none, and fields that say how a message is
// framed or that belong to one connection: those are the gateway's.
func (s *section) editable(name string, rng hcl.Range) bool {
	if !exchange.ValidName(name) {
		s.l.diags.errorf(rng, "Invalid header name", "%q can't be the name of a header: use letters, digits and \"-\".", name)
		return false
	}
	id := exchange.Classify(name)
	hint := "The gateway sets it itself: it belongs to one connection and is never passed on."
	switch {
	case id == exchange.NameHost:
		hint = "Set the host of the request with rewrite { host = \"...\" }."
	case id == exchange.NameContentLength:
		hint = "The gateway sets it itself from the length of the body."
	case id == exchange.NameTransferEncoding:
		hint = "The gateway frames messages itself."
	case !id.HopByHop():
		return true
	}
	s.l.diags.errorf(rng, "Header can't be edited", "%s can't edit %q. %s", s.name, strings.ToLower(name), hint)
	return false
}
