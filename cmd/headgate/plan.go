package main

import (
	"encoding/hex"

	"github.com/headgate/headgate/runtime/config"
)

const planUsage = `
Tell what a reload of a configuration would change in a running gateway. Blocks
that are not named keep everything: connections, health, instances of plugins.
Nothing is changed. A configuration with errors is refused with all of them.

  headgate plan -admin http://127.0.0.1:9901 examples/quickstart
  headgate plan -o json -admin http://127.0.0.1:9901 examples/quickstart
`

func runPlan(args []string, s streams) int {
	f := newFlags("plan", planUsage)
	in, format, admin := f.input(), f.format(), f.admin()
	paths, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case *admin == "":
		return f.misuse(s, "name the running gateway with -admin")
	case len(paths) == 0:
		return f.misuse(s, "name a directory or a file")
	case !knownFormat(*format):
		return f.misuse(s, "there is no output format %q; write text or json", *format)
	}
	var running struct {
		Salt   string
		Blocks []*config.Node
	}
	if err := (adminAPI{*admin}).call("/config", nil, &running); err != nil {
		return report(err, "plan", s)
	}
	salt, err := hex.DecodeString(running.Salt)
	if err != nil {
		return report(err, "plan", s)
	}
	cfg, diags := config.Load(in.options(paths, s).Source)
	if diags.HasErrors() {
		return report(diags, "plan", s)
	}
	changes := config.Plan(running.Blocks, cfg.Tree(salt, cfg.Digests()))
	if *format == "json" {
		if changes == nil {
			changes = []config.Change{}
		}
		return writeJSON(s.out, changes)
	}
	config.WritePlan(s.out, changes)
	return exitOK
}
