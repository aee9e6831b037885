package config

import (
	"fmt"
	"slices"
	"sort"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// sensitive marks values that are never printed.
type sensitiveMark struct{}

// scope is what an expression can see: the variables and locals of the whole
// configuration, the functions with the paths of one file, and the iterators of
// the blocks around it.
type scope struct {
	l    *loader
	file *file
	ctx  *hcl.EvalContext
	// iterators are the names that for_each and dynamic blocks bring in.
	iterators []string
}

func (l *loader) fileScope(f *file) *scope {
	return &scope{l: l, file: f, ctx: l.context(f.dir)}
}

// with returns the scope inside one iteration of a for_each or dynamic block.
func (s *scope) with(iterator string, key, value cty.Value) *scope {
	ctx := s.ctx.NewChild()
	ctx.Variables = map[string]cty.Value{iterator: cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})}
	return &scope{l: s.l, file: s.file, ctx: ctx, iterators: append(slices.Clip(s.iterators), iterator)}
}

// block is a block and what its expressions see.
type block struct {
	*hcl.Block
	scope *scope
	// id names the instance of a labelled root block: the label, or label["key"].
	id string
}

// syntaxOf returns e as native syntax. JSON is turned into the tree that the
// same thing in native syntax has, so that nothing behind this function knows
// two languages.
func syntaxOf(e hcl.Expression) (hclsyntax.Expression, hcl.Diagnostics) {
	if native, ok := e.(hclsyntax.Expression); ok {
		return native, nil
	}
	var diags hcl.Diagnostics
	if pairs, d := hcl.ExprMap(e); !d.HasErrors() {
		obj := &hclsyntax.ObjectConsExpr{SrcRange: e.Range(), OpenRange: e.StartRange()}
		for _, p := range pairs {
			k, kd := syntaxOf(p.Key)
			v, vd := syntaxOf(p.Value)
			diags = append(append(diags, kd...), vd...)
			obj.Items = append(obj.Items, hclsyntax.ObjectConsItem{KeyExpr: k, ValueExpr: v})
		}
		return obj, diags
	}
	if list, d := hcl.ExprList(e); !d.HasErrors() {
		tuple := &hclsyntax.TupleConsExpr{SrcRange: e.Range(), OpenRange: e.StartRange()}
		for _, item := range list {
			v, vd := syntaxOf(item)
			diags = append(diags, vd...)
			tuple.Exprs = append(tuple.Exprs, v)
		}
		return tuple, diags
	}
	v, d := e.Value(nil)
	diags = append(diags, d...)
	if v.IsKnown() && !v.IsNull() && v.Type() == cty.String {
		// The column is right up to the first escape of the JSON string.
		start := e.Range().Start
		start.Byte, start.Column = start.Byte+1, start.Column+1
		t, td := hclsyntax.ParseTemplate([]byte(v.AsString()), e.Range().Filename, start)
		if td.HasErrors() {
			return &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: e.Range()}, append(diags, td...)
		}
		return t, diags
	}
	return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: e.Range()}, diags
}

// requestRoots are the names of request-time values, and referenceRoots those
// of blocks.
func requestRoots() []string {
	return []string{"request", "path", "response", "auth", "tls"}
}

func referenceRoots() []string {
	return []string{"listener", "certificate", "upstream", "plugin", "policy", "chain", "route"}
}

// isRequestTime reports whether a traversal is about the exchange.
func (s *scope) isRequestTime(t hcl.Traversal) bool {
	root := t.RootName()
	return slices.Contains(requestRoots(), root) && !slices.Contains(s.iterators, root)
}

// checkNames reports the names in e that mean nothing, or nothing here. what
// says what is being evaluated. HCL would report unknown ones too, but can't
// say what to write instead.
func (s *scope) checkNames(e hclsyntax.Expression, what string) bool {
	ok := true
	for _, t := range e.Variables() {
		if !s.checkTraversal(t, what) {
			ok = false
		}
	}
	return s.checkFunctions(e) && ok
}

// checkFunctions reports functions that do not exist. HCL would suggest any
// that is near, in no fixed order.
func (s *scope) checkFunctions(e hclsyntax.Expression) bool {
	diags := hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		c, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok {
			return nil
		}
		if s.l.functions.knows(c.Name) {
			return nil
		}
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Unknown function", Subject: &c.NameRange,
			Detail: fmt.Sprintf("There is no function %q.%s", c.Name, suggest(c.Name, s.l.functions.names())),
		}}
	})
	s.l.diags.append(diags)
	return !diags.HasErrors()
}

func (s *scope) checkTraversal(t hcl.Traversal, what string) bool {
	root, rng := t.RootName(), t.SourceRange()
	d := s.l.diags
	switch {
	case slices.Contains(s.iterators, root):
		return true
	case root == "var":
		return checkMember(s, t, "variable", s.l.vars, `Declare it with variable %q {}.`)
	case root == "local":
		return checkMember(s, t, "local value", s.l.locals, `Declare %s in a locals block.`)
	case slices.Contains(requestRoots(), root):
		d.errorf(rng, "Request-time value not allowed here",
			"%s is known only while a request is served, but %s is evaluated when the configuration is loaded. Request-time values can be used in when, redirect.url, respond.body, respond.headers, rewrite and the header edits of a route.", traversalText(t), what)
	case slices.Contains(referenceRoots(), root):
		d.errorf(rng, "Reference not allowed here", "%s refers to a block, but %s takes a value.", traversalText(t), what)
	case root == "each":
		d.errorf(rng, "Unknown name", "each.key and each.value exist only in a block with for_each.")
	case root == "call":
		d.errorf(rng, "Unknown name", "call exists only in a compose block, which is not available in this version of Headgate.")
	default:
		known := append(append([]string{"var", "local", "each"}, requestRoots()...), s.iterators...)
		hint := suggest(root, append(known, referenceRoots()...))
		if hint == "" {
			hint = " A string needs quotes; a variable is written var.NAME, a local value local.NAME."
		}
		d.errorf(rng, "Unknown name", "There is nothing called %q.%s", root, hint)
	}
	return false
}

func checkMember[V any](s *scope, t hcl.Traversal, kind string, known map[string]V, declare string) bool {
	if len(t) < 2 {
		s.l.diags.errorf(t.SourceRange(), "Invalid reference", "Write %s.NAME.", t.RootName())
		return false
	}
	name, ok := stepName(t[1])
	if !ok {
		return true // HCL says what is wrong
	}
	if _, ok := known[name]; ok || s.l.partial {
		return ok
	}
	hint := suggest(name, mapKeys(known))
	if hint == "" {
		hint = " " + fmt.Sprintf(declare, name)
	}
	s.l.diags.errorf(t.SourceRange(), "Unknown "+kind, "There is no %s %q.%s", kind, name, hint)
	return false
}

func stepName(t hcl.Traverser) (string, bool) {
	switch t := t.(type) {
	case hcl.TraverseAttr:
		return t.Name, true
	case hcl.TraverseIndex:
		if t.Key.Type() == cty.String && t.Key.IsKnown() && !t.Key.IsNull() {
			return t.Key.AsString(), true
		}
	}
	return "", false
}

// traversalText is t as one would write it.
func traversalText(t hcl.Traversal) string {
	out := ""
	for _, step := range t {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			out += step.Name
		case hcl.TraverseAttr:
			out += "." + step.Name
		case hcl.TraverseIndex:
			switch {
			case step.Key.Type() == cty.String:
				out += fmt.Sprintf("[%q]", step.Key.AsString())
			case step.Key.Type() == cty.Number:
				out += "[" + step.Key.AsBigFloat().Text('f', -1) + "]"
			}
		default:
			out += "[*]"
		}
	}
	return out
}

// evaluate returns the value of e, which may be marked as sensitive. ok is false
// if there is none, which was then reported.
func (s *scope) evaluate(e hclsyntax.Expression, what string) (v cty.Value, ok bool) {
	if v, ok := constantOf(e); ok {
		return v, true
	}
	if !s.checkNames(e, what) {
		return cty.DynamicVal, false
	}
	b, counts, diags := s.bounded(e)
	if diags.HasErrors() {
		s.l.diags.append(diags)
		return cty.DynamicVal, false
	}
	v, diags = b.Value(s.ctx)
	s.report(e, diags)
	if v.ContainsMarked() {
		s.l.diags.secret = append(s.l.diags.secret, e.Range())
	}
	if counts && !diags.HasErrors() && !s.l.admit(v, e.Range()) {
		return cty.DynamicVal, false
	}
	// Unknown is what depends on something that was reported elsewhere.
	return v, !diags.HasErrors() && v.IsWhollyKnown()
}

// constantOf returns the value of what is a constant at the first look: most of
// what a configuration says.
func constantOf(e hclsyntax.Expression) (cty.Value, bool) {
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return e.Val, e.Val.IsWhollyKnown()
	case *hclsyntax.TemplateExpr:
		if !e.IsStringLiteral() {
			return cty.NilVal, false
		}
		v, diags := e.Value(nil)
		return v, !diags.HasErrors()
	case *hclsyntax.TupleConsExpr:
		list := make([]cty.Value, len(e.Exprs))
		for i, x := range e.Exprs {
			v, ok := constantOf(x)
			if !ok {
				return cty.NilVal, false
			}
			list[i] = v
		}
		return cty.TupleVal(list), true
	}
	return cty.NilVal, false
}

// report adds the diagnostics of an evaluation.
func (s *scope) report(e hclsyntax.Expression, diags hcl.Diagnostics) {
	if diags.HasErrors() && s.touchesSensitive(e) {
		s.l.diags.secret = append(s.l.diags.secret, e.Range())
	}
	s.l.diags.append(diags)
}

func (s *scope) touchesSensitive(e hclsyntax.Expression) bool {
	for _, t := range e.Variables() {
		// What there is of a member that does not exist is its parent.
		for n := len(t); n > 1; n-- {
			v, diags := t[:n].TraverseAbs(s.ctx)
			if diags.HasErrors() {
				continue
			}
			if v.ContainsMarked() {
				return true
			}
			break
		}
	}
	found := false
	diags := hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		if c, ok := n.(*hclsyntax.FunctionCallExpr); ok && c.Name == "secret" {
			found = true
		}
		return nil
	})
	return found || diags.HasErrors()
}

// suggest returns " Did you mean ...?" if one of known is close to given.
func suggest(given string, known []string) string {
	best, bestDistance := "", 3
	sort.Strings(known)
	for _, k := range known {
		// A name with more than half of its letters changed is another name.
		if d := levenshtein.Distance(given, k, nil); d < bestDistance && 2*d <= max(len(given), len(k)) {
			best, bestDistance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

func mapKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func sortStrings(s []string) { sort.Strings(s) }
