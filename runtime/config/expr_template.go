package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/headgate/headgate/runtime/exchange"
)

// part is a piece of a template: fixed text, or an expression.
type part struct {
	text string
	eval exchange.Expr
	mode pathMode
}

// pathMode says how a value is put into a path.
type pathMode uint8

const (
	asIs        pathMode = iota // not a path, or encoded already
	asSegment                   // "/" is encoded too
	asSegments                  // "/" separates
	asRemaining                 // the value of a rest variable
)

// manyParts is above which the texts of a template's parts are allocated.
const manyParts = 8

func (c *compiler) template(e *hclsyntax.TemplateExpr) (node, bool) {
	return c.join(e, func(node) pathMode { return asIs })
}

func (c *compiler) join(e *hclsyntax.TemplateExpr, mode func(node) pathMode) (node, bool) {
	var parts []part
	all, r := true, reads(0)
	for _, p := range e.Parts {
		n, ok := c.node(p)
		all, r = all && ok, r|n.reads
		if n.konst == nil {
			parts = append(parts, part{eval: n.eval, mode: mode(n)})
			continue
		}
		if n.konst.Kind == exchange.KindJSON {
			return c.errorf(p.Range(), "Wrong type", "A list or an object can't be a part of a text.")
		}
		var x exchange.Exchange
		text, _ := asText(&x, *n.konst)
		if k := len(parts) - 1; k >= 0 && parts[k].eval == nil {
			parts[k].text += text
		} else {
			parts = append(parts, part{text: text})
		}
	}
	return node{eval: concat(parts), kind: exchange.KindString, typed: true, reads: r}, all
}

// concat evaluates the parts and puts them one after the other in memory of the
// exchange.
func concat(parts []part) exchange.Expr {
	return func(x *exchange.Exchange) (exchange.Value, error) {
		var few [manyParts]string
		texts := few[:]
		if len(parts) > manyParts {
			texts = make([]string, len(parts))
		}
		size := 0
		for i := range parts {
			p := &parts[i]
			s := p.text
			if p.eval != nil {
				v, err := p.eval(x)
				if err != nil {
					return v, err
				}
				if s, err = asText(x, v); err != nil {
					return v, err
				}
				if p.mode != asIs {
					s = escape(x, s, p.mode)
				}
			}
			texts[i] = s
			size += len(s)
		}
		b := x.Arena.Alloc(size)
		at := 0
		for i := range parts {
			at += copy(b[at:], texts[i])
		}
		return exchange.Text(exchange.String(b)), nil
	}
}

// compilePath compiles an expression whose value is a path. Path variables and
// everything else that comes from the request are encoded where they are put
// in, so that no value can add a segment, climb, or begin a query;
// request.path, which is encoded already, is left alone.
func (s *scope) compilePath(e hclsyntax.Expression, opt exprScope) (*Expr, bool) {
	c := &compiler{s: s, opt: opt}
	n, ok := c.path(e)
	return n.expr(e), ok
}

func (c *compiler) path(e hclsyntax.Expression) (node, bool) {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return c.path(e.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return c.path(e.Wrapped)
	case *hclsyntax.ConditionalExpr:
		return c.conditional(e, c.path)
	}
	var n node
	var ok bool
	if t, isTemplate := e.(*hclsyntax.TemplateExpr); isTemplate && c.s.readsRequest(e) {
		fixed := c.fixedParts(t)
		n, ok = c.join(t, segmentMode)
		ok = ok && fixed
	} else {
		n, ok = c.node(e)
		if n.konst != nil {
			return n, ok && c.fixedPath(e, *n.konst)
		}
		if n.reads != readsPath {
			n.eval = escaped(n.eval)
		}
	}
	eval := n.eval
	n.eval = func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := eval(x)
		if err == nil {
			err = checkPath(v)
		}
		return v, err
	}
	return n, ok
}

// segmentMode says how a value stands between the fixed parts of a path.
func segmentMode(n node) pathMode {
	switch n.reads {
	case readsPath:
		return asIs
	case readsRest:
		return asRemaining
	}
	return asSegment
}

func escaped(eval exchange.Expr) exchange.Expr {
	return func(x *exchange.Exchange) (exchange.Value, error) {
		v, err := eval(x)
		if err == nil && v.Kind == exchange.KindString {
			v.Text = escape(x, v.Text, asSegments)
		}
		return v, err
	}
}

func (c *compiler) fixedParts(t *hclsyntax.TemplateExpr) bool {
	for i, p := range t.Parts {
		text, ok := literal(p)
		if !ok {
			continue
		}
		if i == 0 && !strings.HasPrefix(text, "/") {
			c.s.l.diags.errorf(t.Range(), "Invalid path", "A path starts with \"/\".")
			return false
		}
		if strings.ContainsAny(text, "?#") {
			c.s.l.diags.errorf(p.Range(), "Invalid path", "A path has no %q. Set query parameters with rewrite.query.", "?")
			return false
		}
	}
	return true
}

func (c *compiler) fixedPath(e hclsyntax.Expression, v exchange.Value) bool {
	switch {
	case v.Kind != exchange.KindString || !strings.HasPrefix(v.Text, "/"):
		c.s.l.diags.errorf(e.Range(), "Invalid path", "A path is a string that starts with \"/\". Write for example: path = \"/v2${request.path}\"")
	case strings.ContainsAny(v.Text, "?#"):
		c.s.l.diags.errorf(e.Range(), "Invalid path", "A path has no \"?\". Set query parameters with rewrite.query.")
	case checkPath(v) != nil:
		c.s.l.diags.errorf(e.Range(), "Invalid path", "A path has no \".\" or \"..\" segments.")
	default:
		return true
	}
	return false
}

// checkPath refuses a path that is none, or that would climb: "." and ".."
// can't be encoded, since an encoded dot is the same as a dot.
func checkPath(v exchange.Value) error {
	if v.Kind != exchange.KindString {
		return typeError("a path", v)
	}
	s := v.Text
	if s == "" || s[0] != '/' {
		return fmt.Errorf("%w: a path starts with /", ErrType)
	}
	for i := 0; i >= 0 && i < len(s); {
		rest := s[i+1:]
		if len(rest) > 0 && rest[0] == '.' {
			seg, _, _ := strings.Cut(rest, "/")
			if seg == "." || seg == ".." {
				return fmt.Errorf("%w: a value would make a %q segment of a path", ErrType, seg)
			}
		}
		next := strings.IndexByte(rest, '/')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return nil
}

// escape percent-encodes s for a path (RFC 3986 section 3.3).
func escape(x *exchange.Exchange, s string, mode pathMode) string {
	slash := mode == asSegments || mode == asRemaining && separates(s)
	n := 0
	for i := range len(s) {
		if !pathByte(s[i]) && (s[i] != '/' || !slash) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := x.Arena.Alloc(len(s) + 2*n)
	at := 0
	for i := range len(s) {
		if c := s[i]; pathByte(c) || c == '/' && slash {
			b[at] = c
			at++
		} else {
			b[at], b[at+1], b[at+2] = '%', hex[c>>4], hex[c&15]
			at += 3
		}
	}
	return exchange.String(b)
}

// separates reports whether the slashes of a rest variable can all have stood
// in a normalised path. If not, an encoded one is among them, and none of them
// may separate segments.
func separates(s string) bool {
	for len(s) > 0 {
		seg, rest, more := strings.Cut(s, "/")
		if more && seg == "" || seg == "." || seg == ".." {
			return false
		}
		s = rest
	}
	return true
}

// pathByte reports whether c stands for itself in a segment.
func pathByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '-', '.', '_', '~', '!', '$', '&', '\'', '(', ')', '*', '+', ',', ';', '=', ':', '@':
		return true
	}
	return false
}
