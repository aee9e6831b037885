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

// filterName is what -scenario calls the contest of gateways with the same
// proxy-wasm filter: it reads two header fields and sets one.
const filterName = "filter, GET 1 KiB"

// guests are the modules, by the language that they are written in, with what
// builds each of them.
type guest struct {
	language string
	build    func(sources, out string) *exec.Cmd
	made     string // below out
}

func guests() []guest {
	return []guest{
		{"C", func(sources, out string) *exec.Cmd {
			return exec.Command("clang-19", "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-o", filepath.Join(out, "c.wasm"), filepath.Join(sources, "c", "guest.c"))
		}, "c.wasm"},
		{"Rust", func(sources, out string) *exec.Cmd {
			c := exec.Command("/usr/bin/cargo", "build", "--release", "--locked", "--target", "wasm32-unknown-unknown", "-Z", "build-std=std,panic_abort")
			c.Dir = filepath.Join(sources, "rust")
			c.Env = append(os.Environ(), "PATH=/usr/bin:/bin", "RUSTC=/usr/bin/rustc", "RUSTC_BOOTSTRAP=1", "RUSTFLAGS=-C linker=/usr/bin/wasm-ld-19", "CARGO_TARGET_DIR="+out)
			return c
		}, "wasm32-unknown-unknown/release/guest.wasm"},
	}
}

// contestants lists the gateways without a filter and with it.
func contestants(headgate string, modules map[string]string) []gateway {
	ours := gateway{
		name: "headgate", plain: "127.0.0.1:18083", files: []string{"headgate.hcl"}, env: two(), command: []string{headgate, "run", "headgate.hcl"},
	}
	envoy := func(config string) []string {
		return []string{"envoy", "-c", config, "--concurrency", "2", "--disable-hot-restart", "-l", "error"}
	}
	list := []gateway{ours, {name: "envoy", plain: "127.0.0.1:18084", files: []string{"envoy.yaml"}, command: envoy("envoy.yaml")}}
	// Each has its own addresses: all run at once.
	for i, g := range guests() {
		path, ok := modules[g.language]
		if !ok {
			continue
		}
		address := []string{"127.0.0.1:18088", "127.0.0.1:18089"}[i]
		other := []string{"127.0.0.1:18098", "127.0.0.1:18099"}[i]
		config := []string{"envoy-filter-1.yaml", "envoy-filter-2.yaml"}[i]
		built := map[string]string{"guest.wasm": path}
		list = append(list, gateway{
			name: "headgate, " + g.language, plain: address, files: []string{"filter.hcl"}, built: built, env: two(),
			command: []string{headgate, "run", "-var", "address=" + address, "filter.hcl"},
		}, gateway{name: "envoy, " + g.language, plain: other, files: []string{config}, built: built, command: envoy(config)})
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
	for _, g := range contestants(b.headgate, modules) {
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
	sources := filepath.Join(b.dir, "..", "host", "abi", "proxywasm", "testdata")
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
