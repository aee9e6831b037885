package fuel_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/headgate/headgate/host/fuel"
)

// buildGo compiles the Go guest.
func buildGo(tb testing.TB) []byte {
	tb.Helper()
	return build(tb, []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"},
		"go", "build", "-ldflags=-s -w", "-buildmode=c-shared", "-o", "OUT", "./testdata/guest")
}

// buildC compiles the C guest, which needs no library.
func buildC(tb testing.TB) []byte {
	tb.Helper()
	return build(tb, nil, "clang-19", "--target=wasm32-wasi", "-O2", "-mexec-model=reactor",
		"-o", "OUT", filepath.Join("testdata", "guest.c"))
}

// buildAS compiles the AssemblyScript guest.
func buildAS(tb testing.TB) []byte {
	tb.Helper()
	return build(tb, nil, "asc", filepath.Join("testdata", "guest.ts"), "-O", "--runtime", "incremental",
		"--use", "abort=", "-o", "OUT")
}

func build(tb testing.TB, env []string, args ...string) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "guest.wasm")
	args[slices.Index(args, "OUT")] = path
	c := exec.Command(args[0], args[1:]...)
	c.Env = append(os.Environ(), env...)
	if out, err := c.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// limits are the ways to limit a guest's time that are compared.
var limits = []string{"none", "WithCloseOnContextDone", "fuel"}

func instance(tb testing.TB, wasm []byte, limit string) (api.Module, context.Context) {
	tb.Helper()
	ctx := tb.Context()
	config := wazero.NewRuntimeConfig()
	switch limit {
	case "WithCloseOnContextDone":
		config = config.WithCloseOnContextDone(true)
		c, cancel := context.WithCancel(ctx)
		ctx = c
		tb.Cleanup(cancel)
	case "fuel":
		var err error
		if wasm, _, err = fuel.Rewrite(wasm, fuel.Options{MaxStack: 8 << 20}); err != nil {
			tb.Fatal(err)
		}
	}
	r := wazero.NewRuntimeWithConfig(ctx, config)
	tb.Cleanup(func() { _ = r.Close(context.Background()) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	if err := addRefill(ctx, r, 700_000); err != nil {
		tb.Fatal(err)
	}
	m, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize").
		WithSysWalltime().WithSysNanotime())
	if err != nil {
		tb.Fatal(err)
	}
	return m, ctx
}

// timing measures one workload without noise from what else runs: the fastest of
// many short rounds, in turns with the others.
type timing struct {
	call func()
	n    int
	best float64 // ns
}

func (t *timing) round() {
	start := time.Now()
	for range t.n {
		t.call()
	}
	t.best = min(t.best, float64(time.Since(start))/float64(t.n))
}

func newTiming(tb testing.TB, m api.Module, ctx context.Context, name string) *timing {
	f := m.ExportedFunction(name)
	t := &timing{best: math.Inf(1), n: 1, call: func() {
		if err := f.CallWithStack(ctx, nil); err != nil {
			tb.Fatal(err)
		}
	}}
	for range 3 {
		t.call()
	}
	start := time.Now()
	for range 20 {
		t.call()
	}
	t.n = max(1, int(2*time.Millisecond/(time.Since(start)/20+1)))
	return t
}

// BenchmarkOverhead compares what limits cost, for each workload of the guests:
// the time without a limit, and how many times as long it takes with each. Guests
// whose compiler is not installed are left out.
func BenchmarkOverhead(t *testing.B) {
	type guest struct {
		language string
		wasm     []byte
	}
	guests := []guest{{"go", buildGo(t)}}
	if _, err := exec.LookPath("clang-19"); err == nil {
		guests = append(guests, guest{"c", buildC(t)})
	}
	if _, err := exec.LookPath("asc"); err == nil {
		guests = append(guests, guest{"as", buildAS(t)})
	}
	logs, count := [3]float64{}, 0
	worst := [3]float64{}
	for _, g := range guests {
		modules, contexts := [3]api.Module{}, [3]context.Context{}
		for i, l := range limits {
			modules[i], contexts[i] = instance(t, g.wasm, l)
		}
		var names []string
		for name, d := range modules[0].ExportedFunctionDefinitions() {
			if len(d.ParamTypes()) == 0 && name != "_initialize" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			var ts [3]*timing
			for i := range ts {
				ts[i] = newTiming(t, modules[i], contexts[i], name)
			}
			for range 60 {
				for _, tm := range ts {
					tm.round()
				}
			}
			line := fmt.Sprintf("%-4s %-10s %10.0f ns", g.language, name, ts[0].best)
			for i := 1; i < 3; i++ {
				line += fmt.Sprintf("  %6.2fx", ts[i].best/ts[0].best)
			}
			if name != "loop" { // no real guest
				count++
				for i := 1; i < 3; i++ {
					ratio := ts[i].best / ts[0].best
					logs[i] += math.Log(ratio)
					worst[i] = max(worst[i], ratio)
				}
			}
			fmt.Println(line)
		}
	}
	for i := 1; i < 3; i++ {
		fmt.Printf("%s: geometric mean %.3fx, worst %.2fx\n", limits[i], math.Exp(logs[i]/float64(count)), worst[i])
	}
}

// BenchmarkRewrite is what rewriting a Go plugin takes.
func BenchmarkRewrite(b *testing.B) {
	wasm := buildGo(b)
	b.SetBytes(int64(len(wasm)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := fuel.Rewrite(wasm, fuel.Options{MaxStack: 4 << 20}); err != nil {
			b.Fatal(err)
		}
	}
}
