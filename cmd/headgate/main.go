// Command headgate is the gateway and its tools. It reads arguments and prints;
// what a command does is done by the packages below it.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// The exit codes.
const (
	exitOK      = 0
	exitInput   = 1 // the input is wrong
	exitUsage   = 2
	exitRuntime = 3 // such as a port in use
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// streams are the standard streams of a command.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// command is one subcommand.
type command struct {
	name, short string
	run         func(args []string, s streams) int
}

// commands are all subcommands in the order of the help text.
func commands() []command {
	return []command{
		{"run", "serve a configuration", runRun},
		{"validate", "check a configuration as a start would", runValidate},
		{"routes", "list the routes in order of precedence", runRoutes},
		{"explain", "tell where a request goes and why", runExplain},
		{"plan", "tell what a reload would change", runPlan},
		{"fmt", "lay configuration files out in the canonical way", runFmt},
		{"plugin", "make, build, test and get WebAssembly plugins", runPlugin},
		{"policy", "check, test, format and try Rego policies", runPolicy},
		{"schema", "describe the configuration language", runSchema},
		{"completion", "complete commands in a shell", runCompletion},
		{"demo", "run the backends of the examples", func(args []string, s streams) int { return runDemo(background(), args, s.out, s.err) }},
		{"version", "tell what this program is", runVersion},
	}
}

// run is the program without its process.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := streams{stdin, stdout, stderr}
	if len(args) == 0 {
		help(stderr)
		return exitUsage
	}
	name, rest := args[0], args[1:]
	switch name {
	case "-h", "-help", "--help":
		help(stdout)
		return exitOK
	case "-version", "--version":
		name = "version"
	case "help":
		if len(rest) == 0 {
			help(stdout)
			return exitOK
		}
		name, rest = rest[0], []string{"-h"}
	}
	all := commands()
	if i := slices.IndexFunc(all, func(c command) bool { return c.name == name }); i >= 0 {
		return all[i].run(rest, s)
	}
	fmt.Fprintf(stderr, "headgate: there is no command %q.%s\n\nRun \"headgate -h\" for the list.\n", name, suggest(name, all))
	return exitUsage
}

func suggest(name string, all []command) string {
	best, at := "", 3 // further away is another word
	for _, c := range all {
		if d := levenshtein.Distance(strings.ToLower(name), c.name, nil); d < at && d < len(c.name) {
			best, at = c.name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

func help(w io.Writer) {
	fmt.Fprint(w, `Headgate is an API gateway with WebAssembly plugins and Rego policies.

Usage:

  headgate COMMAND [flags] [arguments]

Commands:

`)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.short)
	}
	fmt.Fprint(w, `
Every command has -h with an example. Exit codes: 0 fine, 1 the input is wrong,
2 usage, 3 a failure at run time.

  headgate run examples/quickstart
`)
}
