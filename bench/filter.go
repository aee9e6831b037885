//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// filterName is what -scenario calls the contest of gateways with the same filter,
// for proxy-wasm or http-wasm: it reads two header fields and sets one.
const filterName = "filter, GET 1 KiB"

// httpWasm is the guest that is for http-wasm, which Traefik has and Envoy has not.
const httpWasm = "http-wasm"

// guest is a module for proxy-wasm, by the language that it is written in, or
// httpWasm, with what builds it.
type guest struct {
	language string
	build    func(sources, out string) *exec.Cmd
	made     string // below out
}

func guests() []guest {
	return []guest{
		{httpWasm, func(sources, out string) *exec.Cmd {
			return exec.Command("clang-19", "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-o", filepath.Join(out, "http-wasm.wasm"), filepath.Join(sources, "native", "testdata", "guest.c"))
		}, "http-wasm.wasm"},
		{"C", func(sources, out string) *exec.Cmd {
			return exec.Command("clang-19", "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-o", filepath.Join(out, "c.wasm"), filepath.Join(sources, "proxywasm", "testdata", "c", "guest.c"))
		}, "c.wasm"},
		{"Rust", func(sources, out string) *exec.Cmd {
			c := exec.Command("/usr/bin/cargo", "build", "--release", "--locked", "--target", "wasm32-unknown-unknown", "-Z", "build-std=std,panic_abort")
			c.Dir = filepath.Join(sources, "proxywasm", "testdata", "rust")
			c.Env = append(os.Environ(), "PATH=/usr/bin:/bin", "RUSTC=/usr/bin/rustc", "RUSTC_BOOTSTRAP=1", "RUSTFLAGS=-C linker=/usr/bin/wasm-ld-19", "CARGO_TARGET_DIR="+out)
			return c
		}, "wasm32-unknown-unknown/release/guest.wasm"},
	}
}

// contestants lists the gateways without a filter and with it.
func contestants(headgate, conf string, modules map[string]string) []gateway {
	ours := gateway{
		name: "headgate", plain: "127.0.0.1:18083", files: []string{"headgate.hcl"}, env: two(), command: []string{headgate, "run", "headgate.hcl"},
	}
	envoy := func(config string) []string {
		return []string{"envoy", "-c", config, "--concurrency", "2", "--disable-hot-restart", "-l", "error"}
	}
	list := []gateway{
		ours, {name: "envoy", plain: "127.0.0.1:18084", files: []string{"envoy.yaml"}, command: envoy("envoy.yaml")},
		{name: "traefik", plain: "127.0.0.1:18086", env: two(), files: []string{"traefik.yaml", "traefik-routes.yaml"}, command: []string{"traefik", "--configFile=traefik.yaml"}},
	}
	// Each has its own addresses: all run at once.
	for i, g := range guests() {
		path, ok := modules[g.language]
		if !ok {
			continue
		}
		address := []string{"127.0.0.1:18088", "127.0.0.1:18089", "127.0.0.1:18090"}[i]
		list = append(list, gateway{
			name: "headgate, " + g.language, plain: address, files: []string{"filter.hcl"}, built: map[string]string{"guest.wasm": path}, env: two(),
			command: []string{headgate, "run", "-var", "address=" + address, "filter.hcl"},
		})
		if g.language == httpWasm {
			const plugin = "plugins-local/src/github.com/headgate/guest/"
			list = append(list, gateway{
				name: "traefik, " + g.language, plain: "127.0.0.1:18101", env: two(), files: []string{"traefik-filter.yaml", "traefik-filter-routes.yaml"},
				built:   map[string]string{plugin + "plugin.wasm": path, plugin + ".traefik.yml": filepath.Join(conf, "traefik-plugin.yaml")},
				command: []string{"traefik", "--configFile=traefik-filter.yaml"},
			})
			continue
		}
		config := []string{"", "envoy-filter-1.yaml", "envoy-filter-2.yaml"}[i]
		list = append(list, gateway{
			name: "envoy, " + g.language, plain: []string{"", "127.0.0.1:18098", "127.0.0.1:18099"}[i], files: []string{config},
			built: map[string]string{"guest.wasm": path}, command: envoy(config),
		})
	}
	return list
}

// filtered runs the contest.
func (b *bench) filtered(ctx context.Context) ([]result, error) {
	if !b.filters {
		return nil, nil
	}
	modules, err := b.modules()
	if err != nil || len(modules) == 0 {
		return nil, err
	}
	var gateways []gateway
	for _, g := range contestants(b.headgate, b.dir, modules) {
		path, err := program(g.command[0], filepath.Join(b.out, "peers"))
		if err != nil {
			fmt.Fprintf(b.stdout, "%s is not installed and passed over\n", g.name)
			continue
		}
		g.command = append([]string{path}, g.command[1:]...)
		gateways = append(gateways, g)
	}
	return b.measure(ctx, gateways, []scenario{{name: filterName, load: func(ctx context.Context, g gateway, d time.Duration) (report, error) {
		return wrk(ctx, "http://"+g.plain+"/", b.conns, d, nil)
	}}})
}

// modules builds the filter in the languages whose compilers are there.
func (b *bench) modules() (map[string]string, error) {
	out, err := filepath.Abs(filepath.Join(b.out, "guests"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	sources := filepath.Join(b.dir, "..", "host", "abi")
	made := map[string]string{}
	for _, g := range guests() {
		if text, err := g.build(sources, out).CombinedOutput(); err != nil {
			fmt.Fprintf(b.stdout, "the filter in %s can't be built and is passed over: %v %.300s\n", g.language, err, text)
			continue
		}
		made[g.language] = filepath.Join(out, g.made)
	}
	return made, nil
}
