package config

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/headgate/headgate/runtime/router"
)

// checkRoutes builds the route table, which finds patterns that are none and
// routes that can't be told apart. The table is kept for Build.
func (l *loader) checkRoutes() {
	var sound []*Route
	for _, r := range l.cfg.Routes {
		if !r.broken {
			sound = append(sound, r)
		}
	}
	list := make([]router.Route, len(sound))
	for i, r := range sound {
		list[i] = r.routerRoute()
	}
	table, errs := router.Build(list)
	for _, err := range errs {
		var pattern *router.PatternError
		var conflict *router.ConflictError
		switch {
		case errors.As(err, &pattern):
			r := sound[pattern.Route]
			l.diags.errorf(r.PathRange, "Invalid route", "Route %q: %s.", r.Name, pattern)
		case errors.As(err, &conflict):
			a, b := sound[conflict.A], sound[conflict.B]
			if b.Range.Filename == a.Range.Filename && b.Range.Start.Byte < a.Range.Start.Byte {
				a, b = b, a
			}
			l.diags.twice(b.Range, a.Range, "Conflicting routes",
				"The routes %q and %q match the same requests: they have the same listeners, host, path, methods, conditions and priority. Give one of them a priority, or a match block.", a.Name, b.Name)
		default:
			l.diags.errorf(l.cfg.Gateway.Range, "Invalid routes", "%s.", err)
		}
	}
	l.cfg.table = table
}

func (r *Route) routerRoute() router.Route {
	out := router.Route{Name: r.Name, Hosts: r.Hosts, Methods: r.Methods, Priority: r.Priority}
	for _, n := range r.Listeners {
		out.Listeners = append(out.Listeners, n.ID)
	}
	switch {
	case r.Path != "":
		out.Path = router.Pattern{Kind: router.Exact, Text: r.Path}
	case r.PathPrefix != "":
		out.Path = router.Pattern{Kind: router.Prefix, Text: r.PathPrefix}
	case r.PathRegex != "":
		out.Path = router.Pattern{Kind: router.Regex, Text: r.PathRegex}
	default:
		out.Path = router.Pattern{Kind: router.Any}
	}
	for _, c := range r.Match {
		out.Conditions = append(out.Conditions, router.Condition{Key: c.Key, Match: c.Match, NeedsBody: c.NeedsBody})
	}
	return out
}

// maxOverlaps bounds what is said of overlaps.
const maxOverlaps = 50

// NoteOverlaps adds a warning to d for each two routes of which only the names
// tell who takes a request that both match.
func (c *Config) NoteOverlaps(d *Diagnostics) {
	for _, o := range c.table.Overlaps(maxOverlaps) {
		a, b := c.Routes[o.A], c.Routes[o.B]
		d.add(&hcl.Diagnostic{
			Severity: hcl.DiagWarning, Summary: "Overlapping routes", Subject: &b.Range, Extra: extra{related: &a.Range, note: "the other one is at " + position(a.Range)},
			Detail: fmt.Sprintf("A request may match both %q and %q, and %q takes it because its name comes first. Give one of them a priority to say what is meant.", a.Name, b.Name, a.Name),
		})
	}
}
