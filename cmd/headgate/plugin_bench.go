package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/headgate/headgate/cmd/headgate/internal/golden"
	"github.com/headgate/headgate/runtime/gateway"
)

const pluginBenchUsage = `
Play each exchange of a plugin's testdata/*.txtar again and again, and tell the
time, the fuel (about instructions) and the memory of the instance. It is the
plugin's part of an exchange: no gateway, no network. State stays from one run to
the next, so that a limit on a rate is soon reached.

  headgate plugin bench
  headgate plugin bench -time 3s -module hello.wasm testdata/hello.txtar
`

// benched is what bench prints with -o json for one file.
type benched struct {
	File      string        `json:"file"`
	Exchanges []golden.Cost `json:"exchanges"`
}

func runPluginBench(args []string, s streams) int {
	f := newFlags("plugin bench", pluginBenchUsage)
	in := f.input()
	module := f.String("module", "", "a module `file` that is built already")
	span := f.Duration("time", time.Second, "how long to play each exchange")
	format := f.format()
	rest, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case !knownFormat(*format):
		return f.misuse(s, "there is no output format %q; write text or json", *format)
	case *span < 0:
		return f.misuse(s, "the time is negative")
	}
	g := goldenRun{module: *module, cache: in.cache, name: "plugin bench"}
	if err := g.find(rest); err != nil {
		return refuse(s, g.name, err)
	}
	if g.module == "" {
		made, cleanup, code := buildTemp(s, goldenDir(rest))
		defer cleanup()
		if code != exitOK {
			return code
		}
		g.module = made
	}
	all, err := g.bench(background(), *span)
	if err != nil {
		return refuse(s, g.name, err)
	}
	if *format == "json" {
		return writeJSON(s.out, all)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "ns\tfuel\tmemory\texchange\t")
	for _, b := range all {
		for _, c := range b.Exchanges {
			fmt.Fprintf(t, "%.0f\t%.0f\t%s\t%s\t%s\n", c.Nanos, c.Fuel, size(int(c.Memory)), c.Exchange, "  "+b.File)
		}
	}
	if t.Flush() != nil {
		return exitRuntime
	}
	return exitOK
}

func (g *goldenRun) bench(ctx context.Context, span time.Duration) (all []benched, err error) {
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
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		f, err := golden.Parse(path, text)
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(text), "-- refused --") {
			continue // it has no exchange
		}
		costs, err := p.Bench(ctx, f, span)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, benched{path, costs})
	}
	return all, nil
}
