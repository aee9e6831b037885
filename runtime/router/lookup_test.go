package router_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/router"
)

// request makes an exchange as the engine hands it to Lookup.
func request(method, host, path string) *exchange.Exchange {
	x := &exchange.Exchange{Host: host, Conn: &exchange.Conn{Listener: &exchange.ListenerInfo{Name: "public"}}}
	x.Request.Method, x.Request.Path = method, path
	return x
}

func exact(s string) router.Pattern  { return router.Pattern{Kind: router.Exact, Text: s} }
func prefix(s string) router.Pattern { return router.Pattern{Kind: router.Prefix, Text: s} }
func regex(s string) router.Pattern  { return router.Pattern{Kind: router.Regex, Text: s} }

// when is a condition that holds for requests whose id contains key.
func when(key string) router.Condition {
	return router.Condition{Key: key, Match: func(x *exchange.Exchange) bool { return strings.Contains(x.ID, key) }}
}

func build(t testing.TB, routes []router.Route) *router.Table {
	t.Helper()
	table, errs := router.Build(routes)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return table
}

// outcome is a result as text: the name of the route with its variables, or the
// status and Allow.
func outcome(routes []router.Route, r router.Result, x *exchange.Exchange) string {
	switch {
	case r.Route >= 0:
		s := routes[r.Route].Name
		for _, p := range x.Params {
			s += fmt.Sprintf(" %s=%q", p.Name, p.Value)
		}
		return s
	case len(r.Allow) > 0:
		return "405 " + strings.Join(r.Allow, ",")
	}
	return "404"
}

func TestLookup(t *testing.T) {
	type req struct{ method, host, path, want string }
	get := func(path, want string) req { return req{"GET", "h", path, want} }
	for _, c := range []struct {
		name   string
		routes []router.Route // named a, b, c, ... where they have no name
		reqs   []req
	}{
		{"nothing", nil, []req{get("/", "404")}},
		{"hosts", []router.Route{
			{Hosts: []string{"api.example.com"}}, {Hosts: []string{"*.example.com"}}, {Hosts: []string{"*.shop.example.com"}}, {}},
			[]req{
				{"GET", "api.example.com", "/", "a"}, {"GET", "www.example.com", "/", "b"}, {"GET", "a.b.example.com", "/", "b"},
				{"GET", "x.shop.example.com", "/", "c"}, {"GET", "x.y.shop.example.com", "/", "c"}, {"GET", "shop.example.com", "/", "b"},
				{"GET", "example.com", "/", "d"}, {"GET", "xexample.com", "/", "d"}, {"GET", "com", "/", "d"}, {"GET", "", "/", "d"}, {"GET", "[::1]", "/", "d"},
			}},
		{"hosts of configurations are normalised", []router.Route{{Hosts: []string{"API.example.com.:443", "*.Shop.example"}}, {Hosts: []string{"[0:0::1]"}}},
			[]req{{"GET", "api.example.com", "/", "a"}, {"GET", "x.shop.example", "/", "a"}, {"GET", "[::1]", "/", "b"}}},
		{"the next host is tried", []router.Route{
			{Hosts: []string{"a.x"}, Path: exact("/1")}, {Hosts: []string{"*.x"}, Path: exact("/2"), Methods: []string{"PUT"}}, {Path: prefix("/")}},
			[]req{{"GET", "a.x", "/1", "a"}, {"PUT", "a.x", "/2", "b"}, {"GET", "a.x", "/2", "c"}, {"GET", "a.x", "/3", "c"}}},
		{"a longer wildcard that does not match yields", []router.Route{
			{Hosts: []string{"*.b.x"}, Path: exact("/1")}, {Hosts: []string{"*.x"}, Path: exact("/2")}},
			[]req{{"GET", "a.b.x", "/1", "a"}, {"GET", "a.b.x", "/2", "b"}, {"GET", "c.x", "/1", "404"}}},
		{"exact", []router.Route{{Path: exact("/a")}, {Path: exact("/a/")}, {Path: exact("/")}},
			[]req{get("/a", "a"), get("/a/", "b"), get("/", "c"), get("/a/b", "404"), get("/A", "404")}},
		{"patterns are normalised", []router.Route{{Path: exact("/caf\xc3\xa9/%7euser")}, {Path: prefix("/x//%2e/y/")}, {Path: exact("/%2f/{id}")}, {Path: exact("/a/../b")}},
			[]req{get("/caf%C3%A9/~user", "a"), get("/x/y/z", "b"), get("/%2F/1", `c id="1"`), get("/b", "d")}},
		{"prefix by whole segments", []router.Route{{Path: prefix("/a")}, {Path: prefix("/a/b/c")}},
			[]req{get("/a", "a"), get("/a/", "a"), get("/a/b", "a"), get("/ab", "404"), get("/a/b/c", "b"), get("/a/b/c/d/e/f/g", "b"), get("/a/b/cd", "a"), get("/", "404")}},
		{"prefix with a last slash is the same", []router.Route{{Path: prefix("/a/")}}, []req{get("/a", "a"), get("/a/b", "a"), get("/ab", "404")}},
		{"prefix of everything", []router.Route{{Path: prefix("/")}}, []req{get("/", "a"), get("/x/y", "a"), {"OPTIONS", "h", "*", "404"}}},
		{"any path", []router.Route{{}}, []req{get("/", "a"), {"OPTIONS", "h", "*", "a"}}},
		{"template", []router.Route{{Path: exact("/orders/{id}")}, {Path: exact("/orders/{id}/items/{item}")}},
			[]req{get("/orders/1", `a id="1"`), get("/orders/", "404"), get("/orders", "404"), get("/orders/1/", "404"),
				get("/orders/1/items/2", `b id="1" item="2"`), get("/orders/1/items/", "404"),
				get("/orders/a%2Fb%20c", `a id="a/b c"`), get("/orders/%25", `a id="%"`)}},
		{"template with a last slash", []router.Route{{Path: exact("/a/{id}/")}}, []req{get("/a/1/", `a id="1"`), get("/a/1", "404")}},
		{"rest", []router.Route{{Path: exact("/files/{path...}")}},
			[]req{get("/files/", `a path=""`), get("/files/x/y%2Fz/", `a path="x/y/z/"`), get("/files", "404"), get("/filesx", "404")}},
		{"rest of everything", []router.Route{{Path: exact("/{all...}")}}, []req{get("/", `a all=""`), get("/x/y", `a all="x/y"`), {"OPTIONS", "h", "*", "404"}}},
		{"segment by segment", []router.Route{
			{Path: exact("/{x}/b/c")}, {Path: exact("/a/{x}/c")}, {Path: exact("/a/b/{x}")}, {Path: exact("/a/{x...}")}, {Path: exact("/{x}/{y}/{z}")}},
			[]req{get("/a/b/c", `c x="c"`), get("/a/z/c", `b x="z"`), get("/z/b/c", `a x="z"`), get("/a/z/z", `d x="z/z"`), get("/z/z/z", `e x="z" y="z" z="z"`)}},
		{"back to a parameter", []router.Route{{Path: exact("/a/b/{x}/1")}, {Path: exact("/a/{y}/c/{z}")}, {Path: exact("/{p}/b/c/3")}},
			[]req{get("/a/b/c/1", `a x="c"`), get("/a/b/c/2", `b y="b" z="2"`), get("/z/b/c/3", `c p="z"`)}},
		{"exact before template before regex before prefix before any", []router.Route{
			{}, {Path: prefix("/a/b")}, {Path: regex("/a/.*")}, {Path: exact("/{x}/b")}, {Path: exact("/a/b")}},
			[]req{get("/a/b", "e"), get("/c/b", `d x="c"`), get("/a/c", "c"), get("/a/b/", "c"), get("/a", "a")}},
		{"longest prefix", []router.Route{{Path: prefix("/a")}, {Path: prefix("/a/b")}, {Path: prefix("/a/b/c")}},
			[]req{get("/a/b/c/d", "c"), get("/a/b/d", "b"), get("/a/d", "a")}},
		{"regex is anchored", []router.Route{{Path: regex("/a[0-9]+")}, {Path: regex("(?i)/x|/y")}},
			[]req{get("/a12", "a"), get("/a12/", "404"), get("/b/a12", "404"), get("/X", "b"), get("/y", "b"), get("/yy", "404"), get("/xx", "404")}},
		{"regex with a line break", []router.Route{{Path: regex("/a(?m)$")}}, []req{get("/a", "a"), get("/a%0Ab", "404")}},
		{"longer regex first", []router.Route{{Path: regex("/.*")}, {Path: regex("/a.*")}, {Path: regex("/[a-b].*")}},
			[]req{get("/ax", "c"), get("/bx", "c"), get("/x", "a")}},
		{"equally long expressions go by the rest", []router.Route{
			{Path: regex("/a.*")}, {Path: regex("/.*b"), Priority: 1}, {Path: regex("/x.*")}, {Path: regex("/.*y"), Methods: []string{"GET"}}},
			[]req{get("/ab", "b"), get("/aa", "a"), get("/xy", "d"), {"PUT", "h", "/xy", "c"}}},
		{"expressions with conditions between", []router.Route{
			{Path: regex("/a.*"), Conditions: []router.Condition{when("!")}}, {Path: regex("/.*b"), Priority: 1}, {Path: regex("/a.*")}},
			[]req{get("/ab", "b"), get("/ac", "c")}},
		{"methods", []router.Route{
			{Path: exact("/a"), Methods: []string{"GET"}}, {Path: exact("/a"), Methods: []string{"POST", "PUT"}}, {Path: exact("/b")}, {Path: exact("/b"), Methods: []string{"POST"}}},
			[]req{get("/a", "a"), {"HEAD", "h", "/a", "a"}, {"PUT", "h", "/a", "b"}, {"DELETE", "h", "/a", "405 GET,HEAD,POST,PUT"},
				{"get", "h", "/a", "405 GET,HEAD,POST,PUT"}, {"POST", "h", "/b", "d"}, {"DELETE", "h", "/b", "c"}}},
		{"a wrong method goes on to the next path", []router.Route{{Path: exact("/a"), Methods: []string{"POST"}}, {Path: exact("/{x}")}},
			[]req{get("/a", `b x="a"`)}},
		{"allow of the whole look-up", []router.Route{
			{Hosts: []string{"h"}, Path: exact("/a"), Methods: []string{"POST"}}, {Path: exact("/{x}"), Methods: []string{"PUT"}}, {Path: regex("/a+"), Methods: []string{"POST", "PATCH"}},
			{Path: prefix("/a"), Methods: []string{"DELETE"}}, {Methods: []string{"TRACE"}}, {Hosts: []string{"g"}, Methods: []string{"OPTIONS"}}},
			[]req{get("/a", "405 DELETE,PATCH,POST,PUT,TRACE"), get("/b/c", "405 TRACE")}},
		{"allow only where nothing else stands in the way", []router.Route{
			{Path: exact("/a"), Methods: []string{"POST"}, Conditions: []router.Condition{when("!")}}, {Path: exact("/a"), Methods: []string{"PUT"}, Listeners: []string{"other"}},
			{Path: exact("/b"), Methods: []string{"POST"}, Conditions: []router.Condition{{Key: "json", NeedsBody: true, Match: func(*exchange.Exchange) bool { panic("no body is read for a wrong method") }}}}},
			[]req{get("/a", "404"), get("/b", "405 POST")}},
		{"listeners", []router.Route{{}, {Listeners: []string{"public"}}, {Listeners: []string{"internal"}}, {Path: exact("/x"), Listeners: []string{"internal"}}},
			[]req{get("/", "b"), get("/x", "b")}},
		{"methods before listeners", []router.Route{{Listeners: []string{"public"}}, {Methods: []string{"GET"}}}, []req{get("/", "b"), {"PUT", "h", "/", "a"}}},
		{"listeners before conditions", []router.Route{{Conditions: []router.Condition{when("")}}, {Listeners: []string{"public"}}}, []req{get("/", "b")}},
		{"conditions before priority", []router.Route{{Priority: 9}, {Conditions: []router.Condition{when("")}}}, []req{get("/", "b")}},
		{"more conditions", []router.Route{{Conditions: []router.Condition{when("")}}, {Conditions: []router.Condition{when(""), when("G")}}, {Conditions: []router.Condition{when("!"), when("?")}}},
			[]req{get("/", "b"), {"PUT", "h", "/", "a"}}},
		{"priority before name", []router.Route{{}, {Priority: 1}, {Priority: -1}}, []req{get("/", "b")}},
		{"path before priority", []router.Route{{Path: prefix("/a"), Priority: 9}, {Path: exact("/a")}}, []req{get("/a", "b")}},
		{"host before path", []router.Route{{Path: exact("/a")}, {Hosts: []string{"h"}}}, []req{get("/a", "b")}},
		{"name at last", []router.Route{{Name: "z", Conditions: []router.Condition{when("")}}, {Name: "y", Conditions: []router.Condition{when("G")}}}, []req{get("/", "y"), {"PUT", "h", "/", "z"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.routes {
				if c.routes[i].Name == "" {
					c.routes[i].Name = string(rune('a' + i))
				}
			}
			table := build(t, c.routes)
			for _, r := range c.reqs {
				x := request(r.method, r.host, r.path)
				x.ID = r.method
				x.Params = append(x.Params, exchange.Param{Name: "old"})
				if got := outcome(c.routes, table.Lookup(x), x); got != r.want {
					t.Errorf("%s %s%s: %s, want %s", r.method, r.host, r.path, got, r.want)
				}
			}
		})
	}
}

// The body is asked for last, and only of a request that holds otherwise.
func TestBodyConditionsAreLast(t *testing.T) {
	var asked []string
	ask := func(key string, body, holds bool) router.Condition {
		return router.Condition{Key: key, NeedsBody: body, Match: func(*exchange.Exchange) bool {
			asked = append(asked, key)
			return holds
		}}
	}
	routes := []router.Route{
		{Name: "no", Conditions: []router.Condition{ask("body1", true, true), ask("head1", false, false)}, Priority: 1},
		{Name: "yes", Conditions: []router.Condition{ask("body2", true, true), ask("head2", false, true)}},
	}
	x := request("GET", "h", "/")
	if got := outcome(routes, build(t, routes).Lookup(x), x); got != "yes" || !slices.Equal(asked, []string{"head1", "head2", "body2"}) {
		t.Errorf("%s after asking %v", got, asked)
	}
	if routes[0].Conditions[0].Key != "body1" {
		t.Error("the routes were changed")
	}
}

// A request that no listener brought matches only routes of every listener.
func TestLookupWithoutListener(t *testing.T) {
	routes := []router.Route{{Name: "a", Listeners: []string{"public"}}, {Name: "b"}}
	for _, conn := range []*exchange.Conn{nil, {}} {
		x := request("GET", "h", "/")
		x.Conn = conn
		if got := outcome(routes, build(t, routes).Lookup(x), x); got != "b" {
			t.Error(got)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	long := strings.Repeat("/{a}", 17)
	for i := range 17 {
		long = strings.Replace(long, "{a}", fmt.Sprintf("{v%d}", i), 1)
	}
	for _, c := range []struct {
		name  string
		route router.Route
		want  string // part of the message; "" if it is fine
	}{
		{"no slash", router.Route{Path: exact("a")}, "starts with /"},
		{"no slash in a prefix", router.Route{Path: prefix("a")}, "starts with /"},
		{"part of a segment", router.Route{Path: exact("/a{b}")}, "whole segment"},
		{"open", router.Route{Path: exact("/{b")}, "whole segment"},
		{"no name", router.Route{Path: exact("/{}")}, "whole segment"},
		{"bad name", router.Route{Path: exact("/{1a}")}, "whole segment"},
		{"name with a dash", router.Route{Path: exact("/{order-id}")}, ""},
		{"twice", router.Route{Path: exact("/{a}/{a}")}, "twice"},
		{"rest not last", router.Route{Path: exact("/{a...}/b")}, "last segment"},
		{"dots beside a variable", router.Route{Path: exact("/{a}/../b")}, "dot segments"},
		{"empty segment beside a variable", router.Route{Path: exact("/{a}//b")}, "empty"},
		{"too many", router.Route{Path: exact(long)}, "at most 16"},
		{"variable in a prefix", router.Route{Path: prefix("/{a}")}, "no variables"},
		{"bad escape", router.Route{Path: exact("/%zz")}, "escape"},
		{"bad escape in a prefix", router.Route{Path: prefix("/%zz")}, "escape"},
		{"query", router.Route{Path: exact("/a?b=1")}, "escaped"},
		{"expression", router.Route{Path: regex("/(")}, "RE2"},
		{"expression that closes our group", router.Route{Path: regex("/a)|(/b")}, "RE2"},
		{"expression with an open quotation", router.Route{Path: regex(`/\Qa(`)}, ""},
		{"empty host", router.Route{Hosts: []string{""}}, "not a host"},
		{"lone asterisk", router.Route{Hosts: []string{"*"}}, "not a host"},
		{"nothing behind the asterisk", router.Route{Hosts: []string{"*."}}, "not a host"},
		{"asterisk inside", router.Route{Hosts: []string{"a.*.b"}}, "not a host"},
		{"two asterisks", router.Route{Hosts: []string{"*.*.b"}}, "not a host"},
		{"part of a label", router.Route{Hosts: []string{"*a.b"}}, "not a host"},
		{"asterisk before an address", router.Route{Hosts: []string{"*.[::1]"}}, "not a host"},
		{"scheme", router.Route{Hosts: []string{"http://a"}}, "not a host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, errs := router.Build([]router.Route{{Name: "fine", Path: exact("/fine")}, c.route})
			if c.want == "" {
				if len(errs) > 0 || table == nil {
					t.Fatal(errs)
				}
				return
			}
			var e *router.PatternError
			if len(errs) != 1 || table != nil || !errors.As(errs[0], &e) || e.Route != 1 || !strings.Contains(e.Error(), c.want) {
				t.Errorf("%v, want %q of route 1", errs, c.want)
			}
		})
	}
}

func TestConflicts(t *testing.T) {
	c1, c2 := when("1"), when("2")
	for _, c := range []struct {
		name     string
		a, b     router.Route
		conflict bool
	}{
		{"everything", router.Route{}, router.Route{}, true},
		{"one of their hosts", router.Route{Hosts: []string{"x", "A."}}, router.Route{Hosts: []string{"a:80", "y"}}, true},
		{"different hosts", router.Route{Hosts: []string{"a"}}, router.Route{Hosts: []string{"*.a"}}, false},
		{"a host and any", router.Route{Hosts: []string{"a"}}, router.Route{}, false},
		{"names of variables", router.Route{Path: exact("/{a}/b")}, router.Route{Path: exact("/{b}/b")}, true},
		{"rests", router.Route{Path: exact("/a/{a...}")}, router.Route{Path: exact("/a/{b...}")}, true},
		{"parameter and rest", router.Route{Path: exact("/a/{a}")}, router.Route{Path: exact("/a/{a...}")}, false},
		{"spellings of a path", router.Route{Path: exact("/a/%7e")}, router.Route{Path: exact("/a/~")}, true},
		{"spellings of a prefix", router.Route{Path: prefix("/a/")}, router.Route{Path: prefix("/a")}, true},
		{"exact and prefix", router.Route{Path: exact("/a")}, router.Route{Path: prefix("/a")}, false},
		{"expressions", router.Route{Path: regex("/a+")}, router.Route{Path: regex("/a+")}, true},
		{"equally long expressions", router.Route{Path: regex("/a+")}, router.Route{Path: regex("/b+")}, false},
		{"orders of lists", router.Route{Listeners: []string{"l", "m"}, Methods: []string{"A", "B"}, Conditions: []router.Condition{c1, c2}},
			router.Route{Listeners: []string{"m", "l"}, Methods: []string{"B", "A"}, Conditions: []router.Condition{c2, c1}}, true},
		{"GET is GET and HEAD", router.Route{Methods: []string{"GET"}}, router.Route{Methods: []string{"HEAD", "GET"}}, true},
		{"some methods", router.Route{Methods: []string{"GET", "PUT"}}, router.Route{Methods: []string{"GET"}}, false},
		{"listeners", router.Route{Listeners: []string{"l"}}, router.Route{Listeners: []string{"m"}}, false},
		{"conditions", router.Route{Conditions: []router.Condition{c1}}, router.Route{Conditions: []router.Condition{c2}}, false},
		{"priorities", router.Route{Priority: 1}, router.Route{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.a.Name, c.b.Name = "a", "b"
			_, errs := router.Build([]router.Route{{Name: "other", Path: exact("/other")}, c.a, c.b})
			if !c.conflict {
				if len(errs) > 0 {
					t.Error(errs)
				}
				return
			}
			var e *router.ConflictError
			if len(errs) != 1 || !errors.As(errs[0], &e) || e.A != 1 || e.B != 2 {
				t.Errorf("%v, want one conflict of 1 and 2", errs)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		_, errs := router.Build([]router.Route{{}, {Path: exact("x")}, {}, {}, {Hosts: []string{"a", "b"}}, {Hosts: []string{"b", "a"}}})
		if s := fmt.Sprintf("%+v", errs); len(errs) != 4 {
			t.Error(s)
		}
	})
	t.Run("each with the first of its kind", func(t *testing.T) {
		for _, p := range []router.Pattern{{}, exact("/a"), exact("/{a}"), prefix("/a"), regex("/a")} {
			_, errs := router.Build([]router.Route{{Name: "c", Path: p}, {Name: "b", Path: p}, {Name: "a", Path: p}})
			var got [][2]int
			for _, err := range errs {
				var c *router.ConflictError
				if errors.As(err, &c) {
					got = append(got, [2]int{c.A, c.B})
				}
			}
			if !slices.Equal(got, [][2]int{{0, 1}, {0, 2}}) {
				t.Errorf("%v: %v", p, got)
			}
		}
	})
	t.Run("a host twice in one route", func(t *testing.T) {
		for _, p := range []router.Pattern{{}, exact("/a"), exact("/{a}"), exact("/{a...}"), prefix("/a"), regex("/a")} {
			build(t, []router.Route{{Hosts: []string{"a", "A.", "*.a", "*.A"}, Path: p}})
		}
	})
}

func TestOrder(t *testing.T) {
	routes := []router.Route{
		{Name: "any"},
		{Name: "any, with a method", Methods: []string{"GET"}},
		{Name: "prefix", Path: prefix("/a")},
		{Name: "longer prefix", Path: prefix("/a/b")},
		{Name: "regex b", Path: regex("/a.*")},
		{Name: "regex a", Path: regex("/b.*")},
		{Name: "longer regex", Path: regex("/a/b.*")},
		{Name: "rest", Path: exact("/a/{x...}")},
		{Name: "parameter", Path: exact("/a/{x}")},
		{Name: "literal", Path: exact("/a/b/{x}")},
		{Name: "exact", Path: exact("/z")},
		{Name: "wildcard", Hosts: []string{"*.x"}},
		{Name: "longer wildcard, and a host", Hosts: []string{"*.y.x", "h"}},
		{Name: "longer wildcard", Hosts: []string{"*.x", "*.y.x"}, Priority: 1},
	}
	var got []string
	for _, i := range build(t, routes).Order() {
		got = append(got, routes[i].Name)
	}
	want := []string{
		"longer wildcard, and a host", "longer wildcard", "wildcard", "exact", "literal", "parameter", "rest", "longer regex",
		"regex a", "regex b", "longer prefix", "prefix", "any, with a method", "any",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
