package router_test

import (
	"slices"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/router"
)

func TestOverlaps(t *testing.T) {
	with := func(keys ...string) []router.Condition {
		var list []router.Condition
		for _, k := range keys {
			list = append(list, router.Condition{Key: k, Match: func(*exchange.Exchange) bool { return true }})
		}
		return list
	}
	for name, c := range map[string]struct {
		a, b router.Route
		want bool
	}{
		"methods":              {router.Route{Methods: []string{"GET", "POST"}}, router.Route{Methods: []string{"POST", "PUT"}}, true},
		"HEAD":                 {router.Route{Methods: []string{"GET"}}, router.Route{Methods: []string{"HEAD"}}, true},
		"other methods":        {router.Route{Methods: []string{"GET"}}, router.Route{Methods: []string{"POST"}}, false},
		"methods and none":     {router.Route{Methods: []string{"GET"}}, router.Route{}, false},
		"listeners":            {router.Route{Listeners: []string{"a", "b"}}, router.Route{Listeners: []string{"b", "c"}}, true},
		"other listeners":      {router.Route{Listeners: []string{"a"}}, router.Route{Listeners: []string{"b"}}, false},
		"priority":             {router.Route{Methods: []string{"GET", "POST"}, Priority: 1}, router.Route{Methods: []string{"GET"}}, false},
		"different headers":    {router.Route{Conditions: with(`header "a" equals "1"`)}, router.Route{Conditions: with(`header "b" equals "1"`)}, true},
		"values of one header": {router.Route{Conditions: with(`header "a" equals "1"`)}, router.Route{Conditions: with(`header "a" equals "2"`)}, false},
		"parts of one header":  {router.Route{Conditions: with(`header "a" prefix "1"`)}, router.Route{Conditions: with(`header "a" equals "12"`)}, true},
		"present and absent":   {router.Route{Conditions: with(`header "a" present true`)}, router.Route{Conditions: with(`header "a" present false`)}, false},
		"absent and another":   {router.Route{Conditions: with(`header "a" present false`)}, router.Route{Conditions: with(`header "ab" equals "1"`)}, true},
		"more conditions":      {router.Route{Conditions: with(`header "a" equals "1"`, `header "b" equals "1"`)}, router.Route{Conditions: with(`header "b" equals "1"`)}, false},
	} {
		c.a.Name, c.b.Name = "a", "b"
		for _, hosts := range [][2][]string{{nil, nil}, {{"x.t", "y.t"}, {"Y.t", "x.t", "z.t"}}} {
			for _, p := range []router.Pattern{{Kind: router.Exact, Text: "/a"}, {Kind: router.Exact, Text: "/{a}"}, {Kind: router.Prefix, Text: "/a"}, {Kind: router.Regex, Text: "/a+"}, {Kind: router.Any}} {
				a, b := c.a, c.b
				a.Hosts, b.Hosts, a.Path, b.Path = hosts[0], hosts[1], p, p
				table, errs := router.Build([]router.Route{b, a})
				if len(errs) > 0 {
					t.Fatal(name, errs)
				}
				var want []router.Overlap
				if c.want {
					want = []router.Overlap{{A: 1, B: 0}}
				}
				if got := table.Overlaps(10); !slices.Equal(got, want) {
					t.Errorf("%s %v %v: got %v, want %v", name, hosts, p, got, want)
				}
			}
		}
	}
	apart, errs := router.Build([]router.Route{
		{Name: "a", Hosts: []string{"x.t"}, Methods: []string{"GET", "POST"}},
		{Name: "b", Hosts: []string{"y.t"}, Methods: []string{"GET"}},
		{Name: "c", Path: router.Pattern{Kind: router.Prefix, Text: "/a"}, Methods: []string{"GET"}},
	})
	if got := apart.Overlaps(10); len(errs) > 0 || len(got) > 0 {
		t.Errorf("%v %v", got, errs)
	}
}
