package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/headgate/headgate/runtime/config"
)

const routesUsage = `
List the routes in order of precedence: the first that fits a request takes it.

  headgate routes DIR|FILE...
  headgate routes -admin http://127.0.0.1:9901
  headgate routes -o json examples/quickstart
`

func runRoutes(args []string, s streams) int {
	f := newFlags("routes", routesUsage)
	in, format, admin := f.input(), f.format(), f.admin()
	paths, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case !knownFormat(*format):
		return f.misuse(s, "there is no output format %q; write text or json", *format)
	case (len(paths) == 0) == (*admin == ""):
		return f.misuse(s, "name a directory or a file, or a running gateway with -admin")
	}
	var table []config.RouteInfo
	if *admin != "" {
		if err := (adminAPI{*admin}).call("/routes", nil, &table); err != nil {
			return report(err, "routes", s)
		}
	} else {
		cfg, diags := config.Load(in.options(paths, s).Source)
		if diags.HasErrors() {
			return report(diags, "routes", s)
		}
		table = cfg.RouteTable()
	}
	if *format == "json" {
		return writeJSON(s.out, table)
	}
	writeRoutes(s.out, table)
	return exitOK
}

func writeRoutes(w io.Writer, table []config.RouteInfo) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ROUTE\tHOSTS\tPATH\tMETHODS\tMATCH\tFILTERS\tACTION\tAT")
	for i := range table {
		r := &table[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, listed(r.Hosts, "any"), r.Pattern(), listed(r.Methods, "any"),
			listed(matchOf(r), "-"), listed(r.Filters, "-"), actionOf(r), r.At)
	}
	t.Flush() // the error is that of w, which the process can't tell anybody
}

// matchOf is everything of a route that is neither host, path nor method.
func matchOf(r *config.RouteInfo) []string {
	var out []string
	if len(r.Listeners) > 0 {
		out = append(out, "listener "+strings.Join(r.Listeners, " or "))
	}
	out = append(out, r.Conditions...)
	if r.Priority != 0 {
		out = append(out, fmt.Sprintf("priority %d", r.Priority))
	}
	return out
}

func actionOf(r *config.RouteInfo) string {
	if len(r.Targets) == 0 {
		return r.Action
	}
	return r.Action + " " + targets(r.Targets)
}

func targets(list []config.TargetInfo) string {
	var out []string
	for _, t := range list {
		if t.Weight > 0 {
			out = append(out, fmt.Sprintf("%s:%d", t.Upstream, t.Weight))
			continue
		}
		out = append(out, t.Upstream)
	}
	return strings.Join(out, ",")
}

func listed(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, ",")
}
