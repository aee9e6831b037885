package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/gateway"
	"github.com/headgate/headgate/test/need"
)

// TestExampleTLS runs the example as it is, but for its ports, and types what its
// README shows.
func TestExampleTLS(t *testing.T) {
	need.Program(t, "openssl")
	need.Program(t, "curl")
	dir := filepath.Join(t.TempDir(), "tls")
	if err := os.CopyFS(dir, os.DirFS("../../examples/tls")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", filepath.Join(dir, "certificates.sh")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file := filepath.Join(dir, "gateway.hcl")
	text := readFile(t, file)
	for _, port := range []string{":8443", ":9443", ":9901"} {
		if strings.Count(text, port) != 1 {
			t.Fatalf("gateway.hcl names %s %d times", port, strings.Count(text, port))
		}
		text = strings.Replace(text, port, ":0", 1)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log demoOutput
	g, err := gateway.Start(t.Context(), gateway.Options{
		Source: config.Source{Paths: []string{dir}, Env: os.LookupEnv}, Stdout: &log, Stderr: &log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := g.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	port := func(listener string) string {
		_, p, _ := net.SplitHostPort(g.Addrs()[listener].String())
		return p
	}
	ports := strings.NewReplacer("8443", port("public"), "9443", port("partners"))
	typed := 0
	for part := range strings.SplitSeq(readFile(t, filepath.Join(dir, "README.md")), "```\n") {
		command, want, ok := strings.Cut(strings.TrimPrefix(part, "$ "), "\n")
		if !ok || !strings.HasPrefix(part, "$ ") {
			continue
		}
		typed++
		cmd := exec.CommandContext(t.Context(), "sh", "-c", ports.Replace(command))
		cmd.Dir = dir
		if out, err := cmd.Output(); err != nil || string(out) != want {
			t.Errorf("%s: %v, %q", command, err, out)
		}
	}
	if typed != 6 {
		t.Errorf("%d commands were typed", typed)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
