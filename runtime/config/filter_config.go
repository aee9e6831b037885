package config

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/headgate/headgate/runtime/exchange"
)

// filterConfig makes the configuration of one filter.
type filterConfig struct {
	*loader
	filter *Filter
	opt    exprScope // of its request-time expressions
}

// value evaluates what is known now, and compiles the rest: then the value is, or
// has in it, handles of what was compiled.
func (c *filterConfig) value(e hclsyntax.Expression, s *scope, what string) (cty.Value, bool) {
	if !s.readsRequest(e) {
		return s.evaluate(e, what)
	}
	opt := c.opt
	opt.what = what
	switch e := e.(type) {
	case *hclsyntax.TupleConsExpr:
		items, good := make([]cty.Value, len(e.Exprs)), true
		for i, item := range e.Exprs {
			v, ok := c.value(item, s, what)
			items[i], good = v, good && ok
		}
		return cty.TupleVal(items), good
	case *hclsyntax.ObjectConsExpr:
		obj, good := map[string]cty.Value{}, true
		for _, item := range e.Items {
			key, known := (&compiler{s: s, opt: opt}).key(item.KeyExpr)
			v, ok := c.value(item.ValueExpr, s, what)
			obj[key], good = v, good && ok && known
		}
		return cty.ObjectVal(obj), good
	}
	x, ok := s.compile(e, opt)
	if !ok {
		return cty.DynamicVal, false
	}
	index := cty.NumberIntVal(int64(len(c.filter.Values)))
	c.filter.Values = append(c.filter.Values, FilterValue{x, func(buffer int64) exchange.Expr {
		again := opt
		again.buffer = buffer
		y, _ := s.compile(e, again)
		return y.Eval
	}})
	return cty.ObjectVal(map[string]cty.Value{handle: index}), true
}

// bodyValue is a body as an object: a nested block is an object, repeated ones
// a list, labelled ones members of an object.
func (c *filterConfig) bodyValue(b *body, s *scope) (cty.Value, bool) {
	obj := map[string]cty.Value{}
	good := true
	for _, name := range mapKeys(b.attrs) {
		v, ok := c.value(b.attrs[name].expr, s, "filter."+name)
		good = good && ok
		obj[name] = v
	}
	groups := map[string][]block{}
	for _, n := range b.blocks {
		if a := b.attrs[n.Type]; a != nil {
			c.diags.twice(n.DefRange, a.rng, "Duplicate name", "%q is an argument already.", n.Type)
			good = false
			continue
		}
		groups[n.Type] = append(groups[n.Type], n)
	}
	for _, typ := range mapKeys(groups) {
		v, ok := c.groupValue(groups[typ], 0)
		obj[typ] = v
		good = good && ok
	}
	return cty.ObjectVal(obj), good
}

// groupValue is the value of all blocks of one type, whose first depth labels
// are used up.
func (c *filterConfig) groupValue(group []block, depth int) (cty.Value, bool) {
	var plain []cty.Value
	byLabel := map[string][]block{}
	good := true
	for _, n := range group {
		if len(n.Labels) > depth {
			byLabel[n.Labels[depth]] = append(byLabel[n.Labels[depth]], n)
			continue
		}
		v, ok := c.bodyValue(c.readBody(n), n.scope)
		plain, good = append(plain, v), good && ok
	}
	switch {
	case len(byLabel) == 0 && len(plain) == 1:
		return plain[0], good
	case len(byLabel) == 0:
		return cty.TupleVal(plain), good
	case len(plain) > 0:
		c.diags.errorf(group[0].DefRange, "Mixed blocks", "Some %s blocks have a label and some have none.", group[0].Type)
		return cty.DynamicVal, false
	}
	obj := map[string]cty.Value{}
	for _, label := range mapKeys(byLabel) {
		same := byLabel[label]
		if len(same) > 1 && len(same[1].Labels) == depth+1 {
			c.diags.twice(same[1].DefRange, same[0].DefRange, "Duplicate block", "There is a %s block %q already.", same[1].Type, label)
			good = false
		}
		v, ok := c.groupValue(same, depth+1)
		obj[label], good = v, good && ok
	}
	return cty.ObjectVal(obj), good
}
