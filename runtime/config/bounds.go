package config

import (
	"errors"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// A few lines can describe more than any memory holds: local values that double
// one another, loops within loops, a replacement of every letter by a text. So
// what values take is counted before and while they are made.
const (
	// maxValue bounds one value, in bytes, and what one function makes; maxHeavy
	// all local values together, and all heavy values of one file.
	maxValue = 16 << 20
	maxHeavy = 256 << 20
	// maxRounds bounds the rounds of all loops of one expression.
	maxRounds = 1 << 20
	// elementSize is what an element takes beside its content.
	elementSize = 64
)

// sizeOf returns about how many bytes v takes; more than limit is not counted.
func sizeOf(v cty.Value, limit int) int {
	v, _ = v.Unmark()
	if !v.IsKnown() || v.IsNull() {
		return elementSize
	}
	switch ty := v.Type(); {
	case ty == cty.String:
		return elementSize + len(v.AsString())
	case !v.CanIterateElements():
		return elementSize
	}
	n := elementSize
	for it := v.ElementIterator(); n < limit && it.Next(); {
		key, item := it.Element()
		if key.Type() == cty.String {
			n += len(key.AsString())
		}
		n += sizeOf(item, limit-n)
	}
	return n
}

// heavy are the sizes of variables and local values that may add up to something,
// by name: "local.a".
type heavy map[string]int

// heavyFrom is the least size that counts.
const heavyFrom = 1 << 10

// keep notes the size of a variable or local value.
func (l *loader) keep(kind, name string, v cty.Value) {
	if n := sizeOf(v, maxValue); n >= heavyFrom {
		l.heavy[kind+"."+name] = n
	}
}

// admit counts a value, and reports it if there is no room for it.
func (l *loader) admit(v cty.Value, at hcl.Range) bool {
	n := sizeOf(v, maxValue)
	if n >= heavyFrom {
		l.taken += n
	}
	if n < maxValue && l.taken <= maxHeavy {
		return true
	}
	l.diags.append(tooLarge(at))
	return false
}

// bounded returns e, or what stands for it while it is evaluated: the same, but
// what its loops and functions make is counted. It fails if e would take too much
// as it is. counts is set if the value may be large.
func (s *scope) bounded(e hclsyntax.Expression) (b hclsyntax.Expression, counts bool, diags hcl.Diagnostics) {
	calls, total := false, 0
	_ = hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ForExpr, *hclsyntax.FunctionCallExpr:
			calls = true
		case *hclsyntax.ScopeTraversalExpr:
			total += s.sizeAt(n.Traversal)
		}
		return nil
	})
	if total > maxValue {
		return nil, true, tooLarge(e.Range())
	}
	if calls {
		e = (&meter{at: e.Range()}).expression(e)
	}
	return e, calls || total >= heavyFrom, nil
}

// sizeAt is the size of what a reference finds. Variables of loops are not known
// yet.
func (s *scope) sizeAt(t hcl.Traversal) int {
	if root := t.RootName(); (root == "local" || root == "var") && len(t) > 1 {
		name, _ := stepName(t[1])
		if n := s.l.heavy[root+"."+name]; n == 0 || len(t) == 2 {
			return n
		}
	}
	v, diags := t.TraverseAbs(s.ctx)
	if diags.HasErrors() {
		return 0
	}
	return sizeOf(v, maxValue)
}

func tooLarge(rng hcl.Range) hcl.Diagnostics {
	return hcl.Diagnostics{{
		Severity: hcl.DiagError, Summary: "Value too large", Subject: &rng,
		Detail: "What this expression describes takes too much memory or time.",
	}}
}

// meter counts what the loops and functions of one expression make.
type meter struct {
	at            hcl.Range
	rounds, bytes int
	over          bool
}

// expression returns a copy of e with its loops and function calls metered.
func (m *meter) expression(e hclsyntax.Expression) hclsyntax.Expression {
	switch e := e.(type) {
	case *hclsyntax.ForExpr:
		c := *e
		c.CollExpr = m.expression(e.CollExpr)
		c.ValExpr = &metered{m.body(e.ValExpr), m}
		if e.KeyExpr != nil {
			c.KeyExpr = &metered{m.body(e.KeyExpr), m}
		}
		if e.CondExpr != nil {
			c.CondExpr = &metered{m.body(e.CondExpr), m}
		}
		return &c
	case *hclsyntax.ParenthesesExpr:
		c := *e
		c.Expression = m.expression(e.Expression)
		return &c
	case *hclsyntax.FunctionCallExpr:
		c := *e
		c.Args = m.expressions(e.Args)
		return &metered{&c, m}
	case *hclsyntax.TupleConsExpr:
		c := *e
		c.Exprs = m.expressions(e.Exprs)
		return &c
	case *hclsyntax.ObjectConsExpr:
		c := *e
		c.Items = make([]hclsyntax.ObjectConsItem, len(e.Items))
		for i, item := range e.Items {
			c.Items[i] = hclsyntax.ObjectConsItem{KeyExpr: m.expression(item.KeyExpr), ValueExpr: m.expression(item.ValueExpr)}
		}
		return &c
	case *hclsyntax.ObjectConsKeyExpr:
		c := *e
		c.Wrapped = m.expression(e.Wrapped)
		return &c
	case *hclsyntax.ConditionalExpr:
		c := *e
		c.Condition, c.TrueResult, c.FalseResult = m.expression(e.Condition), m.expression(e.TrueResult), m.expression(e.FalseResult)
		return &c
	case *hclsyntax.BinaryOpExpr:
		c := *e
		c.LHS, c.RHS = m.expression(e.LHS), m.expression(e.RHS)
		return &c
	case *hclsyntax.UnaryOpExpr:
		c := *e
		c.Val = m.expression(e.Val)
		return &c
	case *hclsyntax.IndexExpr:
		c := *e
		c.Collection, c.Key = m.expression(e.Collection), m.expression(e.Key)
		return &c
	case *hclsyntax.RelativeTraversalExpr:
		c := *e
		c.Source = m.expression(e.Source)
		return &c
	case *hclsyntax.SplatExpr:
		c := *e
		c.Source = m.expression(e.Source)
		return &c
	case *hclsyntax.TemplateWrapExpr:
		c := *e
		c.Wrapped = m.expression(e.Wrapped)
		return &c
	case *hclsyntax.TemplateJoinExpr:
		c := *e
		c.Tuple = m.expression(e.Tuple)
		return &c
	case *hclsyntax.TemplateExpr:
		c := *e
		c.Parts = m.expressions(e.Parts)
		return &c
	}
	return e
}

func (m *meter) expressions(list []hclsyntax.Expression) []hclsyntax.Expression {
	out := make([]hclsyntax.Expression, len(list))
	for i, e := range list {
		out[i] = m.expression(e)
	}
	return out
}

// body returns what a loop does in each round. A text in it may repeat what the
// loop has at hand, so that its parts count, too.
func (m *meter) body(e hclsyntax.Expression) hclsyntax.Expression {
	e = m.expression(e)
	if t, ok := e.(*hclsyntax.TemplateExpr); ok {
		c := *t
		c.Parts = make([]hclsyntax.Expression, len(t.Parts))
		for i, p := range t.Parts {
			c.Parts[i] = &metered{p, m}
		}
		return &c
	}
	return e
}

// metered is an expression whose value is counted.
type metered struct {
	hclsyntax.Expression
	meter *meter
}

// Value implements hcl.Expression. Once the meter is over there is no value, and
// one error says so.
func (x *metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	m := x.meter
	if m.over {
		return cty.DynamicVal, nil
	}
	v, diags := x.Expression.Value(ctx)
	m.rounds++
	if !m.over {
		m.bytes += sizeOf(v, maxValue)
		if m.rounds > maxRounds || m.bytes > maxValue {
			m.over = true
			return cty.DynamicVal, append(diags, tooLarge(m.at)...)
		}
	}
	return v, diags
}

// boundedFunc is f, but fails if its result were larger than it may be. size is at
// least the size of the result.
func boundedFunc(f function.Function, size func(args []cty.Value) int) function.Function {
	return function.New(&function.Spec{
		Params: f.Params(), VarParam: f.VarParam(),
		Type: f.ReturnTypeForValues,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if n := size(args); n < 0 || n > maxValue {
				return cty.NilVal, errors.New("the result would be too large")
			}
			return f.Call(args)
		},
	})
}

// replacedSize, joinedSize, formattedSize and indentedSize bound the results of
// functions that repeat one argument for each part of another.
func replacedSize(args []cty.Value) int {
	text, old, by := args[0].AsString(), args[1].AsString(), args[2].AsString()
	return len(text) + strings.Count(text, old)*len(by)
}

func joinedSize(args []cty.Value) int {
	n := 0
	for _, list := range args[1:] {
		n += sizeOf(list, maxValue)
		if !list.IsNull() && list.CanIterateElements() {
			n += list.LengthInt() * len(args[0].AsString())
		}
	}
	return n
}

func formattedSize(args []cty.Value) int {
	longest := 0
	for _, v := range args[1:] {
		longest = max(longest, sizeOf(v, maxValue))
	}
	format := args[0].AsString()
	return len(format) + strings.Count(format, "%")*longest
}

func indentedSize(args []cty.Value) int {
	spaces, _ := args[0].AsBigFloat().Int64()
	text := args[1].AsString()
	if spaces < 0 || spaces > maxValue {
		return -1
	}
	return len(text) + (1+strings.Count(text, "\n"))*int(spaces)
}
