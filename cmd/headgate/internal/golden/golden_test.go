package golden_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headgate/headgate/cmd/headgate/internal/golden"
	"github.com/headgate/headgate/host/hosttest"
	"github.com/headgate/headgate/runtime/gateway"
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
