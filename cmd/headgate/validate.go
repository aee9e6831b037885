package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/gateway"
)

const validateUsage = `
Check everything that a start would check, plugins and policies compiled. No
socket is bound, and no network is used: a plugin that comes from there is
checked if it is in -cache, or with -online. All errors are shown at once.

  headgate validate DIR|FILE...
  headgate validate -o json examples/quickstart
`

// verdict is what validate prints with -o json.
type verdict struct {
	Valid       bool            `json:"valid"`
	Listeners   int             `json:"listeners"`
	Upstreams   int             `json:"upstreams"`
	Plugins     int             `json:"plugins"`
	Policies    int             `json:"policies"`
	Chains      int             `json:"chains"`
	Routes      int             `json:"routes"`
	Diagnostics json.RawMessage `json:"diagnostics"`
}

func runValidate(args []string, s streams) int {
	f := newFlags("validate", validateUsage)
	in, format := f.input(), f.format()
	online := f.Bool("online", false, "get what the configuration takes from the network")
	paths, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(paths) == 0:
		return f.misuse(s, "name a directory or a file to check")
	case !knownFormat(*format):
		return f.misuse(s, "there is no output format %q; write text or json", *format)
	}
	o := in.options(paths, s)
	o.Offline = !*online
	sum, warnings, err := gateway.Validate(background(), o)
	if *format == "json" {
		var d *config.Diagnostics
		if errors.As(err, &d) {
			if writeJSON(s.out, verdict{Diagnostics: d.JSON()}) != exitOK {
				return exitRuntime
			}
			return exitInput
		}
	}
	if err != nil {
		return report(err, "validate", s)
	}
	if *format == "json" {
		return writeJSON(s.out, verdict{
			Valid: true, Listeners: sum.Listeners, Upstreams: sum.Upstreams, Plugins: sum.Plugins,
			Policies: sum.Policies, Chains: sum.Chains, Routes: sum.Routes, Diagnostics: warnings.JSON(),
		})
	}
	warnings.WriteText(s.err, terminal(s.err))
	fmt.Fprintf(s.out, "%s: checked %s, %s, %s, %s, %s and %s; no errors\n", strings.Join(paths, " "),
		count(sum.Listeners, "listener"), count(sum.Upstreams, "upstream"), count(sum.Plugins, "plugin"),
		count(sum.Policies, "policy"), count(sum.Chains, "chain"), count(sum.Routes, "route"))
	return exitOK
}
