package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headgate/headgate/runtime/gateway"
)

const pluginUsage = `
Work on WebAssembly plugins. Each command has -h.

  headgate plugin new hello
  headgate plugin build ./hello
  headgate plugin test ./hello
  headgate plugin pull DIR
`

// pluginCommands are the commands below plugin.
func pluginCommands() []command {
	return []command{
		{"new", "make the folder of a plugin", runPluginNew},
		{"build", "compile a plugin", runPluginBuild},
		{"test", "play golden exchanges against a plugin", runPluginTest},
		{"inspect", "tell what a module is and needs", runPluginInspect},
		{"bench", "measure what a plugin costs", runPluginBench},
		{"run", "serve a plugin while it is being written", runPluginRun},
		{"pull", "get the plugins that a configuration takes from the network", runPluginPull},
	}
}

func runPlugin(args []string, s streams) int {
	all := pluginCommands()
	if len(args) > 0 {
		if i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] }); i >= 0 {
			return all[i].run(args[1:], s)
		}
	}
	f := newFlags("plugin", pluginUsage)
	rest, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(rest) == 0:
		return f.misuse(s, "name what to do: %s", names(all))
	}
	return f.misuse(s, "there is no command %q.%s", rest[0], suggest(rest[0], all))
}

// names lists commands as a sentence does.
func names(all []command) string {
	var b strings.Builder
	for i, c := range all {
		switch {
		case i > 0 && i == len(all)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(c.name)
	}
	return b.String()
}

const pluginPullUsage = `
Get the plugins that a configuration takes from https:// and oci://, so that a
gateway with the same -cache starts without a network. A tag is resolved once,
and what it stood for is kept in the lock file; -update resolves tags again. A
running gateway takes that over with its next reload.

  headgate plugin pull DIR|FILE...
  headgate plugin pull -update -cache /var/lib/headgate /etc/headgate
`

// pulled is what pull prints with -o json.
type pulled struct {
	gateway.Pulled
	Error string `json:"error,omitempty"`
}

func runPluginPull(args []string, s streams) int {
	f := newFlags("plugin pull", pluginPullUsage)
	in, format := f.input(), f.format()
	update := f.Bool("update", false, "resolve tags again")
	paths, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(paths) == 0:
		return f.misuse(s, "name a directory or a file")
	case !knownFormat(*format):
		return f.misuse(s, "there is no output format %q; write text or json", *format)
	case in.cache == "":
		return f.misuse(s, "name a directory with -cache, so that plugins can be kept")
	}
	list, err := gateway.Pull(background(), in.options(paths, s), *update)
	if err != nil {
		return report(err, "plugin pull", s)
	}
	out, result := make([]pulled, len(list)), exitOK
	for i, p := range list {
		out[i].Pulled = p
		if p.Err != nil {
			out[i].Error, result = p.Err.Error(), exitRuntime
		}
	}
	if *format == "json" {
		return max(writeJSON(s.out, out), result)
	}
	for _, p := range out {
		switch {
		case p.Err != nil:
			fmt.Fprintf(s.err, "%s: %s can't be had: %s\n", p.Plugin, p.Source, p.Error)
		case p.Changed:
			fmt.Fprintf(s.out, "%s: %s is new\n", p.Plugin, p.Source)
		default:
			fmt.Fprintf(s.out, "%s: %s is here\n", p.Plugin, p.Source)
		}
	}
	return result
}
