package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Dynamic blocks are expanded here and not with HCL's ext/dynblock: that hides
// the iterator in the expressions it hands out, and request-time expressions,
// which are compiled from the syntax tree, would not see it. The syntax is the
// same.

// maxInstances bounds what one for_each makes, and maxMade what all of a file do:
// those within others multiply.
const (
	maxInstances = 100_000
	maxMade      = 2 * maxInstances
)

// expand returns the blocks that a dynamic block stands for.
func (l *loader) expand(b block, schema *hcl.BodySchema) []block {
	typ := b.Labels[0]
	i := slices.IndexFunc(schema.Blocks, func(h hcl.BlockHeaderSchema) bool { return h.Type == typ })
	if i < 0 || typ == dynamicHeader.Type {
		var known []string
		for _, h := range schema.Blocks {
			if h.Type != dynamicHeader.Type {
				known = append(known, h.Type)
			}
		}
		l.diags.errorf(b.LabelRanges[0], "Unsupported block type", "Blocks of type %q are not expected here.%s", typ, suggest(typ, known))
		return nil
	}
	return l.expandAs(b, len(schema.Blocks[i].LabelNames))
}

// anyLabels is for blocks that no schema of ours describes.
const anyLabels = -1

// expandAs expands a dynamic block into blocks with so many labels.
func (l *loader) expandAs(b block, count int) []block {
	s := l.read(b, dynamicSchema)
	content, ok := s.one("content")
	if !ok {
		l.diags.errorf(b.DefRange, "Missing content block", "A dynamic block needs a content {} block: what each of the blocks holds.")
		return nil
	}
	iterator := b.Labels[0]
	if a := s.attrs["iterator"]; a != nil {
		iterator = hcl.ExprAsKeyword(a.raw)
		if iterator == "" || slices.Contains(requestRoots(), iterator) || slices.Contains(referenceRoots(), iterator) ||
			slices.Contains([]string{"var", "local", "each"}, iterator) {
			l.diags.errorf(a.expr.Range(), "Invalid iterator", "An iterator is a name of your own, without quotes. Write for example: iterator = item")
			return nil
		}
	}
	if !s.require("for_each", `["a", "b"]`) {
		return nil
	}
	items, ok := s.items("for_each", false)
	if !ok {
		return nil
	}
	var out []block
	for _, it := range items {
		inner := b.scope.with(iterator, it.key, it.value)
		labels, ranges, ok := l.dynamicLabels(s, inner, count, b)
		if !ok {
			continue
		}
		out = append(out, block{scope: inner, Block: &hcl.Block{
			Type: b.Labels[0], Labels: labels, LabelRanges: ranges, Body: content.Body,
			DefRange: b.DefRange, TypeRange: b.LabelRanges[0],
		}})
	}
	return out
}

func (l *loader) dynamicLabels(s *section, inner *scope, count int, b block) (labels []string, ranges []hcl.Range, ok bool) {
	a := s.attrs["labels"]
	if a == nil {
		if count > 0 {
			l.diags.errorf(b.DefRange, "Missing labels", "Blocks of type %q have a label. Write for example: labels = [%s.key]", b.Labels[0], b.Labels[0])
			return nil, nil, false
		}
		return nil, nil, true
	}
	v, ok := inner.evaluate(a.expr, "dynamic.labels")
	if !ok {
		return nil, nil, false
	}
	v, marks := v.UnmarkDeep()
	if len(marks) > 0 {
		l.diags.errorf(a.expr.Range(), "Sensitive labels", "A label can't be sensitive: it is shown.")
		return nil, nil, false
	}
	list, err := convert.Convert(v, cty.List(cty.String))
	if err != nil || !noNulls(list) || count != anyLabels && list.LengthInt() != count {
		l.diags.errorf(a.expr.Range(), "Invalid labels", "Blocks of type %q have %d labels: labels takes a list of as many strings.", b.Labels[0], max(count, 0))
		return nil, nil, false
	}
	for _, e := range list.Elements() {
		labels = append(labels, e.AsString())
		ranges = append(ranges, a.expr.Range())
	}
	return labels, ranges, true
}

// item is one iteration.
type item struct{ key, value cty.Value }

// items evaluates a for_each attribute in a fixed order. For blocks with names
// the keys become part of these, so that they have to be strings: a map, an
// object or a set of strings.
func (s *section) items(name string, named bool) ([]item, bool) {
	a := s.attrs[name]
	v, ok := s.scope.evaluate(a.expr, s.what(a))
	if !ok {
		return nil, false
	}
	rng := a.expr.Range()
	if v.ContainsMarked() {
		// Keys end up in names, and so in metrics and logs.
		if _, marks := v.Unmark(); len(marks) > 0 || named && v.Type().IsSetType() {
			s.l.diags.errorf(rng, "Sensitive for_each", "A sensitive value can't decide which blocks exist, since their names are shown.")
			return nil, false
		}
	}
	ty := v.Type()
	switch {
	case v.IsNull():
		s.l.diags.errorf(rng, "Invalid for_each", "for_each is null. Write an empty map, {}, for no block.")
		return nil, false
	case named && !(ty.IsMapType() || ty.IsObjectType() || ty.IsSetType() && ty.ElementType() == cty.String):
		s.l.diags.errorf(rng, "Invalid for_each", "for_each takes a map, an object or a set of strings; this is %s. Write for example: for_each = toset([\"a\", \"b\"])", article(ty))
		return nil, false
	case !v.CanIterateElements():
		s.l.diags.errorf(rng, "Invalid for_each", "for_each takes a list, a map or a set; this is %s.", article(ty))
		return nil, false
	case v.LengthInt() > maxInstances:
		s.l.diags.errorf(rng, "Invalid for_each", "for_each has %d elements; at most %d blocks are made.", v.LengthInt(), maxInstances)
		return nil, false
	}
	if s.l.made += v.LengthInt(); s.l.made > maxMade {
		s.l.diags.errorf(rng, "Too many blocks", "At most %d blocks are made in one file.", maxMade)
		return nil, false
	}
	var out []item
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		if named && e.IsNull() && ty.IsSetType() {
			continue
		}
		if ty.IsSetType() {
			k = e
		}
		out = append(out, item{k, e})
	}
	return out, true
}

// each expands for_each on a root block into its instances.
func (l *loader) each(b block) (instances []block, forEach, ok bool) {
	a, diags := forEachOf(b)
	l.diags.append(diags)
	b.id = b.Labels[0]
	if a == nil {
		return []block{b}, false, true
	}
	s := &section{l: l, scope: b.scope, name: b.Type, rng: b.DefRange, attrs: map[string]*attribute{"for_each": a}}
	items, ok := s.items("for_each", true)
	if !ok {
		return nil, true, false
	}
	for _, it := range items {
		n := block{Block: b.Block, scope: b.scope.with("each", it.key, it.value)}
		n.id = fmt.Sprintf("%s[%q]", b.Labels[0], it.key.AsString())
		instances = append(instances, n)
	}
	return instances, true, true
}

func forEachOf(b block) (*attribute, hcl.Diagnostics) {
	content, _, _ := b.Body.PartialContent(forEachSchema)
	a := content.Attributes["for_each"]
	if a == nil {
		return nil, nil
	}
	e, diags := syntaxOf(a.Expr)
	return &attribute{expr: e, raw: a.Expr, name: "for_each", rng: a.NameRange}, diags
}

// bodyRange is the range of a whole block.
func bodyRange(b *hcl.Block) hcl.Range {
	if body, ok := b.Body.(*hclsyntax.Body); ok {
		return hcl.RangeBetween(b.DefRange, body.SrcRange)
	}
	return b.DefRange
}

var dynamicHeader = hcl.BlockHeaderSchema{Type: "dynamic", LabelNames: []string{"type"}}
