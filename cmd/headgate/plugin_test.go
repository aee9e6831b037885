package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/need"
)

// newPlugin makes a project with the SDK of this checkout.
func newPlugin(t *testing.T, language string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "hello")
	if code, out, err := call("", "plugin", "new", "-lang", language, "-sdk", "../../sdk", dir); code != exitOK || !strings.Contains(out, "headgate plugin test") {
		t.Fatalf("exit %d\n%s%s", code, out, err)
	}
	return dir
}

// rewrite replaces text in a file.
func rewrite(t *testing.T, path, before, after string) {
	t.Helper()
	text := readFile(t, path)
	if !strings.Contains(text, before) {
		t.Fatalf("%s does not have %q", path, before)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(text, before, after, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestPluginWorkflow(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := newPlugin(t, "go")
	module := filepath.Join(dir, "hello.wasm")
	steps := []struct {
		name   string
		before func()
		args   []string
		code   int
		want   string
	}{
		{"build", nil, []string{"build", dir}, exitOK, "with the schema"},
		{"test", nil, []string{"test", "-module", module, dir}, exitOK, "ok   "},
		{"a changed expectation", func() {
			rewrite(t, filepath.Join(dir, "testdata", "hello.txtar"), "good morning, Ada", "good night, Ada")
		},
			[]string{"test", "-module", module, dir}, exitInput, "-x-greeting: good night, Ada\n+x-greeting: good morning, Ada\n"},
		{"json", nil, []string{"test", "-o", "json", "-module", module, dir}, exitInput, `"ok": false`},
		{"update", nil, []string{"test", "-update", "-module", module, dir}, exitOK, "which was changed"},
		{"updated", nil, []string{"test", "-module", module, filepath.Join(dir, "testdata", "hello.txtar")}, exitOK, "ok   "},
		{"a part that is not one", func() { rewrite(t, filepath.Join(dir, "testdata", "refused.txtar"), "-- refused --", "-- refuse --") },
			[]string{"test", "-module", module, dir}, exitInput, "there is no such part"},
		{"not a module", func() { rewrite(t, module, "\x00asm", "asm\x00") }, []string{"test", "-module", module, dir}, exitInput, "not a usable WebAssembly module"},
		{"a mistake", func() { rewrite(t, filepath.Join(dir, "main.go"), "return headgate.Continue", "return 0 +") }, []string{"build", dir}, exitInput, "main.go:"},
	}
	for _, s := range steps {
		if s.before != nil {
			s.before()
		}
		code, out, err := call("", append([]string{"plugin"}, s.args...)...)
		if code != s.code || !strings.Contains(out+err, s.want) {
			t.Errorf("%s: exit %d\n%s%s", s.name, code, out, err)
		}
	}
}

// TestPluginLanguages makes a project in each language, which passes its tests at
// once.
func TestPluginLanguages(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, c := range []struct {
		language string
		programs []string
		slow     bool // it compiles its standard library, too
	}{
		{"c", []string{"clang-19", "wasm-ld-19"}, false},
		{"as", []string{"npm"}, false},
		{"rust", []string{"wasm-ld-19"}, true},
	} {
		t.Run(c.language, func(t *testing.T) {
			if c.slow {
				need.Full(t)
				need.File(t, "/usr/share/doc/rust-web-src", "apt-get install rust-web-src")
			}
			for _, p := range c.programs {
				need.Program(t, p)
			}
			dir := newPlugin(t, c.language)
			if code, out, err := call("", "plugin", "test", dir); code != exitOK || strings.Count(out, "ok   ") != 2 {
				t.Fatalf("exit %d\n%s%s", code, out, err)
			}
			module := filepath.Join(dir, "hello.wasm")
			if code, out, err := call("", "plugin", "build", "-o", "json", dir); code != exitOK || !strings.Contains(out, `"schema": true`) {
				t.Errorf("exit %d\n%s%s", code, out, err)
			}
			if code, out, err := call("", "plugin", "inspect", module); code != exitOK || !strings.Contains(out, "loads     yes") {
				t.Errorf("exit %d\n%s%s", code, out, err)
			}
			if code, out, err := call("", "plugin", "bench", "-time", "1ms", "-o", "json", "-module", module, dir); code != exitOK || !strings.Contains(out, `"fuel"`) {
				t.Errorf("exit %d\n%s%s", code, out, err)
			}
		})
	}
}

func TestPluginMisuse(t *testing.T) {
	full := t.TempDir()
	put(t, filepath.Join(full, "x.txt"), "x")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"plugin", exitUsage, "new, build, test"},
		{"plugin bild", exitUsage, `Did you mean "build"?`},
		{"plugin new", exitUsage, "name the folder"},
		{"plugin new -lang cobol x", exitInput, "there is for "},
		{"plugin new -sdk ../../sdk " + full, exitInput, "can't be the name"},
		{"plugin new -sdk /nowhere " + filepath.Join(t.TempDir(), "x"), exitInput, "there is no SDK in"},
		{"plugin new -sdk ../../sdk " + filepath.Join(full, "..", "A"), exitInput, "small letters"},
		{"plugin build " + full, exitInput, "not a plugin's project"},
		{"plugin build -o yaml " + full, exitUsage, "no output format"},
		{"plugin test " + full, exitInput, "there is no testdata/*.txtar"},
	} {
		code, out, err := call("", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+err, c.want) {
			t.Errorf("%s: exit %d\n%s%s", c.args, code, out, err)
		}
	}
}

// put writes a file that is not there.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
