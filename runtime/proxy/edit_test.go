package proxy

import (
	"errors"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

func TestSetQuery(t *testing.T) {
	for _, c := range []struct {
		raw, name, value string
		set              bool
		want             string
	}{
		{"", "a", "1", true, "a=1"},
		{"b=2", "a", "1", true, "b=2&a=1"},
		{"a=0&b=%32&a=3", "a", "x y&z", true, "b=%32&a=x+y%26z"},
		{"a=0&b=2", "a", "", false, "b=2"},
		{"%61=0&b", "a", "", false, "b"},
		{"a=1&%zz&b=1", "a", "", false, "%zz&b=1"},
		{"&&b=1&", "a", "", false, "b=1"},
	} {
		if got := setQuery(c.raw, c.name, c.value, c.set); got != c.want {
			t.Errorf("setQuery(%q, %q, %q, %v) = %q, want %q", c.raw, c.name, c.value, c.set, got, c.want)
		}
	}
}

func TestEditHeaders(t *testing.T) {
	fixed := func(v exchange.Value) exchange.Expr {
		return func(*exchange.Exchange) (exchange.Value, error) { return v, nil }
	}
	null := exchange.Value{}
	for _, c := range []struct {
		name string
		edit HeaderEdit
		want []string
		fail bool
	}{
		{"set", HeaderEdit{Set, "a", fixed(exchange.Text("n"))}, []string{"n"}, false},
		{"set null removes", HeaderEdit{Set, "a", fixed(null)}, nil, false},
		{"add", HeaderEdit{Add, "a", fixed(exchange.Text("n"))}, []string{"1", "2", "n"}, false},
		{"add null", HeaderEdit{Add, "a", fixed(null)}, []string{"1", "2"}, false},
		{"remove", HeaderEdit{Op: Remove, Name: "a"}, nil, false},
		{"number", HeaderEdit{Set, "a", fixed(exchange.Value{Kind: exchange.KindNumber, Num: 1.5})}, []string{"1.5"}, false},
		{"a line break", HeaderEdit{Set, "a", fixed(exchange.Text("x\r\nb: 1"))}, []string{"1", "2"}, true},
		{"a list", HeaderEdit{Set, "a", fixed(exchange.Value{Kind: exchange.KindJSON})}, []string{"1", "2"}, true},
		{"a type error", HeaderEdit{Set, "a", func(*exchange.Exchange) (exchange.Value, error) { return null, errors.New("no") }}, []string{"1", "2"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var x exchange.Exchange
			h := &x.Request.Head
			h.Add("A", "1")
			h.Add("a", "2")
			if err := editHeaders(&x, h, []HeaderEdit{c.edit}); (err != nil) != c.fail {
				t.Errorf("error %v", err)
			}
			got := h.Values(nil, "a")
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i := range got {
				if string(got[i]) != c.want[i] {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
}

func TestAcceptsJSON(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                 true,
		"*/*":                              true,
		"text/html, application/json;q=.5": true,
		"text/html,*/*;q=0.8":              true,
		"application/problem+json":         true,
		"Application/*":                    true,
		"text/html":                        false,
		"text/html, application/json;q=0":  false,
		"image/png, text/*;q=0.3":          false,
	} {
		var h exchange.Head
		if accept != "" {
			h.Add("Accept", accept)
		}
		if got := acceptsJSON(&h); got != want {
			t.Errorf("Accept %q: %v", accept, got)
		}
	}
}

func TestProblems(t *testing.T) {
	var x exchange.Exchange
	x.ID = "id-1"
	answer(&x, &failure{status: 503, detail: `a "detail"`, cause: errors.New("secret")})
	want := `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"a \"detail\"","request_id":"id-1"}` + "\n"
	if got, _ := x.Response.Content(); string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, ok := x.Response.Head.Get("retry-after"); !ok {
		t.Error("503 without Retry-After")
	}
	answer(&x, errors.New("secret"))
	if got, _ := x.Response.Content(); x.Response.Status != 500 || string(got) == "" {
		t.Errorf("an unknown error is answered with %d %s", x.Response.Status, got)
	}
}
