package gateway_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/need"
)

// rustGuest builds a filter with the crate proxy-wasm, by Debian's toolchain.
func rustGuest(t testing.TB) string {
	need.File(t, "/usr/share/doc/rust-web-src", "apt-get install rust-web-src")
	need.Program(t, "wasm-ld-19")
	out := t.TempDir()
	cmd := exec.Command("/usr/bin/cargo", "build", "--release", "--locked", "--target", "wasm32-unknown-unknown", "-Z", "build-std=std,panic_abort")
	cmd.Dir = filepath.Join("..", "..", "host", "abi", "proxywasm", "testdata", "rust")
	cmd.Env = append(os.Environ(), "PATH=/usr/bin:/bin", "RUSTC=/usr/bin/rustc", "RUSTC_BOOTSTRAP=1", "RUSTFLAGS=-C linker=/usr/bin/wasm-ld-19", "CARGO_TARGET_DIR="+out)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cargo: %v\n%s", err, text)
	}
	return filepath.Join(out, "wasm32-unknown-unknown", "release", "guest.wasm")
}

// scriptGuest builds a filter with the SDK of npm for AssemblyScript.
func scriptGuest(t testing.TB) string {
	npm := need.Program(t, "npm")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "host", "abi", "proxywasm", "testdata", "as"))); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{npm, "ci", "--no-audit", "--no-fund"}, {filepath.Join(dir, "node_modules", ".bin", "asc"), "index.ts", "-o", "guest.wasm"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, text)
		}
	}
	return filepath.Join(dir, "guest.wasm")
}

// cGuest builds a filter that uses no library.
func cGuest(t testing.TB) string {
	clang := need.Program(t, "clang-19")
	out := filepath.Join(t.TempDir(), "guest.wasm")
	source := filepath.Join("..", "..", "host", "abi", "proxywasm", "testdata", "c", "guest.c")
	if text, err := exec.Command(clang, "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-o", out, source).CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, text)
	}
	return out
}

// sdkRig starts a gateway with a route for each mode of a guest.
func sdkRig(t *testing.T, wasm, root string, modes ...string) *rig {
	var b strings.Builder
	fmt.Fprintf(&b, "upstream \"app\" {\n endpoint %q {}\n}\nupstream \"auth\" {\n endpoint %q {}\n}\n", backend(t, told), backend(t, authService))
	fmt.Fprintf(&b, "plugin \"guest\" {\n source = %q\n filter = %q\n allow {\n fetch = [upstream.auth]\n }\n}\n", wasm, root)
	for _, mode := range modes {
		fmt.Fprintf(&b, "route %q {\n path_prefix = \"/%s\"\n filter \"guest\" { config = %q }\n upstream = upstream.app\n}\n", mode, mode, mode)
	}
	return start(t, map[string]string{"routes.hcl": b.String()})
}

// TestProxyWasmSDKs runs filters that are written with the SDKs for Envoy.
func TestProxyWasmSDKs(t *testing.T) {
	for _, sdk := range []struct {
		name, root, field string
		build             func(testing.TB) string
		modes             []string
	}{
		{"c", "", "X-C", cGuest, []string{"headers", "reply", "body", "panic"}},
		{"rust", "", "X-Rust", rustGuest, []string{"headers", "reply", "call", "body", "panic"}},
		{"as", "as", "X-As", scriptGuest, []string{"headers", "reply", "body"}},
	} {
		t.Run(sdk.name, func(t *testing.T) {
			if sdk.name != "c" { // which is built in no time
				need.Full(t)
			}
			r := sdkRig(t, sdk.build(t), sdk.root, sdk.modes...)
			status, h, body := r.get("/headers/a?b", "x-in: in", "x-gone: 1")
			if status != 200 || !strings.Contains(body, sdk.field+": /headers/a?b in\n") || strings.Contains(body, "X-Gone") || h.Get("x-from") != sdk.name {
				t.Errorf("headers: %d %q %v", status, body, h)
			}
			if status, h, body = r.get("/reply/"); status != 403 || body != "no entry\n" || h.Get("x-why") != "because" {
				t.Errorf("reply: %d %q %v", status, body, h)
			}
			text := strings.Repeat("hello ", 20_000)
			if status, _, body = r.do("POST", "/body/", text); status != 200 || !strings.Contains(body, strings.ToUpper(text)) {
				t.Errorf("body: %d %.300q", status, body)
			}
			if !strings.Contains(r.log.String(), "request") {
				t.Error("the plugin's line is not in the log")
			}
			if sdk.name == "as" {
				return
			}
			if status, _, _ = r.get("/panic/"); status != 500 {
				t.Errorf("panic: %d", status)
			}
			if status, _, _ = r.get("/headers/"); status != 200 {
				t.Errorf("after it: %d", status)
			}
			if sdk.name == "c" {
				return
			}
			if status, _, body = r.get("/call/"); status != 200 || !strings.Contains(body, "X-User: /check said ping") {
				t.Errorf("call: %d %q", status, body)
			}
			if status, _, body = r.do("POST", "/body/", "x"); !strings.Contains(body, "SENT ") {
				t.Errorf("response body: %d %q", status, body)
			}
		})
	}
}
