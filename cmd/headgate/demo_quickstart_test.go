package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/cmd/headgate/internal/demo"
	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/gateway"
	"github.com/headgate/headgate/test/script"
)

const quickstart = "../../examples/quickstart"

// TestQuickstart runs the quickstart as it is, but for its ports, in front of
// the demo backends, and sends it the requests that its documentation shows.
func TestQuickstart(t *testing.T) {
	backends, err := demo.Start(demo.Addresses{Orders: "127.0.0.1:0", Users: "127.0.0.1:0", Stock: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := backends.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(t.TempDir(), "quickstart")
	if err := os.CopyFS(dir, os.DirFS(quickstart)); err != nil {
		t.Fatal(err)
	}
	buildTenant(t, filepath.Join(dir, "tenant.wasm"))
	a, std := backends.Addresses(), demo.Defaults()
	file := filepath.Join(dir, "gateway.hcl")
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(src)
	for _, edit := range [][2]string{
		{std.Orders, a.Orders}, {std.Users, a.Users}, {std.Stock, a.Stock},
		{"127.0.0.1:8080", "127.0.0.1:0"}, {"127.0.0.1:9901", "127.0.0.1:0"},
	} {
		if strings.Count(text, edit[0]) != 1 {
			t.Fatalf("gateway.hcl names %s %d times", edit[0], strings.Count(text, edit[0]))
		}
		text = strings.Replace(text, edit[0], edit[1], 1)
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
	script.Run(t, "http://"+g.Addrs()["public"].String(), filepath.Join(dir, "requests.txt"))
}

// buildTenant compiles the plugin as make does.
func buildTenant(t *testing.T, out string) {
	t.Helper()
	out, err := filepath.Abs(out)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-buildmode=c-shared", "-o", out, "./examples/tenant")
	cmd.Dir = "../../sdk/go"
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
}
