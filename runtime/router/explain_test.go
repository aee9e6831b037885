package router_test

import (
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/router"
)

func TestNearest(t *testing.T) {
	never := router.Condition{Key: "never", Match: func(*exchange.Exchange) bool { return false }}
	routes := []router.Route{
		{Name: "elsewhere", Hosts: []string{"b.example"}, Path: router.Pattern{Kind: router.Exact, Text: "/other"}},
		{Name: "host", Hosts: []string{"b.example"}, Path: router.Pattern{Kind: router.Exact, Text: "/orders/{id}"}},
		{Name: "condition", Path: router.Pattern{Kind: router.Prefix, Text: "/orders"}, Conditions: []router.Condition{never}},
		{Name: "later", Path: router.Pattern{Kind: router.Any}},
		{Name: "both", Hosts: []string{"*.example"}, Methods: []string{"POST"}, Conditions: []router.Condition{never}},
	}
	x := &exchange.Exchange{Host: "a.example"}
	x.Request.Method, x.Request.Path = "GET", "/orders/1"
	near := router.Nearest(router.Explain(routes, x), 3)
	var names []string
	for _, f := range near {
		names = append(names, routes[f.Route].Name)
	}
	if len(names) != 3 || names[0] != "later" || names[1] != "condition" {
		t.Errorf("nearest are %v", names)
	}
	if f := near[1]; f.Host || f.Path || f.Method || f.Listener || len(f.Conditions) != 1 || f.Fits() {
		t.Errorf("the condition alone stands in the way, got %+v", f)
	}
	if !near[0].Fits() {
		t.Errorf("nothing stands in the way of later, got %+v", near[0])
	}
}
