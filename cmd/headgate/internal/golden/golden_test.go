package golden_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headgate/headgate/cmd/headgate/internal/golden"
	"github.com/headgate/headgate/cmd/headgate/internal/toolchain"
	"github.com/headgate/headgate/host/hosttest"
	"github.com/headgate/headgate/runtime/gateway"
	"github.com/headgate/headgate/test/need"
)

var update = flag.Bool("update", false, "write what came out into the files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// player builds a package of the Go SDK and plays files against it.
func player(t *testing.T, dir, pkg string) *golden.Player {
	t.Helper()
	wasm, err := os.ReadFile(hosttest.BuildGo(t, dir, pkg))
	if err != nil {
		t.Fatal(err)
	}
	return newPlayer(t, wasm)
}

func newPlayer(t *testing.T, wasm []byte) *golden.Player {
	t.Helper()
	p, err := golden.NewPlayer(t.Context(), wasm, "", gateway.NewPluginState)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

func play(t *testing.T, p *golden.Player, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := golden.Parse(filepath.Base(path), text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Play(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if r.Diff != "" && !*update {
		t.Error(r.Diff)
	}
	if *update {
		if err := os.WriteFile(path, r.Text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLookup(t *testing.T) {
	p := player(t, "../../../../sdk/go", "./examples/lookup")
	play(t, p, "testdata/lookup.txtar")
}

// conformance are the plugins that do the same in every language: where each is,
// and what the machine must have to build it.
func conformance() map[string]struct {
	dir  string
	need func(testing.TB)
} {
	return map[string]struct {
		dir  string
		need func(testing.TB)
	}{
		"as": {"as/conformance", func(t testing.TB) { need.Program(t, "npm") }},
		"go": {"go/internal/conformance", func(testing.TB) {}},
		"rust": {"rust/conformance", func(t testing.TB) {
			need.Full(t) // its standard library is compiled, too
			need.File(t, "/usr/share/doc/rust-web-src", "apt-get install rust-web-src")
			need.Program(t, "wasm-ld-19")
		}},
		"c": {"c/conformance", func(t testing.TB) { need.Program(t, "clang-19"); need.Program(t, "wasm-ld-19") }},
	}
}

// TestConformance plays one set of exchanges against a plugin of each language.
func TestConformance(t *testing.T) {
	const sdk = "../../../../sdk/"
	files, err := filepath.Glob(sdk + "conformance/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for language, c := range conformance() {
		t.Run(language, func(t *testing.T) {
			c.need(t)
			p := newPlayer(t, buildProject(t, sdk+c.dir))
			for _, f := range files {
				t.Run(filepath.Base(f), func(t *testing.T) { play(t, p, f) })
			}
		})
	}
}

func output(err error) string {
	var c *toolchain.CompileError
	if errors.As(err, &c) {
		return c.Output
	}
	return ""
}

// TestExamples plays the tests of the examples that are written in other languages.
func TestExamples(t *testing.T) {
	need.Program(t, "clang-19")
	need.Program(t, "wasm-ld-19")
	const dir = "../../../../sdk/c/examples/geo"
	p := newPlayer(t, buildProject(t, dir))
	files, err := filepath.Glob(dir + "/testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { play(t, p, f) })
	}
}

func buildProject(t *testing.T, dir string) []byte {
	t.Helper()
	project, err := toolchain.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "plugin.wasm")
	if err := project.Build(t.Context(), out); err != nil {
		t.Fatalf("%v\n%s", err, output(err))
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
