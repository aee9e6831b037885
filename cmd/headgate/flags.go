package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/gateway"
)

// background is the context of a command: it ends with the process.
func background() context.Context { return context.Background() }

// flags are the flags of one command.
type flags struct {
	*flag.FlagSet
	usage string
}

// newFlags makes the flags of a command; usage says what it does, how it is
// called, and gives an example.
func newFlags(name, usage string) *flags {
	f := &flags{flag.NewFlagSet(name, flag.ContinueOnError), usage}
	f.SetOutput(io.Discard)
	return f
}

// parse reads flags, which may stand before or after the arguments; "--" ends
// them. If done, the command is over and code its exit code.
func (f *flags) parse(args []string, s streams) (rest []string, code int, done bool) {
	for {
		switch err := f.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			f.help(s.out)
			return nil, exitOK, true
		case err != nil:
			return nil, f.misuse(s, "%v", err), true
		}
		left := f.Args()
		if n := len(args) - len(left); n > 0 && args[n-1] == "--" || len(left) == 0 {
			return append(rest, left...), exitOK, false
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

func (f *flags) help(w io.Writer) {
	fmt.Fprintf(w, "%s\n", strings.TrimSpace(f.usage))
	any := false
	f.VisitAll(func(*flag.Flag) { any = true })
	if any {
		fmt.Fprint(w, "\nFlags:\n")
		f.SetOutput(w)
		f.PrintDefaults()
		f.SetOutput(io.Discard)
	}
}

// misuse reports a wrong call.
func (f *flags) misuse(s streams, format string, args ...any) int {
	fmt.Fprintf(s.err, "headgate %s: %s\n\nRun \"headgate %s -h\" for how it is called.\n", f.Name(), fmt.Sprintf(format, args...), f.Name())
	return exitUsage
}

// vars are the values of repeated -var NAME=VALUE flags.
type vars map[string]string

// String implements flag.Value.
func (v vars) String() string { return strings.Join(slices.Sorted(maps.Keys(v)), ",") }

// Set implements flag.Value.
func (v vars) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("write NAME=VALUE")
	}
	v[name] = value
	return nil
}

// input are the flags of commands that load a configuration as a start does.
type input struct {
	vars  vars
	cache string
}

func (f *flags) input() *input {
	in := &input{vars: vars{}}
	if dir, err := os.UserCacheDir(); err == nil {
		in.cache = filepath.Join(dir, "headgate")
	}
	f.Var(in.vars, "var", "set variable `NAME=VALUE`; may be repeated")
	f.StringVar(&in.cache, "cache", in.cache, "`directory` for plugins, compiled and from the network; \"\" keeps them in memory")
	return in
}

func (in *input) options(paths []string, s streams) gateway.Options {
	return gateway.Options{
		Source:   config.Source{Paths: paths, Vars: in.vars, Env: os.LookupEnv},
		CacheDir: in.cache, Stdout: s.out, Stderr: s.err,
	}
}

// format is the -o flag.
func (f *flags) format() *string { return f.String("o", "text", "output `format`: text or json") }

func knownFormat(format string) bool { return format == "text" || format == "json" }

func writeJSON(w io.Writer, v any) int {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if e.Encode(v) != nil {
		return exitRuntime
	}
	return exitOK
}

// report prints why a configuration can't be used and returns the exit code.
func report(err error, command string, s streams) int {
	var d *config.Diagnostics
	if !errors.As(err, &d) {
		fmt.Fprintf(s.err, "headgate %s: %v\n", command, err)
		return exitRuntime
	}
	d.WriteText(s.err, terminal(s.err))
	fmt.Fprintf(s.err, "\n%s\n", count(d.Errors(), "error"))
	return exitInput
}

func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	default:
		return fmt.Sprintf("%d %ss", n, what)
	}
}

// terminal reports whether w shows colors.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
