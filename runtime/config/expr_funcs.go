package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/headgate/headgate/runtime/exchange"
)

// A pure function of request-time values. args are checked for their number.
type requestFunc struct {
	min, max int // max < 0: any number
	kind     exchange.Kind
	typed    bool
	make     func(args []node) exchange.Expr
}

func requestFuncs() map[string]requestFunc {
	text := func(f func(x *exchange.Exchange, s []string) (exchange.Value, error)) func([]node) exchange.Expr {
		return func(args []node) exchange.Expr {
			return func(x *exchange.Exchange) (exchange.Value, error) {
				var buf [3]string
				for i := range args {
					v, err := args[i].eval(x)
					if err != nil {
						return v, err
					}
					if buf[i], err = argument(x, v); err != nil {
						return v, err
					}
				}
				return f(x, buf[:len(args)])
			}
		}
	}
	return map[string]requestFunc{
		"lower": {1, 1, exchange.KindString, true, text(func(_ *exchange.Exchange, s []string) (exchange.Value, error) {
			return exchange.Text(strings.ToLower(s[0])), nil
		})},
		"upper": {1, 1, exchange.KindString, true, text(func(_ *exchange.Exchange, s []string) (exchange.Value, error) {
			return exchange.Text(strings.ToUpper(s[0])), nil
		})},
		"replace": {3, 3, exchange.KindString, true, text(func(_ *exchange.Exchange, s []string) (exchange.Value, error) {
			if more := strings.Count(s[0], s[1]) * (len(s[2]) - len(s[1])); more > maxGrowth {
				return exchange.Value{}, errGrowth
			}
			return exchange.Text(strings.ReplaceAll(s[0], s[1], s[2])), nil
		})},
		"startswith": {2, 2, exchange.KindBool, true, text(func(_ *exchange.Exchange, s []string) (exchange.Value, error) {
			return boolean(strings.HasPrefix(s[0], s[1])), nil
		})},
		"endswith": {2, 2, exchange.KindBool, true, text(func(_ *exchange.Exchange, s []string) (exchange.Value, error) {
			return boolean(strings.HasSuffix(s[0], s[1])), nil
		})},
		"split": {2, 2, exchange.KindJSON, true, text(func(_ *exchange.Exchange, s []string) (exchange.Value, error) {
			if s[1] == "" {
				return exchange.Value{Kind: exchange.KindJSON, JSON: []any{}}, nil // as HCL's
			}
			parts := strings.Split(s[1], s[0])
			list := make([]any, len(parts))
			for i, p := range parts {
				list[i] = p
			}
			return exchange.Value{Kind: exchange.KindJSON, JSON: list}, nil
		})},
		"join":     {2, -1, exchange.KindString, true, joinExpr},
		"length":   {1, 1, exchange.KindNumber, true, lengthExpr},
		"contains": {2, 2, exchange.KindBool, true, containsExpr},
		"try":      {1, -1, 0, false, tryExpr},
	}
}

// call compiles a function call.
func (c *compiler) call(e *hclsyntax.FunctionCallExpr) (node, bool) {
	if e.Name == "regex" {
		return c.regex(e)
	}
	funcs := requestFuncs()
	f, ok := funcs[e.Name]
	switch {
	case !ok:
		names := append(mapKeys(funcs), "regex")
		hint := suggest(e.Name, names)
		if hint == "" {
			hint = " There is " + strings.Join(names, ", ") + "."
		}
		return c.errorf(e.NameRange, "Function not available at request time", "%q can't be used with request-time values.%s", e.Name, hint)
	case e.ExpandFinal:
		return c.errorf(e.Range(), "Unsupported expression", "\"...\" can't be used with request-time values.")
	case len(e.Args) < f.min || f.max >= 0 && len(e.Args) > f.max:
		return c.errorf(e.Range(), "Wrong number of arguments", "%s takes %d arguments, not %d.", e.Name, f.min, len(e.Args))
	}
	args, r, all := c.arguments(e)
	if !all {
		return constant(exchange.Value{}), false
	}
	return node{eval: f.make(args), kind: f.kind, typed: f.typed, reads: r}, true
}

// arguments compiles the arguments. One of try that fails at load is one that
// fails on each request.
func (c *compiler) arguments(e *hclsyntax.FunctionCallExpr) ([]node, reads, bool) {
	if e.Name != "try" {
		return c.nodes(e.Args)
	}
	var out []node
	var r reads
	all := true
	for _, a := range e.Args {
		if !c.s.readsRequest(a) && c.s.checkNames(a, c.opt.what) {
			if _, diags := a.Value(c.s.ctx); diags.HasErrors() {
				out = append(out, node{eval: func(*exchange.Exchange) (exchange.Value, error) {
					return exchange.Value{}, fmt.Errorf("%w: an argument of try has no value", ErrType)
				}})
				continue
			}
		}
		n, ok := c.node(a)
		out, r, all = append(out, n), r|n.reads, all && ok
	}
	return out, r, all
}

// argument is the text of an argument, which must not be null, as in HCL.
func argument(x *exchange.Exchange, v exchange.Value) (string, error) {
	if v.Kind == exchange.KindNull {
		return "", typeError("an argument", v)
	}
	return asText(x, v)
}

// maxGrowth bounds how much longer than its arguments a function may make a text,
// in bytes: two headers that a client chose would else multiply.
const maxGrowth = 1 << 20

var errGrowth = fmt.Errorf("%w: the result would be too large", ErrType)

// joinExpr is join(separator, list...).
func joinExpr(args []node) exchange.Expr {
	return func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := args[0].eval(x)
		if err != nil {
			return v, err
		}
		sep, err := argument(x, v)
		if err != nil {
			return v, err
		}
		var parts []string
		for _, a := range args[1:] {
			v, err := a.eval(x)
			if err != nil {
				return v, err
			}
			list, ok := v.JSON.([]any)
			if !ok {
				return v, typeError("the list of join", v)
			}
			for _, item := range list {
				s, err := argument(x, fromAny(item))
				if err != nil {
					return v, err
				}
				parts = append(parts, s)
			}
		}
		if len(parts)*len(sep) > maxGrowth {
			return exchange.Value{}, errGrowth
		}
		return exchange.Text(strings.Join(parts, sep)), nil
	}
}

func lengthExpr(args []node) exchange.Expr {
	return func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := args[0].eval(x)
		if err != nil {
			return v, err
		}
		switch j := v.JSON.(type) {
		case []any:
			return number(float64(len(j))), nil
		case map[string]any:
			return number(float64(len(j))), nil
		}
		if v.Kind != exchange.KindString {
			return v, typeError("the argument of length", v)
		}
		return number(float64(utf8.RuneCountInString(v.Text))), nil
	}
}

// containsExpr is contains(list, element) and contains(text, part).
func containsExpr(args []node) exchange.Expr {
	return func(x *exchange.Exchange) (exchange.Value, error) {
		in, err := args[0].eval(x)
		if err != nil {
			return in, err
		}
		what, err := args[1].eval(x)
		if err != nil {
			return what, err
		}
		if list, ok := in.JSON.([]any); ok {
			for _, item := range list {
				if equal(fromAny(item), what) {
					return boolean(true), nil
				}
			}
			return boolean(false), nil
		}
		if in.Kind != exchange.KindString {
			return in, typeError("the first argument of contains", in)
		}
		part, err := argument(x, what)
		return boolean(strings.Contains(in.Text, part)), err
	}
}

// tryExpr is the first argument that has a value.
func tryExpr(args []node) exchange.Expr {
	return func(x *exchange.Exchange) (exchange.Value, error) {
		var last error
		for i := range args {
			v, err := args[i].eval(x)
			if err == nil {
				return v, nil
			}
			// A body that can't be read is no type error, and must not be
			// taken for an absent value.
			if !errors.Is(err, ErrType) {
				return v, err
			}
			last = err
		}
		return exchange.Value{}, last
	}
}

// regex compiles regex(pattern, text): the match, or the list or object of its
// groups. No match is an error, as in HCL; try gives a default.
func (c *compiler) regex(e *hclsyntax.FunctionCallExpr) (node, bool) {
	if len(e.Args) != 2 || e.ExpandFinal {
		return c.errorf(e.Range(), "Wrong number of arguments", "regex takes a pattern and a text.")
	}
	p, ok1 := c.node(e.Args[0])
	text, ok2 := c.node(e.Args[1])
	if !ok1 || !ok2 {
		return constant(exchange.Value{}), false
	}
	if p.konst == nil || p.konst.Kind != exchange.KindString {
		return c.errorf(e.Args[0].Range(), "Invalid regular expression", "The pattern has to be a string that is known when the configuration is loaded.")
	}
	re, err := regexp.Compile(p.konst.Text)
	if err != nil {
		return c.errorf(e.Args[0].Range(), "Invalid regular expression", "The pattern is not valid: %s.", regexReason(err))
	}
	n := node{reads: text.reads, typed: re.NumSubexp() == 0, kind: exchange.KindString}
	n.eval = func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := text.eval(x)
		if err != nil {
			return v, err
		}
		s, err := argument(x, v)
		if err != nil {
			return v, err
		}
		m := re.FindStringSubmatchIndex(s)
		if m == nil {
			return v, fmt.Errorf("%w: regex has no match", ErrType)
		}
		return captures(re, s, m), nil
	}
	return n, true
}

func captures(re *regexp.Regexp, s string, m []int) exchange.Value {
	group := func(i int) any {
		if m[2*i] < 0 {
			return nil
		}
		return s[m[2*i]:m[2*i+1]]
	}
	names := re.SubexpNames()
	switch {
	case len(names) == 1:
		return exchange.Text(s[m[0]:m[1]])
	case names[1] != "":
		obj := map[string]any{}
		for i, n := range names {
			if n != "" {
				obj[n] = group(i)
			}
		}
		return exchange.Value{Kind: exchange.KindJSON, JSON: obj}
	}
	list := make([]any, len(names)-1)
	for i := range list {
		list[i] = group(i + 1)
	}
	return exchange.Value{Kind: exchange.KindJSON, JSON: list}
}

func regexReason(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}
