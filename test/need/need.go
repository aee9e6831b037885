// Package need tells tests what the machine must have. It knows nothing of the
// gateway.
package need

import (
	"os"
	"os/exec"
	"testing"
)

// Program returns the path of a program. A test that lacks one is skipped by
// name; in CI, which installs them all, it fails instead.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	lack(t, name+" is not installed")
	return ""
}

// File makes sure that a file which another step makes is there.
func File(t testing.TB, path, step string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		lack(t, path+" is missing; "+step+" makes it")
	}
}

// Full skips a test that takes too long for every run; make test-full sets
// HEADGATE_FULL.
func Full(t testing.TB) {
	t.Helper()
	if os.Getenv("HEADGATE_FULL") == "" {
		t.Skip("slow: runs in make test-full")
	}
}

func lack(t testing.TB, what string) {
	t.Helper()
	if ci := os.Getenv("CI"); ci != "" && ci != "false" && ci != "0" {
		t.Fatal(what)
	}
	t.Skip(what)
}
