package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"

	"github.com/headgate/headgate/cmd/headgate/internal/devserver"
	"github.com/headgate/headgate/cmd/headgate/internal/toolchain"
	"github.com/headgate/headgate/runtime/gateway"
)

const pluginRunUsage = `
Build a plugin and serve the gateway.hcl of its folder, with a backend that answers
with the request as it came. When a source changes, the plugin is built again and
the gateway takes the new module; one that does not compile changes nothing.

  headgate plugin run
  headgate plugin run -backend 127.0.0.1:9000 ./hello
  curl -i -H 'x-name: Ada' http://127.0.0.1:8080/
`

func runPluginRun(args []string, s streams) int {
	f := newFlags("plugin run", pluginRunUsage)
	in := f.input()
	backend := f.String("backend", "127.0.0.1:8081", "`address` of the backend that echoes; \"\" starts none")
	rest, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(rest) > 1:
		return f.misuse(s, "name one folder")
	}
	p, err := openProject(rest)
	if err != nil {
		return refuse(s, "plugin run", err)
	}
	stop, err := startEcho(*backend)
	if err != nil {
		fmt.Fprintf(s.err, "headgate plugin run: the backend can't be started: %v\n", err)
		return exitRuntime
	}
	defer stop()
	return servePlugin(background(), p, in, s)
}

// startEcho serves the backend until stop is called.
func startEcho(address string) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(devserver.Echo)}
	var wait sync.WaitGroup
	wait.Go(func() { _ = server.Serve(l) }) // it ends with Close
	return func() {
		_ = server.Close()
		wait.Wait()
	}, nil
}

// servePlugin builds once, and again with every change, while the gateway serves.
func servePlugin(ctx context.Context, p *toolchain.Project, in *input, s streams) int {
	if code := build(ctx, s, p, p.Module()); code != exitOK {
		return code
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		devserver.Watch(ctx, p.Dir, func() {
			if build(ctx, s, p, p.Module()) == exitOK {
				fmt.Fprintf(s.err, "%s is built\n", shorter(p.Module()))
			}
		})
	})
	err := gateway.Run(ctx, in.options([]string{filepath.Join(p.Dir, "gateway.hcl")}, s))
	cancel()
	watching.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return report(err, "plugin run", s)
	}
	return exitOK
}
