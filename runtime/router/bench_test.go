package router_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/router"
)

// shape is a way in which many routes are spread.
type shape struct {
	name   string
	routes func(n int) []router.Route
	reqs   func(n int) []target
}

// target is what a request asks for.
type target struct{ host, path string }

// spread calls f with numbers all over 0 to n-1, so that a look-up finds nothing
// in the processor's caches that a real one would not.
func spread(n int, f func(i int) target) []target {
	list := make([]target, 1<<10)
	for i := range list {
		list[i] = f(i * 7919 % n)
	}
	return list
}

func shapes() []shape {
	hosts := func(i int) string { return fmt.Sprintf("h%d.example.com", i) }
	return []shape{
		{"templates", func(n int) []router.Route {
			var list []router.Route
			for i := range n {
				list = append(list, router.Route{Path: exact(fmt.Sprintf("/v1/service%d/orders/{id}", i)), Methods: []string{"GET"}})
			}
			return list
		}, func(n int) []target {
			return spread(n, func(i int) target {
				return target{"api.example.com", fmt.Sprintf("/v1/service%d/orders/4711", i)}
			})
		}},
		{"prefixes", func(n int) []router.Route {
			var list []router.Route
			for i := range n {
				list = append(list, router.Route{Hosts: []string{"*.example.com"}, Path: prefix(fmt.Sprintf("/team%d/app", i))})
			}
			return list
		}, func(n int) []target {
			return spread(n, func(i int) target {
				return target{"www.example.com", fmt.Sprintf("/team%d/app/static/js/main.js", i)}
			})
		}},
		{"hosts", func(n int) []router.Route {
			var list []router.Route
			for i := range n {
				list = append(list, router.Route{Hosts: []string{hosts(i / 10)}, Path: exact(fmt.Sprintf("/path%d/{id}", i%10))})
			}
			return list
		}, func(n int) []target {
			return spread(n, func(i int) target {
				return target{hosts(i / 10), fmt.Sprintf("/path%d/42", i%10)}
			})
		}},
		{"last of everything", func(n int) []router.Route {
			list := []router.Route{{Name: "any"}}
			for i := range n - 1 {
				list = append(list, router.Route{Hosts: []string{"*." + hosts(i)}, Path: exact(fmt.Sprintf("/a%d/{id}", i)), Methods: []string{"POST"}})
			}
			return list
		}, func(n int) []target {
			return spread(n, func(i int) target {
				return target{"a.b." + hosts(i), fmt.Sprintf("/a%d/1", i)}
			})
		}},
	}
}

func named(routes []router.Route) []router.Route {
	for i := range routes {
		routes[i].Name = fmt.Sprintf("route%d", i)
	}
	return routes
}

func BenchmarkLookup(b *testing.B) {
	for _, s := range shapes() {
		for _, n := range []int{10, 10_000, 100_000} {
			table := build(b, named(s.routes(n)))
			reqs := s.reqs(n)
			b.Run(fmt.Sprintf("%s/%d", s.name, n), func(b *testing.B) {
				// A connection's exchange is at hand; what it asks for is not.
				x := request("GET", "", "")
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					r := &reqs[i&(len(reqs)-1)]
					x.Host, x.Request.Path = r.host, r.path
					if table.Lookup(x).Route < 0 {
						b.Fatal("no route")
					}
					i++
				}
			})
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, s := range shapes() {
		routes := named(s.routes(10_000))
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				build(b, routes)
			}
		})
	}
}

func BenchmarkNormalizePath(b *testing.B) {
	for _, p := range []string{"/v1/service17/orders/4711", "/caf%C3%A9/a%2Fb", "/a/%7Euser//x/../y"} {
		b.Run(p, func(b *testing.B) {
			var buf [64]byte
			b.ReportAllocs()
			for b.Loop() {
				if _, err := router.NormalizePath(buf[:0], p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNormalizeHost(b *testing.B) {
	var arena exchange.Arena
	b.ReportAllocs()
	for b.Loop() {
		if _, err := router.NormalizeHost("api.example.com:8443", &arena); err != nil {
			b.Fatal(err)
		}
	}
}

// No look-up leaves garbage, not even one in which the first routes take other
// methods.
func TestLookupAllocatesNothing(t *testing.T) {
	routes := named([]router.Route{
		{Path: exact("/orders/{id}"), Methods: []string{"GET"}}, {Path: exact("/orders/{id}"), Methods: []string{"POST"}},
		{Path: regex("/x/[0-9]+")}, {Hosts: []string{"*.example.com"}, Path: prefix("/a"), Conditions: []router.Condition{when("")}},
		{Hosts: []string{"h"}, Path: exact("/only"), Methods: []string{"PUT"}},
	})
	table := build(t, routes)
	for _, x := range []*exchange.Exchange{
		request("GET", "h", "/orders/1"), request("POST", "a.b.c", "/orders/1"), request("GET", "h", "/x/17"),
		request("GET", "a.b.example.com", "/a/b/c/d"), request("GET", "h", "/nowhere"),
	} {
		if n := testing.AllocsPerRun(100, func() { table.Lookup(x) }); n != 0 {
			t.Errorf("%s %s%s: %v allocations", x.Request.Method, x.Host, x.Request.Path, n)
		}
	}
}

// A client can't make a look-up slow with a long path or a long host.
func TestLookupOfHostileRequests(t *testing.T) {
	routes := []router.Route{
		{Hosts: []string{"*.a.a"}, Path: exact("/a/{x}/b/{y...}"), Methods: []string{"PUT"}}, {Path: prefix("/a/a/b")}, {Path: exact("/{x}/{y}/{z}")},
	}
	table := build(t, named(routes))
	x := request("GET", strings.Repeat("a.", 32<<10)+"a", strings.Repeat("/a", 32<<10))
	start := time.Now()
	const n = 100
	for range n {
		table.Lookup(x)
	}
	if d := time.Since(start) / n; d > 2*time.Millisecond {
		t.Errorf("%v for a look-up", d)
	}
}

// Many hosts with few paths each are affordable.
func TestTableMemory(t *testing.T) {
	routes := named(shapes()[2].routes(100_000))
	used := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	table := build(t, routes)
	after := used()
	per := int64(after-before) / int64(len(routes))
	t.Logf("%d bytes per route", per)
	if per > 800 {
		t.Errorf("%d bytes per route", per)
	}
	runtime.KeepAlive(table)
	runtime.KeepAlive(routes)
}
