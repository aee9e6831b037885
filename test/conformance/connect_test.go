//go:build linux

// Package conformance runs the conformance suites of others against a gateway. It
// is a module of its own, so that what they need is no dependency of the gateway.
package conformance

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// least is how many cases there are at least: fewer means that the suite did not
// run as meant.
const least = 5000

// TestConnect runs gRPC, gRPC-Web and Connect over HTTP/1.1, HTTP/2 and HTTP/3
// through a gateway, from the reference client of connectrpc.com/conformance to
// its reference server.
func TestConnect(t *testing.T) {
	if os.Getenv("HEADGATE_FULL") == "" {
		t.Skip("slow: runs in make test-full")
	}
	bin := t.TempDir()
	build(t, ".", bin, "./server", "connectrpc.com/conformance/cmd/connectconformance", "connectrpc.com/conformance/cmd/referenceserver")
	build(t, "../..", bin, "./cmd/headgate")
	out, err := connect(bin)
	m := regexp.MustCompile(`(?s)Total cases: (\d+)\n.*`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("there is no result:\n%s", out)
	}
	t.Logf("%s", m[0])
	if n, _ := strconv.Atoi(string(m[1])); n < least {
		t.Errorf("%d cases, of at least %d", n, least)
	}
	// The cases of timeouts leave the whole way 200 ms, which a busy machine may
	// take for itself. They have to pass when they have it for themselves.
	others := regexp.MustCompile(`FAILED: [^T]|FAILED: T[^i]`).Match(out)
	if err != nil && !others && bytes.Contains(out, []byte("FAILED: Timeouts/")) {
		t.Log("timeouts again, alone")
		out, err = connect(bin, "--run", "Timeouts/**", "--parallel", "1")
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// connect runs the suite through a gateway and returns what it printed.
func connect(bin string, flags ...string) (out []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	flags = append(flags, "--mode", "server", "--conf", "connect.yaml", "--known-failing", "@connect-known-failing.txt", "--",
		filepath.Join(bin, "server"), "-gateway", filepath.Join(bin, "headgate"), "-reference", filepath.Join(bin, "referenceserver"))
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "connectconformance"), flags...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.CombinedOutput()
}

// build builds programs of the module in dir.
func build(t *testing.T, dir, bin string, programs ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"build", "-o", bin + "/"}, programs...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
