package fuel_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/headgate/headgate/host/fuel"
	. "github.com/headgate/headgate/host/hosttest"
)

// A module that names what Rewrite adds, or that is cut short anywhere, is
// refused with an error that says so.
func TestRefusals(t *testing.T) {
	var imports, exports, whole Module
	imports.Import(fuel.Module, "anything", nil, nil)
	exports.Func(fuel.Stack, nil, nil, 0)
	for name, m := range map[string]*Module{"import": &imports, "export": &exports} {
		if _, _, err := fuel.Rewrite(m.Bytes(), fuel.Options{}); !errors.Is(err, fuel.ErrReserved) {
			t.Errorf("%s of a reserved name: %v", name, err)
		}
	}
	f := whole.Func("f", Params(1), Types(I64), 3, Loop(Get(0), Drop), Const64(5))
	whole.Func("g", nil, Types(I64), 0, Const(1), Call(f))
	whole.Memory(1, 0)
	whole.Table(4)
	whole.Data(8, "text")
	wasm := whole.Bytes()
	for n := range wasm {
		_, _, err := fuel.Rewrite(wasm[:n], fuel.Options{})
		var malformed *fuel.MalformedError
		if err != nil && !errors.As(err, &malformed) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	// Between sections the module may end, but functions need their code.
	if _, _, err := fuel.Rewrite(wasm[:bytes.LastIndexByte(wasm, 10)], fuel.Options{}); err == nil {
		t.Error("functions without code are taken")
	}
}

// What the guest can't name, it can't reach: its fuel and the host's function.
func TestHidden(t *testing.T) {
	for name, code := range map[string][]byte{
		"global": {0x23, 0, 0x1a}, "function": {0x10, 1}, "type": {0x02, 1, 0x0b}, "local": {0x20, 0, 0x1a},
	} {
		var m Module
		m.Memory(1, 0)
		m.Func("f", nil, nil, 0, code)
		if _, _, err := fuel.Rewrite(m.Bytes(), fuel.Options{}); err == nil {
			t.Errorf("a %s that there is not is taken", name)
		}
	}
}

// Traps name functions as before, and the same input gives the same output.
func TestNames(t *testing.T) {
	var m Module
	m.Memory(1, 0)
	m.Func("f", nil, nil, 0, Unreachable)
	// The names of functions: 0 is "named".
	m.Custom("name", append([]byte{1, 8, 1, 0, 5}, "named"...))
	out, report, err := fuel.Rewrite(m.Bytes(), fuel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	again, _, _ := fuel.Rewrite(m.Bytes(), fuel.Options{})
	if !bytes.Equal(out, again) {
		t.Error("two results differ")
	}
	if report.Functions != 1 || report.Points != 0 { // it costs so little that its callers pay
		t.Errorf("%+v", report)
	}
	r := wazero.NewRuntime(t.Context())
	defer func() { _ = r.Close(t.Context()) }()
	if err := addRefill(t.Context(), r, 1000); err != nil {
		t.Fatal(err)
	}
	mod, err := r.Instantiate(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = mod.ExportedFunction("f").Call(t.Context()); err == nil || !strings.Contains(err.Error(), "named") {
		t.Errorf("the trap does not name the function: %v", err)
	}
}

// No two points are far apart, however the code is laid out: a guest can't make
// a long path look short.
func TestPathsAreBounded(t *testing.T) {
	var m Module
	m.Memory(1, 0)
	add := bytes.Repeat([]byte{0x41, 1, 0x41, 2, 0x6a, 0x1a}, 100)
	code := add
	for range 40 { // block, some code, a branch out of it, more code
		code = append(append([]byte{0x02, 0x40}, code...), 0x41, 0, 0x0d, 0, 0x0b)
		code = append(code, add...)
	}
	m.Func("f", nil, nil, 0, code)
	_, report, err := fuel.Rewrite(m.Bytes(), fuel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if most := 41 * 100 / 128; report.Points < most/2 {
		t.Errorf("%d points for a path of %d additions", report.Points, 41*100)
	}
}

// Memory and tables grow up to the limits and no further.
func TestMaxima(t *testing.T) {
	var m Module
	m.Memory(1, 0)
	m.Table(4)
	m.Func("pages", Params(1), Types(I32), 0, Get(0), Grow)
	m.Func("table", Params(1), Types(I32), 0, Op(0xd0, 0x70), Get(0), Op(0xfc, 0x0f, 0))
	out, report, err := fuel.Rewrite(m.Bytes(), fuel.Options{MaxMemory: 5, MaxTable: 10})
	if err != nil {
		t.Fatal(err)
	}
	if report.Bulk != 2 {
		t.Errorf("%+v", report)
	}
	r := wazero.NewRuntime(t.Context())
	defer func() { _ = r.Close(t.Context()) }()
	if err := addRefill(t.Context(), r, 1000); err != nil {
		t.Fatal(err)
	}
	mod, err := r.Instantiate(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		by   uint64
		want int32
	}{{"pages", 5, -1}, {"pages", 4, 1}, {"pages", 1, -1}, {"table", 7, -1}, {"table", 6, 4}, {"table", 1, -1}} {
		got, err := mod.ExportedFunction(c.name).Call(t.Context(), c.by)
		if err != nil || int32(got[0]) != c.want {
			t.Errorf("%s grows by %d: %v, %v; want %d", c.name, c.by, got, err, c.want)
		}
	}
	if _, _, err := fuel.Rewrite(m.Bytes(), fuel.Options{MaxTable: 3}); err == nil {
		t.Error("a table that is too large from the start is taken")
	}
}
