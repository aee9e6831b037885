package main

import "github.com/headgate/headgate/runtime/gateway"

const runUsage = `
Serve a configuration: every *.hcl and *.hcl.json file below the directories.

  headgate run DIR|FILE...
  headgate run -var region=eu examples/quickstart

The configuration is read again when a file changes, on SIGHUP and on
POST /config/reload of the admin API. One with errors is refused whole, and the
running one goes on. SIGINT and SIGTERM drain; a second one ends at once. On
SIGUSR2 a new process of the program on disk takes the sockets over.
`

func runRun(args []string, s streams) int {
	f := newFlags("run", runUsage)
	in := f.input()
	pidFile := f.String("pid-file", "", "write the process number to this `file`")
	paths, code, done := f.parse(args, s)
	if done {
		return code
	}
	if len(paths) == 0 {
		return f.misuse(s, "name a directory or a file to load")
	}
	o := in.options(paths, s)
	o.PIDFile = *pidFile
	if err := gateway.Run(background(), o); err != nil {
		return report(err, "run", s)
	}
	return exitOK
}
