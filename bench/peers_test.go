package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/headgate/headgate/test/need"
)

// TestPeerConfigurations has each peer check the configuration that it is
// measured with.
func TestPeerConfigurations(t *testing.T) {
	abs := func(name string) string {
		p, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"backend": {"nginx", "-t", "-p", dir, "-c", abs("backend.conf")},
		"nginx":   {"nginx", "-t", "-p", dir, "-c", abs("nginx.conf")},
		"haproxy": {"haproxy", "-c", "-f", abs("haproxy.cfg")},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(need.Program(t, args[0]), args[1:]...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
