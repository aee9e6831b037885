package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/headgate/headgate/runtime/exchange"
)

func (c *compiler) binary(e *hclsyntax.BinaryOpExpr) (node, bool) {
	a, ok1 := c.node(e.LHS)
	b, ok2 := c.node(e.RHS)
	n := node{kind: exchange.KindBool, typed: true, reads: a.reads | b.reads}
	switch e.Op {
	case hclsyntax.OpEqual:
		n.eval = equality(a, b, true)
	case hclsyntax.OpNotEqual:
		n.eval = equality(a, b, false)
	case hclsyntax.OpLogicalAnd:
		n.eval = logical(a.eval, b.eval, false)
	case hclsyntax.OpLogicalOr:
		n.eval = logical(a.eval, b.eval, true)
	case hclsyntax.OpLessThan:
		n.eval = ordering(a.eval, b.eval, func(a, b float64) bool { return a < b })
	case hclsyntax.OpLessThanOrEqual:
		n.eval = ordering(a.eval, b.eval, func(a, b float64) bool { return a <= b })
	case hclsyntax.OpGreaterThan:
		n.eval = ordering(a.eval, b.eval, func(a, b float64) bool { return a > b })
	case hclsyntax.OpGreaterThanOrEqual:
		n.eval = ordering(a.eval, b.eval, func(a, b float64) bool { return a >= b })
	default:
		n.kind = exchange.KindNumber
		f := arithmetic(e.Op)
		if f == nil {
			return c.errorf(e.SrcRange, "Unsupported operator", "This operator can't be used with request-time values.")
		}
		n.eval = numeric(a.eval, b.eval, f)
	}
	return n, ok1 && ok2
}

func (c *compiler) unary(e *hclsyntax.UnaryOpExpr) (node, bool) {
	a, ok := c.node(e.Val)
	eval := a.eval
	if e.Op == hclsyntax.OpLogicalNot {
		a.kind, a.typed = exchange.KindBool, true
		a.eval = func(x *exchange.Exchange) (exchange.Value, error) {
			v, err := eval(x)
			if err == nil && v.Kind != exchange.KindBool {
				err = typeError("the operand of !", v)
			}
			v.Bool = !v.Bool
			return v, err
		}
		return a, ok
	}
	a.kind, a.typed = exchange.KindNumber, true
	a.eval = func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := eval(x)
		if err != nil {
			return v, err
		}
		f, ok := asNumber(v)
		if !ok {
			return v, typeError("the operand of -", v)
		}
		return number(-f), nil
	}
	return a, ok
}

func boolean(b bool) exchange.Value { return exchange.Value{Kind: exchange.KindBool, Bool: b} }

func number(f float64) exchange.Value { return exchange.Value{Kind: exchange.KindNumber, Num: f} }

// equality compares without conversion: values of different types are not
// equal. A comparison with null is false, whichever it is, unless null is
// written out.
func equality(a, b node, want bool) exchange.Expr {
	isNull := func(n node) bool { return n.konst != nil && n.konst.Kind == exchange.KindNull }
	if isNull(b) {
		a, b = b, a
	}
	if isNull(a) {
		return func(x *exchange.Exchange) (exchange.Value, error) {
			v, err := b.eval(x)
			return boolean((v.Kind == exchange.KindNull) == want), err
		}
	}
	return func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := a.eval(x)
		if err != nil {
			return v, err
		}
		w, err := b.eval(x)
		if err != nil {
			return w, err
		}
		if v.Kind == exchange.KindNull || w.Kind == exchange.KindNull {
			return boolean(false), nil
		}
		return boolean(equal(v, w) == want), nil
	}
}

func equal(a, b exchange.Value) bool {
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case exchange.KindBool:
		return a.Bool == b.Bool
	case exchange.KindNumber:
		return a.Num == b.Num
	case exchange.KindString:
		return a.Text == b.Text
	case exchange.KindJSON:
		return reflect.DeepEqual(a.JSON, b.JSON)
	}
	return true
}

// logical is && or ||; decided is the operand that settles it without the other.
func logical(a, b exchange.Expr, decided bool) exchange.Expr {
	return func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := a(x)
		if err != nil {
			return v, err
		}
		if v.Kind != exchange.KindBool {
			return v, typeError("an operand of && or ||", v)
		}
		if v.Bool == decided {
			return v, nil
		}
		if v, err = b(x); err == nil && v.Kind != exchange.KindBool {
			err = typeError("an operand of && or ||", v)
		}
		return v, err
	}
}

// ordering compares numbers, and strings that are numbers, as HCL does.
func ordering(a, b exchange.Expr, holds func(a, b float64) bool) exchange.Expr {
	return func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := a(x)
		if err != nil {
			return v, err
		}
		w, err := b(x)
		if err != nil {
			return w, err
		}
		if v.Kind == exchange.KindNull || w.Kind == exchange.KindNull {
			return boolean(false), nil
		}
		f, ok := asNumber(v)
		if !ok {
			return v, notNumeric(v)
		}
		g, ok := asNumber(w)
		if !ok {
			return w, notNumeric(w)
		}
		return boolean(holds(f, g)), nil
	}
}

func notNumeric(v exchange.Value) error {
	if v.Kind == exchange.KindString {
		return fmt.Errorf("%w: a string that is not a number can't be compared with < or >", ErrType)
	}
	return typeError("an operand of < or >", v)
}

func arithmetic(op *hclsyntax.Operation) func(a, b float64) float64 {
	switch op {
	case hclsyntax.OpAdd:
		return func(a, b float64) float64 { return a + b }
	case hclsyntax.OpSubtract:
		return func(a, b float64) float64 { return a - b }
	case hclsyntax.OpMultiply:
		return func(a, b float64) float64 { return a * b }
	case hclsyntax.OpDivide:
		return func(a, b float64) float64 { return a / b }
	case hclsyntax.OpModulo:
		return math.Mod
	}
	return nil
}

func numeric(a, b exchange.Expr, f func(a, b float64) float64) exchange.Expr {
	return func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := a(x)
		if err != nil {
			return v, err
		}
		w, err := b(x)
		if err != nil {
			return w, err
		}
		p, ok := asNumber(v)
		if !ok {
			return v, typeError("an operand of arithmetic", v)
		}
		q, ok := asNumber(w)
		if !ok {
			return w, typeError("an operand of arithmetic", w)
		}
		r := f(p, q)
		if math.IsNaN(r) || math.IsInf(r, 0) {
			return v, fmt.Errorf("%w: division by zero, or a number out of range", ErrType)
		}
		return number(r), nil
	}
}

// asNumber is the number of a value that is one or is the text of one. Text
// that Go would take but people would not (hex, inf, underscores) is none.
func asNumber(v exchange.Value) (float64, bool) {
	switch v.Kind {
	case exchange.KindNumber:
		return v.Num, true
	case exchange.KindString:
		if v.Text == "" || len(v.Text) > 64 {
			return 0, false
		}
		for i := range len(v.Text) {
			if c := v.Text[i]; (c < '0' || c > '9') && strings.IndexByte("+-.eE", c) < 0 {
				return 0, false
			}
		}
		f, err := strconv.ParseFloat(v.Text, 64)
		return f, err == nil
	}
	return 0, false
}

// numberText is how a number is written in a text.
func numberText(f float64) string { return string(appendNumber(nil, f)) }

func appendNumber(dst []byte, f float64) []byte {
	if math.Abs(f) >= 1e21 {
		return strconv.AppendFloat(dst, f, 'g', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// asText is the text of a value in a template or as an argument: that of null
// is "". The memory is x's.
func asText(x *exchange.Exchange, v exchange.Value) (string, error) {
	switch v.Kind {
	case exchange.KindString:
		return v.Text, nil
	case exchange.KindNull:
		return "", nil
	case exchange.KindBool:
		if v.Bool {
			return "true", nil
		}
		return "false", nil
	case exchange.KindNumber:
		var b [32]byte
		return keep(x, appendNumber(b[:0], v.Num)), nil
	}
	return "", typeError("a part of a text", v)
}

// keep copies b to the arena.
func keep(x *exchange.Exchange, b []byte) string {
	p := x.Arena.Alloc(len(b))
	copy(p, b)
	return exchange.String(p)
}
