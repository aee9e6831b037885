package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/headgate/headgate/cmd/headgate/internal/toolchain"
)

const pluginBuildUsage = `
Compile a plugin with the flags that plugins need, put the schema of its
configuration into the module, and tell what takes how much room. The language is
that of the folder: go.mod, Cargo.toml, package.json with assemblyscript, or *.c.
The schema is that of the Config types in Go, and of schema.json otherwise.

  headgate plugin build
  headgate plugin build -out /etc/headgate/hello.wasm ./hello
`

// built is what build prints with -o json.
type built struct {
	Module   string         `json:"module"`
	Language string         `json:"language"`
	Bytes    int            `json:"bytes"`
	Seconds  float64        `json:"seconds"`
	Schema   bool           `json:"schema"`
	Sections []sectionBytes `json:"sections"`
}

type sectionBytes struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

func runPluginBuild(args []string, s streams) int {
	f := newFlags("plugin build", pluginBuildUsage)
	out := f.String("out", "", "the `file` to write; NAME.wasm in the folder unless it is given")
	format := f.format()
	rest, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(rest) > 1:
		return f.misuse(s, "name one folder")
	case !knownFormat(*format):
		return f.misuse(s, "there is no output format %q; write text or json", *format)
	}
	p, err := openProject(rest)
	if err != nil {
		return refuse(s, "plugin build", err)
	}
	if *out == "" {
		*out = p.Module()
	}
	start := time.Now()
	if code := build(background(), s, p, *out); code != exitOK {
		return code
	}
	b := built{Module: *out, Language: string(p.Language), Seconds: time.Since(start).Seconds()}
	if err := b.measure(); err != nil {
		return refuse(s, "plugin build", err)
	}
	if *format == "json" {
		return writeJSON(s.out, b)
	}
	b.print(s.out)
	return exitOK
}

// openProject opens the folder that a command names, or the current one.
func openProject(args []string) (*toolchain.Project, error) {
	dir := "."
	if len(args) > 0 {
		dir = args[0]
	}
	return toolchain.Open(dir)
}

// build compiles a project, and shows what the compiler says if it fails.
func build(ctx context.Context, s streams, p *toolchain.Project, out string) int {
	err := p.Build(ctx, out)
	var wrong *toolchain.CompileError
	var missing *toolchain.MissingError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		fmt.Fprintf(s.err, "%s\n%s", wrong.Command, wrong.Output)
		return exitInput
	case errors.As(err, &missing):
		fmt.Fprintf(s.err, "headgate plugin build: %v\n", err)
		return exitRuntime
	}
	return refuse(s, "plugin build", err)
}

// measure reads the module that was written.
func (b *built) measure() error {
	wasm, err := os.ReadFile(b.Module)
	if err != nil {
		return err
	}
	sections, err := toolchain.Sections(wasm)
	if err != nil {
		return err
	}
	b.Bytes, b.Schema = len(wasm), toolchain.Custom(sections, toolchain.SchemaSection) != nil
	for _, x := range sections {
		b.Sections = append(b.Sections, sectionBytes{x.Name, x.Size})
	}
	return nil
}

func (b *built) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s of %s in %.1f s", shorter(b.Module), size(b.Bytes), b.Language, b.Seconds)
	if b.Schema {
		fmt.Fprint(w, ", with the schema of its configuration")
	}
	fmt.Fprintln(w)
	var small int
	for _, x := range b.Sections {
		if x.Bytes*100 < b.Bytes && x.Name != toolchain.SchemaSection {
			small += x.Bytes
			continue
		}
		fmt.Fprintf(w, "  %-16s %10s %3d%%\n", x.Name, size(x.Bytes), x.Bytes*100/b.Bytes)
	}
	if small > 0 {
		fmt.Fprintf(w, "  %-16s %10s\n", "others", size(small))
	}
}

// shorter is a path from the current folder if that is shorter.
func shorter(path string) string {
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(dir, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}

func size(n int) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
