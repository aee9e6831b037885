package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/headgate/headgate/host/builtin"
	"github.com/headgate/headgate/runtime/exchange"
)

// Filter is a filter block of a chain or a route.
type Filter struct {
	// Label is the name of the filter as written: a plugin, "policy", or a
	// built-in filter. Name is that of metrics and server-timing; a policy's is
	// policy.NAME.
	Label, Name string
	Kind        FilterKind
	// Policy is the policy of a policy filter, and Context what its input has
	// as contextExtensions.
	Policy  *Ref
	Context map[string]string
	// Config is the configuration as JSON, or the bytes of config = "...".
	Config []byte
	// Values are the request-time expressions in Config, which has an object
	// {"$expr": index} for each.
	Values []FilterValue

	When    *Expr // nil: always
	Shadow  bool
	OnError string // "deny", "allow", or "" for what the plugin or policy says

	Range, LabelRange hcl.Range

	// whenFor compiles When for a route that buffers so many bytes.
	whenFor func(buffer int64) exchange.Expr
}

// FilterValue is a request-time expression in a filter's configuration.
type FilterValue struct {
	*Expr
	// compile makes it for a route that buffers so many bytes.
	compile func(buffer int64) exchange.Expr
}

// handle is the member of an object that stands for a FilterValue.
const handle = "$expr"

// FilterKind says what runs.
type FilterKind uint8

// The kinds of filters.
const (
	PluginFilter FilterKind = iota
	PolicyFilter
	BuiltinFilter
)

// filters decodes the filter blocks of a chain or route.
func (s *section) filters(opt exprScope) []*Filter {
	var out []*Filter
	for _, b := range s.blocks("filter") {
		if f := s.l.decodeFilter(b, opt); f != nil {
			out = append(out, f)
		}
	}
	return out
}

func (l *loader) decodeFilter(b block, opt exprScope) *Filter {
	f := &Filter{Label: b.Labels[0], Name: b.Labels[0], Range: b.DefRange, LabelRange: b.DefRange}
	if len(b.LabelRanges) > 0 {
		f.LabelRange = b.LabelRanges[0]
	}
	s, rest := l.readFilter(b)
	if a := s.attrs["when"]; a != nil {
		opt.what = "when"
		if e, ok := b.scope.compileWhen(a.expr, opt); ok {
			f.When = e
			f.whenFor = func(buffer int64) exchange.Expr {
				o := opt
				o.buffer = buffer
				again, _ := b.scope.compileWhen(a.expr, o)
				return again.Eval
			}
		}
	}
	s.flag("shadow", &f.Shadow)
	s.oneOf("on_error", &f.OnError, "deny", "allow")
	switch {
	case f.Label == "policy":
		f.Kind = PolicyFilter
		s.policyFilter(f, rest)
	case slices.Contains(builtinNames(), f.Label):
		f.Kind = BuiltinFilter
		s.filterConfig(f, rest, opt)
	default: // a plugin, which may be declared in another file
		s.filterConfig(f, rest, opt)
	}
	return f
}

// builtinNames are the names of the filters that come with the gateway.
func builtinNames() []string { return builtin.Names() }

// ownNames are the attributes of a filter that are not its configuration.
func ownNames() []string { return []string{"when", "shadow", "on_error"} }

// body is the configuration of a filter: whatever it says.
type body struct {
	attrs  map[string]*attribute
	blocks []block
	rng    hcl.Range
}

// readFilter splits a filter's body into what is ours and what is the
// filter's. In JSON, nested objects are attributes, which makes the same
// configuration of them.
func (l *loader) readFilter(b block) (*section, *body) {
	s := &section{l: l, scope: b.scope, name: "filter", rng: b.DefRange, attrs: map[string]*attribute{}}
	rest := l.readBody(b)
	for _, n := range ownNames() {
		if a := rest.attrs[n]; a != nil {
			s.attrs[n] = a
			delete(rest.attrs, n)
		}
	}
	return s, rest
}

func (l *loader) readBody(b block) *body {
	out := &body{attrs: map[string]*attribute{}, rng: b.DefRange}
	add := func(a *hcl.Attribute) {
		e, diags := syntaxOf(a.Expr)
		l.diags.append(diags)
		out.attrs[a.Name] = &attribute{expr: e, raw: a.Expr, name: a.Name, rng: a.NameRange}
	}
	native, ok := b.Body.(*hclsyntax.Body)
	if !ok {
		list, diags := b.Body.JustAttributes()
		l.diags.append(diags)
		for _, a := range list {
			add(a)
		}
		return out
	}
	for _, a := range native.Attributes {
		add(a.AsHCLAttribute())
	}
	for _, n := range native.Blocks {
		inner := block{Block: n.AsHCLBlock(), scope: b.scope}
		if n.Type == dynamicHeader.Type && len(n.Labels) == 1 {
			out.blocks = append(out.blocks, l.expandAs(inner, anyLabels)...)
			continue
		}
		out.blocks = append(out.blocks, inner)
	}
	return out
}

func (s *section) policyFilter(f *Filter, rest *body) {
	for _, name := range mapKeys(rest.attrs) {
		if name == "policy" || name == "context_extensions" {
			s.attrs[name] = rest.attrs[name]
			continue
		}
		s.l.diags.errorf(rest.attrs[name].rng, "Unsupported argument", "An argument named %q is not expected here.%s", name,
			suggest(name, append([]string{"policy", "context_extensions"}, ownNames()...)))
	}
	for _, b := range rest.blocks {
		s.l.diags.errorf(b.TypeRange, "Unsupported block type", "Blocks of type %q are not expected here.", b.Type)
	}
	if s.require("policy", "policy."+s.scope.example("policy")) {
		f.Policy = s.ref("policy", "policy")
	}
	if f.Policy != nil {
		f.Name = "policy." + f.Policy.ID
	}
	s.textMap("context_extensions", &f.Context, `{ team = "a" }`)
}

// filterConfig makes the configuration of a plugin or a built-in filter.
func (s *section) filterConfig(f *Filter, rest *body, opt exprScope) {
	if a := rest.attrs["config"]; a != nil && len(rest.attrs) == 1 && len(rest.blocks) == 0 {
		if v, ok := s.scope.evaluate(a.expr, "filter.config"); ok {
			v = s.bare(f, v)
			if !v.IsNull() && v.Type() == cty.String {
				f.Config = []byte(v.AsString())
				return
			}
		} else {
			return
		}
	}
	c := &filterConfig{loader: s.l, filter: f, opt: opt}
	v, ok := c.bodyValue(rest, s.scope)
	if !ok {
		return
	}
	v = s.bare(f, v)
	b, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		s.l.diags.errorf(s.rng, "Invalid configuration", "The configuration of filter %q can't be written as JSON.", f.Label)
		return
	}
	f.Config = b
}

// bare takes the marks off a configuration. What the filter says of a sensitive
// one may quote it, and is not shown.
func (s *section) bare(f *Filter, v cty.Value) cty.Value {
	v, marks := v.UnmarkDeep()
	if len(marks) > 0 {
		s.l.diags.secret = append(s.l.diags.secret, f.Range)
	}
	return v
}
