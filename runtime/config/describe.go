package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/router"
)

// RouteInfo describes a route to people. It has names and patterns, and neither
// values of expressions nor configurations of filters, which may be secret.
type RouteInfo struct {
	Name       string   `json:"name"`
	Listeners  []string `json:"listeners,omitempty"`
	Hosts      []string `json:"hosts,omitempty"`
	Path       string   `json:"path,omitempty"`
	PathPrefix string   `json:"path_prefix,omitempty"`
	PathRegex  string   `json:"path_regex,omitempty"`
	Methods    []string `json:"methods,omitempty"`
	Conditions []string `json:"conditions,omitempty"`
	Priority   int      `json:"priority,omitempty"`
	Filters    []string `json:"filters,omitempty"`
	// Action is "forward", "redirect" or "respond".
	Action string `json:"action"`
	// Targets are the upstreams of a route that forwards.
	Targets []TargetInfo `json:"targets,omitempty"`
	// Mirror is the upstream that gets copies.
	Mirror string `json:"mirror,omitempty"`
	// At is the file and line.
	At string `json:"at"`
}

// TargetInfo is one destination of a route.
type TargetInfo struct {
	Upstream string `json:"upstream"`
	// Weight is the share in a split; 0: there is no split.
	Weight int `json:"weight,omitempty"`
}

// Pattern is the path of the route in one word.
func (r *RouteInfo) Pattern() string {
	switch {
	case r.PathPrefix != "":
		return r.PathPrefix + " and below"
	case r.PathRegex != "":
		return "~ " + r.PathRegex
	case r.Path != "":
		return r.Path
	}
	return "any path"
}

// RouteTable describes the routes in order of precedence.
func (c *Config) RouteTable() []RouteInfo {
	out := []RouteInfo{}
	for _, i := range c.table.Order() {
		out = append(out, c.RouteInfo(i))
	}
	return out
}

// RouteInfo describes the route with an index.
func (c *Config) RouteInfo(i int) RouteInfo {
	r := c.Routes[i]
	info := RouteInfo{
		Name: r.Name, Hosts: r.Hosts, Path: r.Path, PathPrefix: r.PathPrefix, PathRegex: r.PathRegex,
		Methods: r.Methods, Priority: r.Priority, At: line(r.Range),
	}
	for _, l := range r.Listeners {
		info.Listeners = append(info.Listeners, l.ID)
	}
	for _, m := range r.Match {
		info.Conditions = append(info.Conditions, m.Text)
	}
	for _, f := range c.filters(r) {
		info.Filters = append(info.Filters, f.Name)
	}
	switch {
	case r.Redirect != nil:
		info.Action = "redirect"
	case r.Respond != nil:
		info.Action = "respond"
	default:
		info.Action = "forward"
	}
	if r.Mirror != nil {
		info.Mirror = r.Mirror.Upstream.ID
	}
	for _, t := range r.Split {
		to := TargetInfo{Upstream: t.Upstream.ID, Weight: t.Weight}
		if len(r.Split) == 1 {
			to.Weight = 0
		}
		info.Targets = append(info.Targets, to)
	}
	return info
}

func line(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// Miss is a route that did not take a request.
type Miss struct {
	Route RouteInfo `json:"route"`
	// Failed says what stands in the way; empty if another route comes first.
	Failed []Obstacle `json:"failed,omitempty"`
}

// Obstacle is a condition of a route that a request does not meet.
type Obstacle struct {
	// What is "listener", "host", "path", "method", or a condition of match.
	What string `json:"what"`
	// At is the file and line.
	At string `json:"at"`
}

// Misses tells why the routes nearest to x, at most n, did not take it. winner
// is the index of the one that did, or -1. x's Host and Request.Path are
// normalised.
func (c *Config) Misses(x *exchange.Exchange, winner, n int) []Miss {
	list := make([]router.Route, len(c.Routes))
	for i, r := range c.Routes {
		list[i] = r.routerRoute()
	}
	all := router.Explain(list, x)
	byOrder := make([]router.Finding, 0, len(all))
	for _, i := range c.table.Order() {
		if i != winner {
			byOrder = append(byOrder, all[i])
		}
	}
	places := places{files: c.diags.files, bodies: map[string]*hclsyntax.Body{}}
	out := []Miss{}
	for _, f := range router.Nearest(byOrder, n) {
		r := c.Routes[f.Route]
		m := Miss{Route: c.RouteInfo(f.Route)}
		add := func(failed bool, what, attribute string) {
			if failed {
				m.Failed = append(m.Failed, Obstacle{what, line(places.attribute(r.Range, attribute))})
			}
		}
		add(f.Listener, "listener", "listeners")
		add(f.Host, "host", "hosts")
		if f.Path {
			m.Failed = append(m.Failed, Obstacle{"path", line(r.PathRange)})
		}
		add(f.Method, "method", "methods")
		for _, i := range f.Conditions {
			m.Failed = append(m.Failed, Obstacle{r.Match[i].Text, line(r.Match[i].Range)})
		}
		out = append(out, m)
	}
	return out
}

// places finds attributes in the sources again: to remember each of their ranges
// would cost every route more than its patterns.
type places struct {
	files  map[string][]byte
	bodies map[string]*hclsyntax.Body
}

// attribute is the range of an attribute of the root block at rng; rng itself if
// it can't be told.
func (p *places) attribute(rng hcl.Range, name string) hcl.Range {
	body, ok := p.bodies[rng.Filename]
	if !ok {
		if f, diags := hclsyntax.ParseConfig(p.files[rng.Filename], rng.Filename, hcl.InitialPos); !diags.HasErrors() {
			body, _ = f.Body.(*hclsyntax.Body)
		}
		p.bodies[rng.Filename] = body
	}
	if body == nil {
		return rng
	}
	for _, b := range body.Blocks {
		if b.DefRange().Start.Byte != rng.Start.Byte {
			continue
		}
		if a := b.Body.Attributes[name]; a != nil {
			return a.SrcRange
		}
	}
	return rng
}
