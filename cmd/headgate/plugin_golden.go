package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/headgate/headgate/cmd/headgate/internal/golden"
	"github.com/headgate/headgate/host"
	"github.com/headgate/headgate/runtime/gateway"
)

const pluginTestUsage = `
Play the exchanges of a plugin's testdata/*.txtar and compare what comes out with
what they say, without a gateway and without a network. The plugin is built first;
-module takes one that is. -update writes what came out into the files: write the
requests, run it, and read what it added.

  headgate plugin test
  headgate plugin test ./hello
  headgate plugin test -update -module hello.wasm testdata/greeting.txtar
`

// goldenRun is how plugin test was called.
type goldenRun struct {
	module, cache string
	update        bool
	files         []string
	name          string // of the command, for errors
}

// played is what test prints with -o json for one file.
type played struct {
	File    string  `json:"file"`
	OK      bool    `json:"ok"`
	Diff    string  `json:"diff,omitempty"`
	Error   string  `json:"error,omitempty"`
	Seconds float64 `json:"seconds"`
	changed bool
}

func runPluginTest(args []string, s streams) int {
	f := newFlags("plugin test", pluginTestUsage)
	in := f.input()
	module := f.String("module", "", "a module `file` that is built already")
	update := f.Bool("update", false, "write what came out into the files")
	format := f.format()
	rest, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case !knownFormat(*format):
		return f.misuse(s, "there is no output format %q; write text or json", *format)
	}
	g := goldenRun{module: *module, cache: in.cache, update: *update, name: "plugin test"}
	if err := g.find(rest); err != nil {
		return refuse(s, g.name, err)
	}
	if g.module == "" {
		dir := goldenDir(rest)
		made, cleanup, code := buildTemp(s, dir)
		defer cleanup()
		if code != exitOK {
			return code
		}
		g.module = made
	}
	all, err := g.play(background())
	if err != nil {
		return refuse(s, g.name, err)
	}
	if *format == "json" {
		return max(writeJSON(s.out, all), verdictOf(all))
	}
	return tell(s, all)
}

// goldenDir is the project that is meant: a folder, or that of the first file.
func goldenDir(args []string) string {
	if len(args) == 0 {
		return "."
	}
	if filepath.Ext(args[0]) != ".txtar" {
		return args[0]
	}
	dir := filepath.Dir(args[0])
	if filepath.Base(dir) == "testdata" {
		dir = filepath.Dir(dir)
	}
	return dir
}

// find lists the files to play.
func (g *goldenRun) find(args []string) error {
	if len(args) == 0 {
		args = []string{"."}
	}
	for _, a := range args {
		if filepath.Ext(a) == ".txtar" {
			g.files = append(g.files, a)
			continue
		}
		entries, err := os.ReadDir(filepath.Join(a, "testdata"))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		for _, e := range entries {
			if filepath.Ext(e.Name()) == ".txtar" {
				g.files = append(g.files, filepath.Join(a, "testdata", e.Name()))
			}
		}
	}
	if len(g.files) == 0 {
		return errors.New("there is no testdata/*.txtar")
	}
	slices.Sort(g.files)
	g.files = slices.Compact(g.files)
	return nil
}

// buildTemp builds a project to a file that cleanup removes.
func buildTemp(s streams, dir string) (module string, cleanup func(), code int) {
	p, err := openProject([]string{dir})
	if err != nil {
		return "", func() {}, refuse(s, "plugin build", err)
	}
	tmp, err := os.MkdirTemp("", "headgate-plugin-")
	if err != nil {
		return "", func() {}, refuse(s, "plugin build", err)
	}
	module = filepath.Join(tmp, p.Name+".wasm")
	return module, func() { _ = os.RemoveAll(tmp) }, build(background(), s, p, module)
}

func (g *goldenRun) play(ctx context.Context) (all []played, err error) {
	wasm, err := os.ReadFile(g.module)
	if err != nil {
		return nil, err
	}
	p, err := golden.NewPlayer(ctx, wasm, g.cache, gateway.NewPluginState)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	for _, path := range g.files {
		start := time.Now()
		one, err := g.playFile(ctx, p, path)
		var module *host.ModuleError
		if errors.As(err, &module) {
			return nil, err
		}
		if err != nil {
			one.Error = err.Error()
		}
		one.Seconds = time.Since(start).Seconds()
		all = append(all, one)
	}
	return all, nil
}

func (g *goldenRun) playFile(ctx context.Context, p *golden.Player, path string) (played, error) {
	one := played{File: path}
	text, err := os.ReadFile(path)
	if err != nil {
		return one, err
	}
	f, err := golden.Parse(path, text)
	if err != nil {
		return one, err
	}
	r, err := p.Play(ctx, f)
	if err != nil {
		return one, err
	}
	one.OK, one.Diff = r.Diff == "", r.Diff
	if g.update && string(r.Text) != string(text) {
		one.OK, one.Diff, one.changed = true, "", true
		return one, os.WriteFile(path, r.Text, 0o644)
	}
	return one, nil
}

func verdictOf(all []played) int {
	if slices.ContainsFunc(all, func(p played) bool { return !p.OK }) {
		return exitInput
	}
	return exitOK
}

func tell(s streams, all []played) int {
	bad := 0
	for _, p := range all {
		switch {
		case p.Error != "":
			fmt.Fprintf(s.out, "FAIL %s: %s\n", p.File, strings.TrimPrefix(p.Error, p.File+": "))
		case p.Diff != "":
			fmt.Fprintf(s.out, "FAIL %s\n%s", p.File, p.Diff)
		case p.changed:
			fmt.Fprintf(s.out, "ok   %s, which was changed\n", p.File)
		default:
			fmt.Fprintf(s.out, "ok   %s\n", p.File)
		}
		if !p.OK {
			bad++
		}
	}
	if bad > 0 {
		fmt.Fprintf(s.out, "\n%d of %s failed; -update writes what came out\n", bad, count(len(all), "file"))
	}
	return verdictOf(all)
}
