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
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "connectconformance"), "--mode", "server",
		"--conf", "connect.yaml", "--known-failing", "@connect-known-failing.txt", "--",
		filepath.Join(bin, "server"), "-gateway", filepath.Join(bin, "headgate"), "-reference", filepath.Join(bin, "referenceserver"))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%v", err)
	}
	m := regexp.MustCompile(`(?s)Total cases: (\d+)\n.*`).FindSubmatch(out.Bytes())
	if m == nil {
		t.Fatalf("there is no result:\n%s", out.Bytes())
	}
	t.Logf("%s", m[0])
	if n, _ := strconv.Atoi(string(m[1])); n < least {
		t.Errorf("%d cases, of at least %d", n, least)
	}
	if t.Failed() {
		t.Logf("%s", out.Bytes())
	}
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
