package router

import (
	"slices"

	"github.com/headgate/headgate/runtime/exchange"
)

// Finding is what stands between a request and one route. If nothing does, the
// route won or comes behind the one that did.
type Finding struct {
	Route int
	// Listener, Host, Path and Method are set if the request has another than
	// the route takes.
	Listener, Host, Path, Method bool
	// Conditions are the indices of the route's conditions that do not hold.
	Conditions []int
}

// Fits reports whether nothing stands in the way.
func (f *Finding) Fits() bool { return f.misses() == 0 }

// misses is how much stands in the way. Another host or path is further away
// than anything else.
func (f *Finding) misses() int {
	n := len(f.Conditions)
	for _, b := range []bool{f.Listener, f.Method, f.Host, f.Host, f.Path, f.Path} {
		if b {
			n++
		}
	}
	return n
}

// Explain asks each of routes on its own about x, whose Host and Request.Path
// are normalised, and returns what it found in the order of routes. Every
// question is put to a table of that one route, so that the answers are those of
// Lookup. It is for tools: the time grows with the number of routes. x.Params is
// lost.
func Explain(routes []Route, x *exchange.Exchange) []Finding {
	out := make([]Finding, len(routes))
	for i := range routes {
		r := &routes[i]
		f := Finding{Route: i}
		f.Host = !matches(x, Route{Hosts: r.Hosts})
		f.Path = !matches(x, Route{Path: r.Path})
		f.Method = !matches(x, Route{Methods: r.Methods})
		f.Listener = !matches(x, Route{Listeners: r.Listeners})
		for j, c := range r.Conditions {
			if !c.Match(x) {
				f.Conditions = append(f.Conditions, j)
			}
		}
		out[i] = f
	}
	return out
}

// matches looks x up in a table of one route.
func matches(x *exchange.Exchange, r Route) bool {
	t, errs := Build([]Route{r})
	return len(errs) == 0 && t.Lookup(x).Route == 0
}

// Nearest returns those findings whose route almost matched, the nearest first
// and at most n: all of which have the request's host and path, before others.
func Nearest(all []Finding, n int) []Finding {
	near := slices.Clone(all)
	near = slices.DeleteFunc(near, func(f Finding) bool { return f.Host && f.Path })
	slices.SortStableFunc(near, func(a, b Finding) int { return a.misses() - b.misses() })
	return near[:min(n, len(near))]
}
