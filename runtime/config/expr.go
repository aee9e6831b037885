package config

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/headgate/headgate/runtime/exchange"
)

// Expr is a compiled request-time expression.
type Expr struct {
	Eval exchange.Expr
	// Const is the value if it does not depend on the request.
	Const *exchange.Value
	// Body is set if it reads the request body, Response if it reads the
	// response.
	Body, Response bool
	// Sensitive is set if a sensitive value is part of it.
	Sensitive bool
	Range     hcl.Range
}

// exprScope says what a request-time expression may read.
type exprScope struct {
	what string // the attribute, for messages
	// response allows response.*; the request body has then been forwarded and
	// only what was read ahead of it is left.
	response bool
	// noPath says why there are no path variables; "" if params are all there
	// are. A rest variable maps to true.
	noPath string
	params map[string]bool
	buffer int64 // how much of the body request.json reads
}

// node is a compiled sub-expression.
type node struct {
	eval  exchange.Expr
	konst *exchange.Value
	// kind is what the value is, if typed; it may always be null besides.
	kind  exchange.Kind
	typed bool
	// reads says what the value comes from.
	reads reads
}

// reads is a set of sources.
type reads uint8

const (
	readsPath     reads = 1 << iota // request.path: a path that is encoded already
	readsBody                       // request.json
	readsResponse                   // response.*
	readsRest                       // a rest variable of the template
	readsOther
	readsSensitive // a sensitive value of the configuration
)

func constant(v exchange.Value) node {
	return node{
		eval:  func(*exchange.Exchange) (exchange.Value, error) { return v, nil },
		konst: &v, kind: v.Kind, typed: true,
	}
}

func textNode(r reads, f func(x *exchange.Exchange) string) node {
	return node{
		eval: func(x *exchange.Exchange) (exchange.Value, error) { return exchange.Text(f(x)), nil },
		kind: exchange.KindString, typed: true, reads: r,
	}
}

// compiler turns one expression into closures.
type compiler struct {
	s   *scope
	opt exprScope
}

// compile compiles e. ok is false if it reported something.
func (s *scope) compile(e hclsyntax.Expression, opt exprScope) (*Expr, bool) {
	c := &compiler{s: s, opt: opt}
	n, ok := c.node(e)
	return n.expr(e), ok
}

// compileWhen compiles a condition. Its value is true or false; anything else
// is an error, so that a filter is never skipped by mistake.
func (s *scope) compileWhen(e hclsyntax.Expression, opt exprScope) (*Expr, bool) {
	c := &compiler{s: s, opt: opt}
	n, ok := c.node(e)
	if !ok || n.konst != nil && n.konst.Kind == exchange.KindNull {
		return nil, false // null is as if it were absent
	}
	if n.typed && n.kind != exchange.KindBool {
		s.l.diags.errorf(e.Range(), "Wrong type", "%s takes a condition, which is true or false; this is %s. Write for example: %s = request.method == \"POST\"", opt.what, kindText(n.kind), "when")
		return nil, false
	}
	eval := n.eval
	n.eval = func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := eval(x)
		if err == nil && v.Kind != exchange.KindBool {
			err = typeError("a condition", v)
		}
		return v, err
	}
	return n.expr(e), true
}

func (n node) expr(e hclsyntax.Expression) *Expr {
	return &Expr{
		Eval: n.eval, Const: n.konst, Range: e.Range(),
		Body: n.reads&readsBody != 0, Response: n.reads&readsResponse != 0, Sensitive: n.reads&readsSensitive != 0,
	}
}

// readsRequest reports whether e has anything that is known only while a
// request is served.
func (s *scope) readsRequest(e hclsyntax.Expression) bool {
	for _, t := range e.Variables() {
		if s.isRequestTime(t) {
			return true
		}
	}
	return false
}

func (c *compiler) errorf(rng hcl.Range, summary, format string, args ...any) (node, bool) {
	c.s.l.diags.errorf(rng, summary, format, args...)
	return constant(exchange.Value{}), false
}

// node compiles one expression. What does not depend on the request is
// evaluated now, by HCL.
func (c *compiler) node(e hclsyntax.Expression) (node, bool) {
	if !c.s.readsRequest(e) {
		v, ok := c.s.evaluate(e, c.opt.what)
		if !ok {
			return constant(exchange.Value{}), false
		}
		n := constant(valueOf(v))
		if v.ContainsMarked() {
			n.reads = readsSensitive
		}
		return n, true
	}
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return c.node(e.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return c.node(e.Wrapped)
	case *hclsyntax.TemplateExpr:
		return c.template(e)
	case *hclsyntax.ConditionalExpr:
		return c.conditional(e, c.node)
	case *hclsyntax.BinaryOpExpr:
		return c.binary(e)
	case *hclsyntax.UnaryOpExpr:
		return c.unary(e)
	case *hclsyntax.FunctionCallExpr:
		return c.call(e)
	case *hclsyntax.ScopeTraversalExpr:
		return c.traversal(e.Traversal, e.SrcRange)
	case *hclsyntax.RelativeTraversalExpr:
		n, ok := c.node(e.Source)
		return c.steps(n, e.Traversal), ok
	case *hclsyntax.IndexExpr:
		return c.index(e)
	case *hclsyntax.TupleConsExpr:
		return c.tuple(e)
	case *hclsyntax.ObjectConsExpr:
		return c.object(e)
	case *hclsyntax.ForExpr, *hclsyntax.SplatExpr, *hclsyntax.TemplateJoinExpr:
		return c.errorf(e.Range(), "Unsupported expression", "A for or [*] expression can't use request-time values; %s is compiled to run on every request.", c.opt.what)
	}
	return c.errorf(e.Range(), "Unsupported expression", "This kind of expression can't use request-time values.")
}

// conditional compiles the branches with branch.
func (c *compiler) conditional(e *hclsyntax.ConditionalExpr, branch func(hclsyntax.Expression) (node, bool)) (node, bool) {
	cond, ok1 := c.node(e.Condition)
	yes, ok2 := branch(e.TrueResult)
	no, ok3 := branch(e.FalseResult)
	if cond.konst != nil && cond.konst.Kind == exchange.KindBool {
		if cond.konst.Bool {
			return yes, ok1 && ok2 && ok3
		}
		return no, ok1 && ok2 && ok3
	}
	if ok1 && cond.typed && cond.kind != exchange.KindBool {
		return c.errorf(e.Condition.Range(), "Wrong type", "A condition is true or false; this is %s. Write a comparison.", kindText(cond.kind))
	}
	n := node{reads: cond.reads | yes.reads | no.reads, kind: yes.kind, typed: yes.typed && no.typed && yes.kind == no.kind}
	n.eval = func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := cond.eval(x)
		if err != nil {
			return v, err
		}
		if v.Kind != exchange.KindBool {
			return v, typeError("a condition", v)
		}
		if v.Bool {
			return yes.eval(x)
		}
		return no.eval(x)
	}
	return n, ok1 && ok2 && ok3
}

func (c *compiler) tuple(e *hclsyntax.TupleConsExpr) (node, bool) {
	items, r, ok := c.nodes(e.Exprs)
	n := node{kind: exchange.KindJSON, typed: true, reads: r}
	n.eval = func(x *exchange.Exchange) (exchange.Value, error) {
		list := make([]any, len(items))
		for i := range items {
			v, err := items[i].eval(x)
			if err != nil {
				return v, err
			}
			list[i] = plain(v)
		}
		return exchange.Value{Kind: exchange.KindJSON, JSON: list}, nil
	}
	return n, ok
}

func (c *compiler) object(e *hclsyntax.ObjectConsExpr) (node, bool) {
	members, ok := c.members(e)
	n := node{kind: exchange.KindJSON, typed: true}
	for _, m := range members {
		n.reads |= m.value.reads
	}
	n.eval = func(x *exchange.Exchange) (exchange.Value, error) {
		obj := make(map[string]any, len(members))
		for i := range members {
			v, err := members[i].value.eval(x)
			if err != nil {
				return v, err
			}
			obj[members[i].key] = plain(v)
		}
		return exchange.Value{Kind: exchange.KindJSON, JSON: obj}, nil
	}
	return n, ok
}

// member is one entry of an object.
type member struct {
	key   string
	rng   hcl.Range
	value node
	expr  hclsyntax.Expression
}

// members compiles the entries of an object whose keys are known at load.
func (c *compiler) members(e *hclsyntax.ObjectConsExpr) ([]member, bool) {
	var out []member
	all := true
	for _, it := range e.Items {
		key, ok := c.key(it.KeyExpr)
		if !ok {
			all = false
			continue
		}
		v, ok := c.node(it.ValueExpr)
		all = all && ok
		out = append(out, member{key: key, rng: it.KeyExpr.Range(), value: v, expr: it.ValueExpr})
	}
	return out, all
}

// key evaluates what has to be known at load: a header name, a gjson path.
func (c *compiler) key(e hclsyntax.Expression) (string, bool) {
	if k, isKey := e.(*hclsyntax.ObjectConsKeyExpr); isKey {
		if word := hcl.ExprAsKeyword(k.Wrapped); word != "" && !k.ForceNonLiteral {
			return word, true
		}
		e = k.Wrapped
	}
	if c.s.readsRequest(e) {
		c.s.l.diags.errorf(e.Range(), "Request-time value not allowed here", "This name has to be known when the configuration is loaded.")
		return "", false
	}
	v, ok := c.s.evaluate(e, c.opt.what)
	if !ok {
		return "", false
	}
	v, _ = v.Unmark()
	switch val := valueOf(v); val.Kind {
	case exchange.KindString:
		return val.Text, true
	case exchange.KindNumber:
		return numberText(val.Num), true
	}
	c.s.l.diags.errorf(e.Range(), "Wrong type", "A name is a string, in quotes.")
	return "", false
}

func (c *compiler) nodes(list []hclsyntax.Expression) (out []node, r reads, ok bool) {
	ok = true
	for _, e := range list {
		n, good := c.node(e)
		out, r, ok = append(out, n), r|n.reads, ok && good
	}
	return out, r, ok
}

// valueOf turns a load-time value into a request-time one. Unknown is null:
// what made it so was reported.
func valueOf(v cty.Value) exchange.Value {
	v, _ = v.UnmarkDeep()
	if !v.IsKnown() || v.IsNull() {
		return exchange.Value{}
	}
	switch ty := v.Type(); {
	case ty == cty.String:
		return exchange.Text(v.AsString())
	case ty == cty.Bool:
		return exchange.Value{Kind: exchange.KindBool, Bool: v.True()}
	case ty == cty.Number:
		f, _ := v.AsBigFloat().Float64()
		return exchange.Value{Kind: exchange.KindNumber, Num: f}
	case ty.IsMapType() || ty.IsObjectType():
		obj := map[string]any{}
		for k, e := range v.AsValueMap() {
			obj[k] = plain(valueOf(e))
		}
		return exchange.Value{Kind: exchange.KindJSON, JSON: obj}
	case v.CanIterateElements():
		list := []any{}
		for _, e := range v.AsValueSlice() {
			list = append(list, plain(valueOf(e)))
		}
		return exchange.Value{Kind: exchange.KindJSON, JSON: list}
	}
	return exchange.Value{}
}

// plain is v as an element of a JSON value.
func plain(v exchange.Value) any {
	switch v.Kind {
	case exchange.KindBool:
		return v.Bool
	case exchange.KindNumber:
		return v.Num
	case exchange.KindString:
		return v.Text
	case exchange.KindJSON:
		return v.JSON
	}
	return nil
}

func kindText(k exchange.Kind) string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list or an object"}[k]
}

// ErrType is a type error of an expression for one request.
var ErrType = errors.New("type error")

func typeError(want string, got exchange.Value) error {
	return fmt.Errorf("%w: %s can't be %s", ErrType, want, kindText(got.Kind))
}
