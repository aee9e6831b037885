package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// entry is a declared name.
type entry struct {
	kind, name string
	rng        hcl.Range
	forEach    bool
	keys       map[string]bool // of forEach
	broken     bool            // which keys there are is not known
}

// Ref is a reference to a block of the configuration.
type Ref struct {
	// ID is the label, or label["key"] for one instance of a for_each.
	ID    string
	Range hcl.Range
}

// declare returns the names of all root blocks that can be referred to, and the
// instances to decode.
func (l *loader) declare(blocks []block) (names []*entry, instances []block) {
	for _, b := range blocks {
		kind := b.Type
		switch kind {
		case "listener", "certificate", "upstream", "plugin", "policy", "chain", "route":
		default:
			continue
		}
		if !l.validName(b) {
			continue
		}
		e := &entry{kind: kind, name: b.Labels[0], rng: b.DefRange}
		names = append(names, e)
		if l.know(e) != e {
			continue // reported when all files are at hand
		}
		b.id = e.name
		made := []block{b}
		if kind == "upstream" || kind == "chain" || kind == "route" {
			var ok bool
			made, e.forEach, ok = l.each(b)
			e.broken = !ok
		}
		if e.forEach {
			e.keys = map[string]bool{}
			for _, in := range made {
				e.keys[in.id] = true
			}
		}
		instances = append(instances, made...)
	}
	return names, instances
}

// know puts a name among those that can be referred to; the first of two equal
// ones counts.
func (l *loader) know(e *entry) (first *entry) {
	byName := l.names[e.kind]
	if byName == nil {
		byName = map[string]*entry{}
		l.names[e.kind] = byName
	}
	if first := byName[e.name]; first != nil {
		return first
	}
	byName[e.name] = e
	return e
}

// name knows e, and reports it if another file or block has the name already.
func (l *loader) name(e *entry) {
	if first := l.know(e); first != e {
		l.diags.twice(e.rng, first.rng, "Duplicate "+e.kind, "The %s %q is declared already.", e.kind, e.name)
	}
}

// ref decodes an attribute that refers to a block of a kind.
func (s *section) ref(name, kind string) *Ref {
	a := s.attrs[name]
	if a == nil {
		return nil
	}
	return s.scope.reference(a.expr, kind, s.what(a))
}

// refs decodes a list of references.
func (s *section) refs(name, kind string) []Ref {
	a := s.attrs[name]
	if a == nil {
		return nil
	}
	t, ok := a.expr.(*hclsyntax.TupleConsExpr)
	if !ok {
		s.l.diags.errorf(a.expr.Range(), "Wrong type", "%s takes a list of references. Write for example: %s = [%s.NAME]", s.what(a), name, kind)
		return nil
	}
	var out []Ref
	seen := map[string]hcl.Range{}
	for _, e := range t.Exprs {
		r := s.scope.reference(e, kind, s.what(a))
		if r == nil {
			continue
		}
		if first, ok := seen[r.ID]; ok {
			s.l.diags.twice(r.Range, first, "Duplicate reference", "%s.%s is in the list already.", kind, r.ID)
			continue
		}
		seen[r.ID] = r.Range
		out = append(out, *r)
	}
	return out
}

// reference resolves e, which has to be kind.NAME or kind.NAME["key"]. A
// conditional whose condition is known at load is followed.
func (s *scope) reference(e hclsyntax.Expression, kind, what string) *Ref {
	d := s.l.diags
	rng := e.Range()
	wrong := func() *Ref {
		d.errorf(rng, "Reference expected", "%s refers to a block. Write for example: %s.%s", what, kind, s.example(kind))
		return nil
	}
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return s.reference(e.Expression, kind, what)
	case *hclsyntax.TemplateWrapExpr:
		return s.reference(e.Wrapped, kind, what)
	case *hclsyntax.ConditionalExpr:
		c, ok := s.evaluate(e.Condition, what)
		if !ok {
			return nil
		}
		c, _ = c.Unmark()
		if c, err := convert.Convert(c, cty.Bool); err != nil || c.IsNull() {
			d.errorf(e.Condition.Range(), "Wrong type", "A condition is true or false.")
			return nil
		} else if c.True() {
			return s.reference(e.TrueResult, kind, what)
		}
		return s.reference(e.FalseResult, kind, what)
	case *hclsyntax.TemplateExpr, *hclsyntax.LiteralValueExpr:
		text, ok := literal(e)
		if !ok {
			return wrong()
		}
		if s.file.json {
			t, diags := hclsyntax.ParseExpression([]byte(text), rng.Filename, rng.Start)
			if diags.HasErrors() {
				return wrong()
			}
			if _, nested := literal(t); nested {
				return wrong()
			}
			return s.reference(t, kind, what)
		}
		if hclsyntax.ValidIdentifier(text) {
			d.errorf(rng, "Reference expected", "%s refers to a block, not to a string. Write it without quotes: %s.%s", what, kind, text)
			return nil
		}
		if strings.HasPrefix(text, kind+".") {
			d.errorf(rng, "Reference expected", "%s refers to a block, not to a string. Write it without quotes: %s", what, text)
			return nil
		}
		return wrong()
	case *hclsyntax.IndexExpr:
		// upstream.x[each.key]
		t, ok := e.Collection.(*hclsyntax.ScopeTraversalExpr)
		if !ok || len(t.Traversal) != 2 {
			return wrong()
		}
		k, ok := s.evaluate(e.Key, what)
		if !ok {
			return nil
		}
		k, marks := k.Unmark()
		k, err := convert.Convert(k, cty.String)
		if err != nil || k.IsNull() || len(marks) > 0 {
			d.errorf(e.Key.Range(), "Wrong type", "The key of an instance is a string.")
			return nil
		}
		return s.named(append(t.Traversal[:2:2], hcl.TraverseIndex{Key: k}), rng, kind, what)
	case *hclsyntax.ScopeTraversalExpr:
		return s.named(e.Traversal, rng, kind, what)
	}
	return wrong()
}

// literal returns the text of a string without interpolations.
func literal(e hclsyntax.Expression) (string, bool) {
	switch e := e.(type) {
	case *hclsyntax.TemplateExpr:
		if !e.IsStringLiteral() {
			return "", len(e.Parts) == 0
		}
		v, diags := e.Value(nil)
		return v.AsString(), !diags.HasErrors()
	case *hclsyntax.LiteralValueExpr:
		if v := e.Val; v.IsKnown() && !v.IsNull() && v.Type() == cty.String {
			return v.AsString(), true
		}
	}
	return "", false
}

// example is a name to show in a message.
func (s *scope) example(kind string) string {
	if names := mapKeys(s.l.names[kind]); len(names) > 0 {
		return names[0]
	}
	return "NAME"
}

// named resolves a traversal.
func (s *scope) named(t hcl.Traversal, rng hcl.Range, kind, what string) *Ref {
	d := s.l.diags
	if root := t.RootName(); root != kind {
		for _, r := range referenceRoots() {
			if r == root {
				d.errorf(rng, "Wrong kind of reference", "%s refers to %s, not to %s. Write for example: %s.%s", what, oneA(kind), oneA(root), kind, s.example(kind))
				return nil
			}
		}
		if hint := suggest(root, []string{kind}); hint != "" {
			d.errorf(rng, "Unknown name", "There is nothing called %q.%s", root, hint)
			return nil
		}
		d.errorf(rng, "Reference expected", "%s refers to a block. Write for example: %s.%s", what, kind, s.example(kind))
		return nil
	}
	name, ok := "", len(t) > 1
	if ok {
		name, ok = stepName(t[1])
	}
	key := ""
	if ok && len(t) == 3 {
		key, ok = stepName(t[2])
		name = fmt.Sprintf("%s[%q]", name, key)
	}
	if !ok || len(t) > 3 {
		d.errorf(rng, "Invalid reference", "Write %s.NAME, or %s.NAME[\"key\"] for one of a for_each.", kind, kind)
		return nil
	}
	return &Ref{ID: name, Range: rng}
}

// checkReferences reports what is referred to and does not exist.
func (l *loader) checkReferences() {
	filters := func(list []*Filter) {
		for _, f := range list {
			l.checkFilter(f)
		}
	}
	for _, n := range l.cfg.Listeners {
		if n.TLS != nil {
			l.known("certificate", n.TLS.Certificates...)
		}
		if n.TCP != nil {
			if n.TCP.Upstream != nil {
				l.known("upstream", *n.TCP.Upstream)
			}
			for _, s := range n.TCP.Names {
				l.known("upstream", s.Upstream)
			}
		}
	}
	for _, p := range l.cfg.Plugins {
		l.known("upstream", p.FetchUpstreams...)
		l.known("plugin", p.CallPlugins...)
		l.known("policy", p.CallPolicies...)
	}
	for _, c := range l.cfg.Chains {
		l.known("chain", c.Use...)
		filters(c.Filters)
	}
	for _, r := range l.cfg.Routes {
		l.known("listener", r.Listeners...)
		l.known("chain", r.Use...)
		for i := range r.Split {
			l.known("upstream", r.Split[i].Upstream)
		}
		if r.Mirror != nil {
			l.known("upstream", r.Mirror.Upstream)
		}
		filters(r.Filters)
	}
}

// known reports those of refs that lead nowhere.
func (l *loader) known(kind string, refs ...Ref) {
	for _, r := range refs {
		name, rest, keyed := strings.Cut(r.ID, "[")
		e := l.names[kind][name]
		switch {
		case e == nil && l.partial || e != nil && e.broken:
		case e == nil:
			hint := suggest(name, mapKeys(l.names[kind]))
			if hint == "" {
				hint = fmt.Sprintf(" Declare it with %s %q {}.", kind, name)
			}
			l.diags.errorf(r.Range, "Unknown "+kind, "There is no %s %q.%s", kind, name, hint)
		case !keyed && e.forEach:
			l.diags.errorf(r.Range, "Invalid reference", "The %s %q has for_each: name one of its instances. Write for example: %s.%s[each.key]", kind, name, kind, name)
		case keyed && !e.forEach:
			l.diags.errorf(r.Range, "Invalid reference", "The %s %q has no for_each: refer to it as %s.%s", kind, name, kind, name)
		case keyed && !e.keys[r.ID]:
			var keys []string
			for k := range e.keys {
				keys = append(keys, keyOf(strings.TrimPrefix(k, name+"[")))
			}
			key := keyOf(rest)
			l.diags.errorf(r.Range, "Unknown "+kind, "The %s %q has no instance %q.%s", kind, name, key, suggest(key, keys))
		}
	}
}

// keyOf is the key in what follows the bracket of an instance's name.
func keyOf(rest string) string {
	key, err := strconv.Unquote(strings.TrimSuffix(rest, "]"))
	if err != nil {
		return rest
	}
	return key
}

// checkFilter reports a filter that does not exist.
func (l *loader) checkFilter(f *Filter) {
	switch {
	case f.Policy != nil:
		l.known("policy", *f.Policy)
	case f.Kind != PluginFilter || l.names["plugin"][f.Label] != nil || l.partial:
	default:
		known := append(append([]string{"policy"}, mapKeys(l.names["plugin"])...), builtinNames()...)
		hint := suggest(f.Label, known)
		if hint == "" {
			hint = " Declare it with plugin \"" + f.Label + "\" {}."
		}
		l.diags.errorf(f.LabelRange, "Unknown filter", "There is no plugin and no built-in filter %q.%s", f.Label, hint)
	}
}

func oneA(kind string) string {
	if strings.ContainsAny(kind[:1], "aeiou") {
		return "an " + kind
	}
	return "a " + kind
}

// decodeInstance decodes one instance of a labelled root block.
func (l *loader) decodeInstance(b block) {
	switch b.Type {
	case "listener":
		l.decodeListener(b)
	case "certificate":
		l.decodeCertificate(b)
	case "upstream":
		l.decodeUpstream(b)
	case "plugin":
		l.decodePlugin(b)
	case "policy":
		l.decodePolicy(b)
	case "chain":
		l.decodeChain(b)
	case "route":
		l.decodeRoute(b)
	}
}
