package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headgate/headgate/test/need"
)

// page is the fenced blocks of a page of the documentation: language and text.
type page [][2]string

// readPage reads the blocks of a page up to a heading.
func readPage(t *testing.T, path, end string) (p page) {
	t.Helper()
	text, _, ok := strings.Cut(readFile(t, path), end)
	if !ok {
		t.Fatalf("%s has no %q", path, end)
	}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		p = append(p, [2]string{m[1], m[2]})
	}
	return p
}

// walk follows a page: the blocks of the shell run one after the other.
type walk struct {
	t       *testing.T
	dir     string // where the shell is
	bin     string // where headgate is
	replace *strings.Replacer
	running *exec.Cmd
}

func (w *walk) command(script string) *exec.Cmd {
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "PATH="+w.bin+":"+os.Getenv("PATH"))
	return cmd
}

func (w *walk) run(block string) string {
	w.t.Helper()
	where := filepath.Join(w.bin, "where")
	out, err := w.command(w.replace.Replace(block) + "\npwd > " + where).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s\n%v\n%s", block, err, out)
	}
	w.dir = strings.TrimSpace(readFile(w.t, where))
	return string(out)
}

// serve starts a block that does not end, and waits for what it listens on.
func (w *walk) serve(block, address string) {
	w.t.Helper()
	w.running = w.command("exec " + w.replace.Replace(block))
	if err := w.running.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.eventually(address+" is not listened on", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (w *walk) eventually(problem string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatal(problem)
		}
	}
}

func (w *walk) stop() {
	if w.running != nil {
		_ = w.running.Process.Signal(syscall.SIGTERM)
		_ = w.running.Wait() // it was told to end
	}
}

// free returns addresses that nobody listens on.
func free(t *testing.T, n int) (addresses []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

// TestWriteAPlugin follows docs/write-a-plugin.md to the letter, but for the ports and
// where the SDK is.
func TestWriteAPlugin(t *testing.T) {
	need.Program(t, "curl")
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "headgate"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := readPage(t, "../../docs/write-a-plugin.md", "## Ask a service")
	for _, c := range []struct {
		language, source string
		need             func(*testing.T)
	}{
		{"go", "main.go", func(*testing.T) {}},
		{"c", "hello.c", func(t *testing.T) { need.Full(t); need.Program(t, "clang-19"); need.Program(t, "wasm-ld-19") }},
		{"as", "assembly/index.ts", func(t *testing.T) { need.Full(t); need.Program(t, "npm") }},
		{"rust", "src/lib.rs", func(t *testing.T) {
			need.Full(t)
			need.File(t, "/usr/share/doc/rust-web-src", "apt-get install rust-web-src")
		}},
	} {
		t.Run(c.language, func(t *testing.T) {
			c.need(t)
			follow(t, p, bin, c.language, c.source)
		})
	}
}

func follow(t *testing.T, p page, bin, language, source string) {
	sdk, err := filepath.Abs("../../sdk")
	if err != nil {
		t.Fatal(err)
	}
	at := free(t, 3)
	w := &walk{t: t, dir: t.TempDir(), bin: bin, replace: strings.NewReplacer(
		"plugin new hello", fmt.Sprintf("plugin new -lang %s -sdk %s hello", language, sdk),
		"127.0.0.1:8080", at[0], "plugin run", "plugin run -backend "+at[1],
	)}
	defer w.stop()
	var last string
	for _, b := range p {
		kind, text := b[0], b[1]
		switch {
		case kind == "text" && !strings.HasSuffix(last, text):
			t.Errorf("it prints\n%s\nand not\n%s", last, text)
		case kind == "go" && language == "go" && readFile(t, filepath.Join(w.dir, source)) != text:
			t.Errorf("%s is not as on the page", source)
		case kind != "sh":
		case strings.HasPrefix(text, "headgate plugin run"):
			for i, port := range []string{"8080", "8081", "9901"} {
				rewrite(t, filepath.Join(w.dir, "gateway.hcl"), "127.0.0.1:"+port, at[i])
			}
			w.serve(text, at[0])
		case strings.HasPrefix(text, "curl"):
			if got := w.run(text); !strings.Contains(got, "x-greeted: Ada") || !strings.Contains(got, "X-Greeting: good morning, Ada") {
				t.Errorf("%s\n%s", text, got)
			}
			// "Edit it and save."
			rewrite(t, filepath.Join(w.dir, source), "x-greeted", "x-saluted")
			w.eventually("the gateway did not take the edited plugin over", func() bool {
				return strings.Contains(w.run(text), "x-saluted: Ada")
			})
		default:
			last = w.run(text)
		}
	}
	if got := readFile(t, filepath.Join(w.dir, "testdata", "greeting.txtar")); !strings.Contains(got, "x-greeting: hello, Grace") {
		t.Errorf("the test became\n%s", got)
	}
}
