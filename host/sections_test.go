package host

import (
	"bytes"
	"context"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/headgate/headgate/host/fuel"
	"github.com/headgate/headgate/host/hosttest"
)

func TestSections(t *testing.T) {
	var m hosttest.Module
	m.Memory(1, 0)
	m.Func("f", nil, nil, 0)
	m.Custom("other", []byte("x"))
	m.Custom(schemaSection, []byte(`{"type":"object"}`))
	if s := customSection(m.Bytes(), schemaSection); string(s) != `{"type":"object"}` {
		t.Errorf("schema %q", s)
	}
	if s := customSection(m.Bytes(), "none"); s != nil {
		t.Errorf("no section gives %q", s)
	}
}

// A limit that a guest grows its table to is the host's memory.
func TestTableGrowth(t *testing.T) {
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = rt.Close(context.Background()) }()
	if err := instantiateRefill(t.Context(), rt); err != nil {
		t.Fatal(err)
	}
	var m hosttest.Module
	m.Memory(1, 0)
	m.Table(0)
	// grow(n): table.grow of null by n
	m.Func("grow", hosttest.Params(1), hosttest.Params(1), 0, hosttest.Op(0xd0, 0x70), hosttest.Get(0), hosttest.Op(0xfc, 0x0f, 0))
	code, _, err := fuel.Rewrite(m.Bytes(), fuel.Options{MaxTable: maxElements})
	if err != nil {
		t.Fatal(err)
	}
	meter := newMeter(t.Context())
	mod, err := rt.Instantiate(meter, code)
	if err != nil {
		t.Fatal(err)
	}
	meter.begin(sliceMost, sliceMost)
	for n, want := range map[uint64]int32{maxElements + 1: -1, 1 << 30: -1} {
		r, err := mod.ExportedFunction("grow").Call(meter, n)
		if err != nil || int32(r[0]) != want {
			t.Errorf("grow(%d) = %v, %v; want %d", n, r, err, want)
		}
	}

	var huge hosttest.Module
	huge.Table(maxElements + 1)
	if _, _, err := fuel.Rewrite(huge.Bytes(), fuel.Options{MaxTable: maxElements}); err == nil {
		t.Error("a table larger than the limit is taken")
	}
}

// FuzzSections reads any bytes without a panic.
func FuzzSections(f *testing.F) {
	var m hosttest.Module
	m.Memory(1, 2)
	m.Func("f", nil, nil, 0)
	m.Custom(schemaSection, []byte("{}"))
	f.Add(m.Bytes())
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if s := customSection(wasm, schemaSection); s != nil && !bytes.Contains(wasm, []byte(schemaSection)) {
			t.Errorf("%q has a schema %q", wasm, s)
		}
	})
}
