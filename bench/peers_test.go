//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/headgate/headgate/test/need"
)

// TestConfigurations has each program check the configuration that it is
// measured with.
func TestConfigurations(t *testing.T) {
	c, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range append(gateways("headgate"), backend()) {
		t.Run(g.name, func(t *testing.T) {
			if g.check == nil {
				t.Skip("it has no check; make bench runs it")
			}
			path, err := program(g.check[0], filepath.Join("out", "peers"))
			switch {
			case g.name == "headgate":
				path = built(t)
			case err == nil:
			case slices.Contains([]string{"envoy", "caddy"}, g.name):
				t.Skip("make bench-peers has not been run, which CI does not")
			default:
				path = need.Program(t, g.check[0])
			}
			cmd := exec.Command(path, g.check[1:]...)
			cmd.Dir = t.TempDir()
			if err := furnish(g, ".", cmd.Dir, c); err != nil {
				t.Fatal(err)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// built compiles headgate.
func built(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "headgate")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/headgate")
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}
