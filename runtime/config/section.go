package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/gocty"
)

// section is the body of a block, read against its schema. Its methods decode
// one attribute each: they leave the destination, which holds the default,
// alone if the attribute is absent or wrong, and report what is wrong.
type section struct {
	l       *loader
	scope   *scope
	name    string // how the block is called in a message
	rng     hcl.Range
	attrs   map[string]*attribute
	nested  []block
	dynamic bool // some of nested come from dynamic blocks
}

// attribute is one argument of a block.
type attribute struct {
	expr hclsyntax.Expression
	raw  hcl.Expression
	name string
	rng  hcl.Range
	// sensitive is known once the value was evaluated.
	evaluated, sensitive bool
}

// read reads b against schema. Unknown and missing names are reported, and
// dynamic blocks expanded.
func (l *loader) read(b block, schema *hcl.BodySchema) *section {
	content, diags := b.Body.Content(schema)
	l.diags.append(diags)
	s := &section{l: l, scope: b.scope, name: b.Type, rng: b.DefRange, attrs: map[string]*attribute{}}
	for name, a := range content.Attributes {
		e, diags := syntaxOf(a.Expr)
		l.diags.append(diags)
		s.attrs[name] = &attribute{expr: e, raw: a.Expr, name: name, rng: a.NameRange}
	}
	for _, n := range content.Blocks {
		if n.Type == dynamicHeader.Type {
			s.dynamic = true
			s.nested = append(s.nested, l.expand(block{Block: n, scope: b.scope}, schema)...)
			continue
		}
		s.nested = append(s.nested, block{Block: n, scope: b.scope})
	}
	return s
}

// what names an attribute of the section in messages.
func (s *section) what(a *attribute) string { return s.name + "." + a.name }

// has reports whether the attribute is written.
func (s *section) has(name string) bool { return s.attrs[name] != nil }

// rangeOf is the place of an attribute's value, or of the block without it.
func (s *section) rangeOf(name string) hcl.Range {
	if a := s.attrs[name]; a != nil {
		return a.expr.Range()
	}
	return s.rng
}

// value evaluates an attribute and converts it. example is shown to whom wrote
// another type. null is as if the attribute were absent, as in Terraform.
func (s *section) value(name string, ty cty.Type, example string) (v cty.Value, ok bool) {
	a := s.attrs[name]
	if a == nil {
		return cty.NilVal, false
	}
	v, ok = s.scope.evaluate(a.expr, s.what(a))
	if !ok {
		return cty.NilVal, false
	}
	v, marks := v.UnmarkDeep()
	a.evaluated, a.sensitive = true, len(marks) > 0
	if v.IsNull() {
		return cty.NilVal, false
	}
	c, err := convert.Convert(v, ty)
	if err != nil || !noNulls(c) {
		s.l.diags.errorf(a.expr.Range(), "Wrong type", "%s takes %s; this is %s. Write for example: %s = %s",
			s.what(a), friendly(ty), article(v.Type()), name, example)
		return cty.NilVal, false
	}
	return c, true
}

func noNulls(v cty.Value) bool {
	if v.IsNull() {
		return false
	}
	if v.CanIterateElements() {
		for _, e := range v.Elements() {
			if e.IsNull() {
				return false
			}
		}
	}
	return true
}

func friendly(ty cty.Type) string {
	switch {
	case ty == cty.String:
		return "a string"
	case ty == cty.Number:
		return "a number"
	case ty == cty.Bool:
		return "true or false"
	case ty.IsListType():
		return "a list of " + strings.TrimPrefix(friendly(ty.ElementType()), "a ") + "s"
	case ty.IsMapType():
		return "a map of " + strings.TrimPrefix(friendly(ty.ElementType()), "a ") + "s"
	}
	return ty.FriendlyName()
}

func article(ty cty.Type) string {
	n := ty.FriendlyName()
	if strings.ContainsAny(n[:1], "aeiou") {
		return "an " + n
	}
	return "a " + n
}

func (s *section) text(name string, dst *string, example string) bool {
	v, ok := s.value(name, cty.String, fmt.Sprintf("%q", example))
	if ok {
		*dst = v.AsString()
	}
	return ok
}

func (s *section) flag(name string, dst *bool) bool {
	v, ok := s.value(name, cty.Bool, "true")
	if ok {
		*dst = v.True()
	}
	return ok
}

// number decodes a whole number from lo to hi.
func (s *section) number(name string, dst *int, lo, hi int) bool {
	v, ok := s.value(name, cty.Number, fmt.Sprint(max(lo, 1)))
	if !ok {
		return false
	}
	var n int64
	if err := gocty.FromCtyValue(v, &n); err != nil || n < int64(lo) || n > int64(hi) {
		was := v.AsBigFloat().Text('g', 10)
		s.l.diags.errorf(s.rangeOf(name), "Number out of range", "%s takes a whole number from %d to %d, not %s.", s.name+"."+name, lo, hi, was)
		return false
	}
	*dst = int(n)
	return true
}

// percent decodes a number from 0 to 100, which may have a fraction.
func (s *section) percent(name string, dst *float64) bool {
	v, ok := s.value(name, cty.Number, "50")
	if !ok {
		return false
	}
	f, _ := v.AsBigFloat().Float64()
	if f < 0 || f > 100 {
		s.l.diags.errorf(s.rangeOf(name), "Number out of range", "%s takes a number from 0 to 100, not %s.", s.name+"."+name, v.AsBigFloat().Text('g', 10))
		return false
	}
	*dst = f
	return true
}

// oneOf decodes a string that is one of values.
func (s *section) oneOf(name string, dst *string, values ...string) bool {
	v, ok := s.value(name, cty.String, fmt.Sprintf("%q", values[0]))
	if !ok {
		return false
	}
	if !slices.Contains(values, v.AsString()) {
		s.l.diags.errorf(s.rangeOf(name), "Unknown value", "%s is one of %s, not %q.%s", s.name+"."+name, quoted(values), v.AsString(), suggest(v.AsString(), slices.Clone(values)))
		return false
	}
	*dst = v.AsString()
	return true
}

func quoted(values []string) string {
	q := make([]string, len(values))
	for i, v := range values {
		q[i] = fmt.Sprintf("%q", v)
	}
	return strings.Join(q, ", ")
}

func (s *section) duration(name string, dst *time.Duration) bool {
	return decodeQuantity(s, name, dst, "duration", "10s", parseDuration)
}

func (s *section) size(name string, dst *int64) bool {
	return decodeQuantity(s, name, dst, "size", "16MiB", parseSize)
}

func decodeQuantity[T any](s *section, name string, dst *T, kind, example string, parse func(string) (T, error)) bool {
	v, ok := s.value(name, cty.String, fmt.Sprintf("%q", example))
	if !ok {
		return false
	}
	d, err := parse(v.AsString())
	if err != nil {
		s.l.diags.errorf(s.rangeOf(name), "Invalid "+kind, "%s can't be %q: %s. Write for example: %s = %q", s.name+"."+name, v.AsString(), err, name, example)
		return false
	}
	*dst = d
	return true
}

func (s *section) list(name string, dst *[]string, example string) bool {
	v, ok := s.value(name, cty.List(cty.String), example)
	if !ok {
		return false
	}
	out := []string{}
	for _, e := range v.Elements() {
		out = append(out, e.AsString())
	}
	*dst = out
	return true
}

func (s *section) textMap(name string, dst *map[string]string, example string) bool {
	v, ok := s.value(name, cty.Map(cty.String), example)
	if !ok {
		return false
	}
	out := map[string]string{}
	for k, e := range v.Elements() {
		out[k.AsString()] = e.AsString()
	}
	*dst = out
	return true
}

// itemRange is the place of the i-th element of a list attribute, or the whole
// attribute if it is not written as a list.
func (s *section) itemRange(name string, i int) hcl.Range {
	if t, ok := s.attrs[name].expr.(*hclsyntax.TupleConsExpr); ok && i < len(t.Exprs) {
		return t.Exprs[i].Range()
	}
	return s.rangeOf(name)
}

// require reports the absence of an attribute.
func (s *section) require(name, example string) bool {
	if s.has(name) {
		return true
	}
	s.l.diags.errorf(s.rng, "Missing required argument", "%s needs %s. Write for example: %s = %s", s.name, name, name, example)
	return false
}

// shown refuses sensitive values in attributes that logs, metrics and tools show.
func (s *section) shown(names ...string) {
	for _, n := range names {
		a := s.attrs[n]
		if a == nil {
			continue
		}
		if !a.evaluated {
			v, _ := s.scope.evaluate(a.expr, s.what(a))
			a.sensitive = v.ContainsMarked()
		}
		if a.sensitive {
			s.l.diags.errorf(a.expr.Range(), "Sensitive value", "%s can't be sensitive: it is shown in lists and logs.", s.what(a))
		}
	}
}

// blocks returns the nested blocks of one type.
func (s *section) blocks(typ string) []block {
	var out []block
	for _, b := range s.nested {
		if b.Type == typ {
			out = append(out, b)
		}
	}
	return out
}

// one returns the nested block of a type of which there may be one.
func (s *section) one(typ string) (block, bool) {
	all := s.blocks(typ)
	if len(all) == 0 {
		return block{}, false
	}
	for _, b := range all[1:] {
		s.l.diags.twice(b.DefRange, all[0].DefRange, "Duplicate block", "%s has one %s block.", s.name, typ)
	}
	return all[0], true
}

// labelled returns the nested blocks of a type whose labels must differ.
func (s *section) labelled(typ string) []block {
	first := map[string]hcl.Range{}
	all := s.blocks(typ)
	for _, b := range all {
		if r, ok := first[b.Labels[0]]; ok {
			s.l.diags.twice(b.DefRange, r, "Duplicate block", "%s has a %s block %q already.", s.name, typ, b.Labels[0])
			continue
		}
		first[b.Labels[0]] = b.DefRange
	}
	return all
}

// unavailable refuses blocks that this version does not act on. To accept them
// and do nothing would be a promise about security that isn't kept.
func (s *section) unavailable(types ...string) {
	for _, b := range s.nested {
		if slices.Contains(types, b.Type) {
			s.l.refuse(b.DefRange, "The "+b.Type+" block of "+s.name)
		}
	}
}

// only accepts an attribute that this version does not act on as long as it has
// the value that means nothing.
func (s *section) only(name string, neutral cty.Value) {
	v, ok := s.value(name, neutral.Type(), `""`)
	if ok && !v.RawEquals(neutral) {
		s.l.refuse(s.rangeOf(name), s.name+"."+name)
	}
}

func (l *loader) refuse(rng hcl.Range, what string) {
	l.diags.errorf(rng, "Not available", "%s is not available in this version of Headgate.", what)
}
