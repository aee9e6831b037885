package fuel_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/headgate/headgate/host/fuel"
	"github.com/headgate/headgate/test/need"
)

// script is one of the core specification's tests as wast2json writes them.
type script struct {
	Commands []command `json:"commands"`
}

type command struct {
	Type       string `json:"type"`
	Line       int    `json:"line"`
	Name       string `json:"name"`
	As         string `json:"as"`
	File       string `json:"filename"`
	ModuleType string `json:"module_type"`
	Action     struct {
		Type   string  `json:"type"`
		Field  string  `json:"field"`
		Module string  `json:"module"`
		Args   []value `json:"args"`
	} `json:"action"`
}

type value struct {
	Type  string `json:"type"`
	Lane  string `json:"lane_type"`
	Value any    `json:"value"`
}

// bits are the engine's representation of a value.
func (v value) bits() []uint64 {
	if v.Type != "v128" {
		s, _ := v.Value.(string)
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return []uint64{0} // null
		}
		if v.Type == "externref" {
			n++ // 0 is null
		}
		return []uint64{n}
	}
	width := map[string]int{"i8": 8, "i16": 16, "i32": 32, "f32": 32, "i64": 64, "f64": 64}[v.Lane]
	var out [2]uint64
	for i, lane := range v.Value.([]any) {
		n, _ := strconv.ParseUint(lane.(string), 10, 64)
		at := i * width
		out[at/64] |= n & (1<<width - 1) << (at % 64)
	}
	return out[:]
}

// errStack is what the test's host ends a call with.
var errStack = errors.New("call stack exhausted")

// addRefill gives a runtime the host's side, which never ends a loop.
func addRefill(ctx context.Context, r wazero.Runtime, slice uint64) error {
	_, err := r.NewHostModuleBuilder(fuel.Module).NewFunctionBuilder().WithGoModuleFunction(
		api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
			if api.DecodeI32(stack[0]) == fuel.WhyStack {
				panic(errStack)
			}
			stack[0] = slice
		}), []api.ValueType{api.ValueTypeI32, api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).
		Export(fuel.Refill).Instantiate(ctx)
	return err
}

// world is one of the two runtimes of which a script's results are compared.
type world struct {
	runtime wazero.Runtime
	rewrite bool
	last    api.Module
	named   map[string]api.Module
}

func newWorld(t *testing.T, f api.CoreFeatures, spectest []byte, rewrite bool) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{rewrite: rewrite, named: map[string]api.Module{}}
	w.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(f))
	t.Cleanup(func() { _ = w.runtime.Close(context.Background()) })
	if err := addRefill(ctx, w.runtime, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := w.runtime.InstantiateWithConfig(ctx, spectest, wazero.NewModuleConfig()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) load(ctx context.Context, wasm []byte, name string) (api.Module, error) {
	if w.rewrite {
		var err error
		if wasm, _, err = fuel.Rewrite(wasm, fuel.Options{MaxStack: 8 << 20}); err != nil {
			return nil, err
		}
	}
	return w.runtime.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName(name))
}

// act runs an action and returns what it gave.
func (w *world) act(ctx context.Context, c *command) ([]uint64, error) {
	m := w.last
	if c.Action.Module != "" {
		m = w.named[c.Action.Module]
	}
	if m == nil {
		return nil, errors.New("there is no module")
	}
	if c.Action.Type == "get" {
		return []uint64{m.ExportedGlobal(c.Action.Field).Get()}, nil
	}
	var args []uint64
	for _, a := range c.Action.Args {
		args = append(args, a.bits()...)
	}
	results, err := m.ExportedFunction(c.Action.Field).Call(ctx, args...)
	return results, err
}

// cause is an error without what instrumentation may change in it: the trace.
func cause(err error) string {
	if err == nil {
		return ""
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// suites are the specification's tests that wazero runs on itself, of the
// features that the host can enable.
var suites = []struct {
	dir      string
	features api.CoreFeatures
}{
	{"v1", api.CoreFeaturesV1},
	{"v2", api.CoreFeaturesV2},
	{"tail-call", api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall},
	{"extended-const", api.CoreFeaturesV2 | experimental.CoreFeaturesExtendedConst},
}

// TestSpecification runs each of the core specification's tests on the modules
// as they are and rewritten, and compares every result, bit by bit, and every
// trap. The exceptions: where the original exhausts the engine's stack the
// rewritten one exhausts its budget.
func TestSpecification(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
	spectest, err := os.ReadFile(filepath.Join(root, "testdata", "spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range suites {
		files, err := filepath.Glob(filepath.Join(root, s.dir, "testdata", "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests for %s: %v", s.dir, err)
		}
		for _, f := range files {
			t.Run(s.dir+"/"+strings.TrimSuffix(filepath.Base(f), ".json"), func(t *testing.T) {
				if s.dir == "v1" {
					need.Full(t) // much the same as v2
				}
				t.Parallel()
				runScript(t, f, newWorld(t, s.features, spectest, false), newWorld(t, s.features, spectest, true))
			})
		}
	}
}

func runScript(t *testing.T, file string, plain, metered *world) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	for i := range s.Commands {
		c := &s.Commands[i]
		switch c.Type {
		case "module", "assert_malformed", "assert_invalid", "assert_unlinkable", "assert_uninstantiable":
			if c.ModuleType == "text" {
				continue
			}
			wasm, err := os.ReadFile(filepath.Join(filepath.Dir(file), c.File))
			if err != nil {
				t.Fatal(err)
			}
			as := ""
			if i+1 < len(s.Commands) && s.Commands[i+1].Type == "register" {
				as = s.Commands[i+1].As
			}
			a, errA := plain.load(t.Context(), wasm, as)
			b, errB := metered.load(t.Context(), wasm, as)
			if (errA == nil) != (errB == nil) {
				t.Errorf("line %d: %s %s: the original: %v\nrewritten: %v", c.Line, c.Type, c.File, errA, errB)
			}
			if c.Type == "module" {
				plain.last, metered.last = a, b
				if c.Name != "" {
					plain.named[c.Name], metered.named[c.Name] = a, b
				}
			}
		case "register":
		case "action", "assert_return", "assert_trap", "assert_exhaustion", "assert_exception":
			a, errA := plain.act(t.Context(), c)
			b, errB := metered.act(t.Context(), c)
			if !slices.Equal(a, b) && !references(plain, c) {
				t.Errorf("line %d: %s %s: %x, rewritten %x", c.Line, c.Type, c.Action.Field, a, b)
			}
			if cause(errA) != cause(errB) {
				if c.Type == "assert_exhaustion" && errA != nil && errors.Is(errB, errStack) {
					continue
				}
				t.Errorf("line %d: %s %s: the original: %s\nrewritten: %s", c.Line, c.Type, c.Action.Field, cause(errA), cause(errB))
			}
		default:
			t.Errorf("line %d: unknown command %s", c.Line, c.Type)
		}
	}
}

// references reports whether an action gives function references: they are
// addresses, and differ.
func references(w *world, c *command) bool {
	m := w.last
	if c.Action.Module != "" {
		m = w.named[c.Action.Module]
	}
	if c.Action.Type != "invoke" {
		return false
	}
	return slices.Contains(m.ExportedFunction(c.Action.Field).Definition().ResultTypes(), 0x70)
}
