package config

import (
	"errors"
	"strings"
	"testing"
)

// TestGrowth multiplies what clients say.
func TestGrowth(t *testing.T) {
	for _, c := range []struct {
		expression string
		size       int
		grows      bool
	}{
		{`replace(request.header["a"], "x", request.header["b"])`, 1000, false},
		{`replace(request.header["a"], "x", request.header["b"])`, 5000, true},
		{`replace(request.header["a"], "", request.header["b"])`, 5000, true},
		{`replace(request.header["a"], "x", "")`, 30000, false},
		{`join(request.header["b"], split("x", request.header["a"]))`, 1000, false},
		{`join(request.header["b"], split("x", request.header["a"]))`, 5000, true},
		{`join(",", split("x", request.header["a"]))`, 30000, false},
	} {
		x := testExchange("")
		x.Request.Head.Add("a", strings.Repeat("x", c.size))
		x.Request.Head.Add("b", strings.Repeat("y", c.size))
		e, ok := testScope(t).compile(parseExpr(t, c.expression), exprScope{what: "test"})
		if !ok {
			t.Fatal(c.expression)
		}
		v, err := e.Eval(x)
		if c.grows != errors.Is(err, ErrType) || len(v.Text) > 2<<20 {
			t.Errorf("%s of %d: %d bytes, %v", c.expression, c.size, len(v.Text), err)
		}
	}
}
