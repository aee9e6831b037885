package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/headgate/headgate/runtime/exchange"
)

// testScope is what the expressions of the tests see.
func testScope(t testing.TB) *scope {
	t.Helper()
	l := newLoader(Source{})
	l.vars["x"], l.vars["null"] = &variable{}, &variable{}
	l.base["var"] = cty.ObjectVal(map[string]cty.Value{"x": cty.StringVal("x-a"), "null": cty.NullVal(cty.String)})
	l.base["local"] = cty.EmptyObjectVal
	return l.fileScope(&file{name: "t.hcl", dir: "."})
}

func parseExpr(t testing.TB, text string) hclsyntax.Expression {
	t.Helper()
	e, diags := hclsyntax.ParseExpression([]byte(text), "t.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return e
}

var testParams = exprScope{what: "the test", params: map[string]bool{"id": false, "rest": true}, buffer: 1 << 10, response: true}

func testExchange(body string) *exchange.Exchange {
	x := new(exchange.Exchange)
	x.Reset(context.Background(), nil, nil)
	r := &x.Request
	r.Method, r.Scheme, r.Path, r.RawQuery, r.Proto = "GET", "https", "/orders/a%20b", "a=1&b=x%2Fy+z&a=2&bad=%zz&flag", exchange.HTTP11
	x.Host, x.ID, x.RemoteIP = "api.example.com", "id-1", netip.MustParseAddr("10.1.2.3")
	r.Head.Add("X-A", "first")
	r.Head.Add("x-a", "second")
	r.Head.Add("X-Num", "42")
	r.Head.Add("X-Empty", "")
	r.Head.Add("Cookie", `s=1; t="q"; s=2`)
	x.Params = append(x.Params, exchange.Param{Name: "id", Value: "a b/c"}, exchange.Param{Name: "rest", Value: "d/e f"})
	x.Auth = exchange.Auth{Subject: "ann", Claims: map[string]any{
		"a": map[string]any{"b": "deep"}, "https://x.example/r": "url", "n": 5.0, "list": []any{"p", "q"}, "flag": true,
	}}
	x.Response.Status = 201
	x.Response.Head.Add("X-R", "resp")
	if body != "" {
		r.SetBytes([]byte(body))
	}
	return x
}

const testJSON = `{"s":"text","n":5,"b":true,"z":null,"a":{"b":[1,2,{"c":"d"}]},"num":"7"}`

func TestExpressions(t *testing.T) {
	null, typeErr := "null", "type error"
	for _, c := range []struct{ expr, want string }{
		// Values.
		{`request.method`, `"GET"`},
		{`request.scheme`, `"https"`},
		{`request.host`, `"api.example.com"`},
		{`request.path`, `"/orders/a%20b"`},
		{`request.raw_query`, `"a=1&b=x%2Fy+z&a=2&bad=%zz&flag"`},
		{`request.remote_ip`, `"10.1.2.3"`},
		{`request.id`, `"id-1"`},
		{`request.protocol`, `"HTTP/1.1"`},
		{`request.header["X-a"]`, `"first"`},
		{`request.header.x-a`, `"first"`},
		{`request.header[var.x]`, `"first"`},
		{`request.header["${var.x}"]`, `"first"`},
		{`request.header["x-none"]`, null},
		{`request.header["x-empty"]`, `""`},
		{`request.query["a"]`, `"1"`},
		{`request.query["b"]`, `"x/y z"`},
		{`request.query["bad"]`, `"%zz"`},
		{`request.query["flag"]`, `""`},
		{`request.query["c"]`, null},
		{`request.cookie["s"]`, `"1"`},
		{`request.cookie["t"]`, `"q"`},
		{`request.cookie["u"]`, null},
		{`request.json["s"]`, `"text"`},
		{`request.json["n"]`, `5`},
		{`request.json["b"]`, `true`},
		{`request.json["z"]`, null},
		{`request.json["none"]`, null},
		{`request.json["a.b.#"]`, `3`},
		{`request.json["a"].b[0]`, `1`},
		{`request.json["a"]["b"][2].c`, `"d"`},
		{`request.json["a"].b[9]`, null},
		{`request.json["none"].b`, null},
		{`request.json["s"].b`, typeErr},
		{`request.json["a.b"]`, `[1 2 map[c:d]]`},
		{`path.id`, `"a b/c"`},
		{`path.rest`, `"d/e f"`},
		{`response.status`, `201`},
		{`response.header["x-r"]`, `"resp"`},
		{`auth.subject`, `"ann"`},
		{`auth.consumer`, null},
		{`auth.claims["a.b"]`, `"deep"`},
		{`auth.claims["https://x.example/r"]`, `"url"`},
		{`auth.claims["n"]`, `5`},
		{`auth.claims["a.c"]`, null},
		{`auth.claims["list"][1]`, `"q"`},
		{`tls.client.subject`, null},
		{`tls.client.san`, null},

		// Templates.
		{`"${request.method} ${request.path}"`, `"GET /orders/a%20b"`},
		{`"<${request.header["none"]}>"`, `"<>"`},
		{`"${request.json["n"]}/${request.json["b"]}"`, `"5/true"`},
		{`"${request.json["a"]}!"`, typeErr},
		{`"${var.x}-${request.method}-${1 + 1}-${var.null}"`, `"x-a-GET-2-"`},
		{`"${request.json["n"]}"`, `5`}, // one interpolation alone keeps its type, as in HCL
		{`"%{ if request.method == "GET" }yes%{ else }no%{ endif }"`, `"yes"`},
		{`"1${request.method}2${request.method}3${request.method}4${request.method}5${request.method}6"`, `"1GET2GET3GET4GET5GET6"`},

		// Null.
		{`request.header["none"] == null`, `true`},
		{`null == request.header["none"]`, `true`},
		{`request.header["none"] != null`, `false`},
		{`request.header["x-a"] == null`, `false`},
		{`request.header["x-a"] != null`, `true`},
		{`request.header["none"] == "x"`, `false`},
		{`request.header["none"] != "x"`, `false`},
		{`request.header["none"] == request.header["none"]`, `false`},
		{`request.header["none"] != request.header["none"]`, `false`},
		{`request.header["none"] == var.null`, `true`},
		{`request.header["none"] < 1`, `false`},
		{`1 >= request.header["none"]`, `false`},
		{`request.json["z"] == null`, `true`},

		// Comparison.
		{`request.method == "GET"`, `true`},
		{`request.method != "GET"`, `false`},
		{`request.method == "get"`, `false`},
		{`request.json["n"] == 5`, `true`},
		{`request.json["n"] == "5"`, `false`},
		{`request.json["n"] != "5"`, `true`},
		{`request.header["x-num"] == 42`, `false`},
		{`request.header["x-num"] == "42"`, `true`},
		{`request.json["b"] == true`, `true`},
		{`request.json["b"] == "true"`, `false`},
		{`request.json["a.b.2"] == { c = "d" }`, `true`},
		{`request.json["a.b.2"] == { c = request.method }`, `false`},
		{`request.header["x-num"] > 41`, `true`},
		{`request.header["x-num"] < 5`, `false`},
		{`43 > request.header["x-num"]`, `true`},
		{`request.json["num"] <= 7`, `true`},
		{`request.json["n"] >= 5`, `true`},
		{`request.header["x-a"] > 1`, typeErr},
		{`request.json["b"] > 1`, typeErr},
		{`request.json["a"] > 1`, typeErr},
		{`request.header["x-empty"] < 1`, typeErr},
		{`request.header["x-num"] < request.json["n"]`, `false`},

		// Logic.
		{`request.method == "GET" && request.scheme == "https"`, `true`},
		{`request.method == "PUT" && request.header["x-a"] > 1`, `false`},
		{`request.method == "GET" || request.header["x-a"] > 1`, `true`},
		{`request.method == "PUT" || request.header["x-a"] > 1`, typeErr},
		{`!(request.method == "GET")`, `false`},
		{`!request.json["b"]`, `false`},
		{`!request.json["none"]`, typeErr},
		{`request.method && true`, typeErr},
		{`request.method == "GET" ? "a" : "b"`, `"a"`},
		{`request.json["b"] ? 1 : request.json["n"]`, `1`},
		{`request.json["s"] ? 1 : 2`, typeErr},
		{`request.json["none"] ? 1 : 2`, typeErr},

		// Arithmetic.
		{`request.json["n"] + 1`, `6`},
		{`request.header["x-num"] * 2`, `84`},
		{`-request.json["n"]`, `-5`},
		{`request.json["n"] % 3`, `2`},
		{`request.json["n"] / 2`, `2.5`},
		{`request.json["n"] / 0`, typeErr},
		{`request.json["s"] + 1`, typeErr},
		{`request.json["none"] + 1`, typeErr},
		{`request.json["b"] - 1`, typeErr},

		// Functions.
		{`lower(request.method)`, `"get"`},
		{`upper(path.id)`, `"A B/C"`},
		{`replace(request.path, "/orders", "/v2")`, `"/v2/a%20b"`},
		{`split("/", path.rest)`, `[d e f]`},
		{`split("/", path.rest)[0]`, `"d"`},
		{`join("-", split("/", path.rest))`, `"d-e f"`},
		{`join(",", ["a", request.method])`, `"a,GET"`},
		{`length(request.method)`, `3`},
		{`length(request.json["a"].b)`, `3`},
		{`length(request.json["n"])`, typeErr},
		{`contains(["GET", "HEAD"], request.method)`, `true`},
		{`contains(["PUT"], request.method)`, `false`},
		{`contains(auth.claims["list"], "q")`, `true`},
		{`contains(request.path, "orders")`, `true`},
		{`contains(request.json["n"], "x")`, typeErr},
		{`startswith(request.path, "/orders")`, `true`},
		{`endswith(request.path, "/orders")`, `false`},
		{`startswith(request.header["none"], "x")`, typeErr},
		{`lower(request.header["none"])`, typeErr},
		{`try(lower(request.header["none"]), "d")`, `"d"`},
		{`try(request.header["none"], "d")`, null},
		{`try(request.json["s"] + 1, request.json["n"])`, `5`},
		{`try(request.json["s"] + 1, request.json["s"] + 2)`, typeErr},
		{`try(jsondecode("{"), request.method)`, `"GET"`},
		{`regex("[0-9]+", request.header["x-num"])`, `"42"`},
		{`regex("(o)(r)", request.path)`, `[o r]`},
		{`regex("(?P<first>o)", request.path).first`, `"o"`},
		{`regex("zzz", request.path)`, typeErr},
		{`try(regex("zzz", request.path), "none")`, `"none"`},
		{`{ a = request.method, "b" = 1 }`, `map[a:GET b:1]`},
		{`{ a = request.method }.a`, `"GET"`},

		// What is known at load is folded.
		{`1 + 1`, `2`},
		{`var.x`, `"x-a"`},
		{`var.null`, null},
		{`true ? request.method : 1`, `"GET"`},
	} {
		t.Run(c.expr, func(t *testing.T) {
			s := testScope(t)
			e, ok := s.compile(parseExpr(t, c.expr), testParams)
			if !ok {
				t.Fatal(s.l.diags.Text())
			}
			v, err := e.Eval(testExchange(testJSON))
			if got := show(v, err); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func show(v exchange.Value, err error) string {
	if err != nil {
		if errors.Is(err, ErrType) {
			return "type error"
		}
		return err.Error()
	}
	switch v.Kind {
	case exchange.KindNull:
		return "null"
	case exchange.KindString:
		return fmt.Sprintf("%q", v.Text)
	}
	return fmt.Sprint(plain(v))
}

func TestExpressionBodies(t *testing.T) {
	s := testScope(t)
	e, ok := s.compile(parseExpr(t, `try(request.json["s"], "absent")`), testParams)
	if !ok || !e.Body {
		t.Fatal(s.l.diags.Text(), e.Body)
	}
	for _, c := range []struct{ name, body, want string }{
		{"none", "", "null"},
		{"not JSON", "{", "null"},
		{"whole", `{"s":"x"}`, `"x"`},
		{"larger than the buffer", `{"s":"` + strings.Repeat("x", 2000) + `"}`, errBody.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := testExchange("")
			if c.body != "" {
				x.Request.Body = &chunks{list: []string{c.body[:len(c.body)/2], c.body[len(c.body)/2:]}}
				x.Request.Length = exchange.Unknown
			}
			s := exprScope{what: "test", buffer: 1 << 10, noPath: "-"}
			e, _ := testScope(t).compile(parseExpr(t, `try(request.json["s"], "absent")`), s)
			v, err := e.Eval(x)
			if got := show(v, err); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

type chunks struct{ list []string }

func (c *chunks) Next() ([]byte, error) {
	if len(c.list) == 0 {
		return nil, io.EOF
	}
	p := c.list[0]
	c.list = c.list[1:]
	return []byte(p), nil
}

func (c *chunks) Ready() bool { return true }

func TestPaths(t *testing.T) {
	for _, c := range []struct{ expr, id, rest, want string }{
		{`"/v2/orders/${path.id}"`, "7", "", `"/v2/orders/7"`},
		{`"/v2/${path.id}/x"`, "a b/c?d#e%", "", `"/v2/a%20b%2Fc%3Fd%23e%25/x"`},
		{`"/v2/${path.id}"`, "ü;a=1:@", "", `"/v2/%C3%BC;a=1:@"`},
		{`"/v2/${path.rest}"`, "", "a/b c", `"/v2/a/b%20c"`},
		{`"/v2/${path.rest}"`, "", "", `"/v2/"`},
		{`"/v2/${path.rest}"`, "", "a/", `"/v2/a/"`},
		{`"/v2/${path.rest}"`, "", "a/../b", `"/v2/a%2F..%2Fb"`},
		{`"/v2/${path.rest}"`, "", "/etc", `"/v2/%2Fetc"`},
		{`"/v2${request.path}"`, "", "", `"/v2/orders/a%20b"`},
		{`"/v2${replace(request.path, "/orders", "/o")}"`, "", "", `"/v2/o/a%20b"`},
		{`"/v2/${lower(path.id)}"`, "A/B", "", `"/v2/a%2Fb"`},
		{`"/v2/${request.query["b"]}"`, "", "", `"/v2/x%2Fy%20z"`},
		{`"/v2/${path.id}"`, "..", "", `type error`},
		{`"/v2/${path.id}${path.id}"`, ".", "", `type error`},
		{`"/v2/${path.id}/x"`, ".", "", `type error`},
		{`"/v2/${path.id}"`, "...", "", `"/v2/..."`},
		{`request.method == "GET" ? "/a/${path.id}" : "/b"`, "x/y", "", `"/a/x%2Fy"`},
		{`replace(request.path, "/orders", "")`, "", "", `"/a%20b"`},
		{`request.header["x-a"]`, "", "", `type error`},
		{`"/const"`, "", "", `"/const"`},
	} {
		t.Run(c.expr+" "+c.id+c.rest, func(t *testing.T) {
			s := testScope(t)
			e, ok := s.compilePath(parseExpr(t, c.expr), testParams)
			if !ok {
				t.Fatal(s.l.diags.Text())
			}
			x := testExchange("")
			x.Params[0].Value, x.Params[1].Value = c.id, c.rest
			v, err := e.Eval(x)
			if got := show(v, err); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	for _, bad := range []string{`"v2/${path.id}"`, `"/v2?x=${path.id}"`, `"v2"`, `"/a/../b"`, `"/a?b"`, `1`, `null`} {
		s := testScope(t)
		if _, ok := s.compilePath(parseExpr(t, bad), testParams); ok {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestNumbers(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 5: "5", 2.5: "2.5", -1: "-1", 1e20: "100000000000000000000", 1e21: "1e+21", math.MaxInt32: "2147483647"} {
		if got := numberText(f); got != want {
			t.Errorf("%v: %s", f, got)
		}
	}
	for _, bad := range []string{"", "0x10", "inf", "NaN", "1_000", " 1", "1 ", "e", strings.Repeat("1", 100)} {
		if _, ok := asNumber(exchange.Text(bad)); ok {
			t.Errorf("%q is a number", bad)
		}
	}
	for _, c := range []struct {
		text string
		want int64
	}{{"0", 0}, {"512", 512}, {"64KiB", 64 << 10}, {"1.5MiB", 3 << 19}, {"2GB", 2e9}, {"1 MiB", 1 << 20}} {
		if got, err := parseSize(c.text); err != nil || got != c.want {
			t.Errorf("%s: %d %v", c.text, got, err)
		}
	}
	for _, bad := range []string{"", "MiB", "1.1B", "-1", "1e3", "9999999999GiB", "1mib"} {
		if got, err := parseSize(bad); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
}

// FuzzValues checks that values of clients never make an expression panic, and
// that nothing they send adds a segment to a path.
func FuzzValues(f *testing.F) {
	f.Add("a=1", "s=1", "x", `{"a":1}`)
	f.Add("%", `s="`, "..", "{")
	s := testScope(f)
	var exprs []*Expr
	for _, text := range []string{`request.query["a"] > 1`, `request.cookie["s"]`, `request.json["a"].b + 1`, `"${request.query["a"]}"`} {
		e, ok := s.compile(parseExpr(f, text), testParams)
		if !ok {
			f.Fatal(s.l.diags.Text())
		}
		exprs = append(exprs, e)
	}
	path, ok := s.compilePath(parseExpr(f, `"/a/${path.id}/${request.query["a"]}/b"`), testParams)
	if !ok {
		f.Fatal(s.l.diags.Text())
	}
	f.Fuzz(func(t *testing.T, query, cookie, id, body string) {
		x := testExchange(body)
		x.Request.RawQuery = query
		x.Request.Head.Set("cookie", cookie)
		x.Params[0].Value = id
		for _, e := range exprs {
			_, _ = e.Eval(x)
		}
		v, err := path.Eval(x)
		if err == nil && (strings.Count(v.Text, "/") != 4 || strings.ContainsAny(v.Text, "?# \n") || strings.Contains(v.Text, "/../")) {
			t.Errorf("%q", v.Text)
		}
	})
}

func BenchmarkTemplate(b *testing.B) {
	s := testScope(b)
	e, ok := s.compilePath(parseExpr(b, `"/v2/${path.id}"`), testParams)
	if !ok {
		b.Fatal(s.l.diags.Text())
	}
	x := testExchange("")
	x.Params[0].Value = "12345"
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%64 == 0 { // as between exchanges
			b.StopTimer()
			x.Reset(context.Background(), nil, nil)
			x.Params = append(x.Params, exchange.Param{Name: "id", Value: "12345"})
			b.StartTimer()
		}
		if _, err := e.Eval(x); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWhen(b *testing.B) {
	s := testScope(b)
	e, ok := s.compileWhen(parseExpr(b, `request.method == "GET" && request.header["x-a"] != null`), testParams)
	if !ok {
		b.Fatal(s.l.diags.Text())
	}
	x := testExchange("")
	b.ReportAllocs()
	for b.Loop() {
		if v, err := e.Eval(x); err != nil || !v.Bool {
			b.Fatal(v, err)
		}
	}
}

func TestClaims(t *testing.T) {
	if got := claim(map[string]any{"a.b": 1, "a": map[string]any{"b": 2}}, "a.b"); !reflect.DeepEqual(got, 1) {
		t.Error(got)
	}
}
