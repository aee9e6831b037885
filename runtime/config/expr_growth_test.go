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

// TestDeepBodies looks into bodies that nest as deep as they are long, which is no
// JSON that anyone reads.
func TestDeepBodies(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":[`, n/2) + `"x"` + strings.Repeat(`]}`, n/2) }
	for _, c := range []struct {
		name, body, want string
	}{
		{"open", strings.Repeat("[", 32<<20), "null"},
		{"objects", strings.Repeat(`{"a":`, 4<<20), "null"},
		{"closed", deep(4 << 20), "null"},
		{"as deep as may be", `{"b":"found","c":` + deep(maxJSONDepth-2) + "}", `"found"`},
		{"brackets in texts", `{"b":"` + strings.Repeat(`[{\"`, 5000) + `","c":1}`, `"` + strings.Repeat(`[{\"`, 5000) + `"`},
		{"in a text without end", `{"b":"\`, "null"},
	} {
		e, ok := testScope(t).compile(parseExpr(t, `request.json["b"]`), exprScope{what: "test", buffer: 64 << 20})
		if !ok {
			t.Fatal("no expression")
		}
		if got := show(e.Eval(testExchange(c.body))); got != c.want {
			t.Errorf("%s: %.80s, want %.80s", c.name, got, c.want)
		}
	}
}
