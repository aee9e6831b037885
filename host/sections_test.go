package host

import (
	"bytes"
	"context"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/headgate/headgate/host/hosttest"
)

func TestSections(t *testing.T) {
	var m hosttest.Module
	m.Memory(1, 0)
	m.Table(3)
	m.Func("f", nil, nil, 0)
	m.Custom("other", []byte("x"))
	m.Custom("headgate.schema", []byte(`{"type":"object"}`))
	s, err := parseSections(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if string(s.schema) != `{"type":"object"}` {
		t.Errorf("schema %q", s.schema)
	}
	want := []byte{0x70, 1, 3, 0x80, 0x80, 0x40} // funcref, with a maximum: 3, 1<<20
	if !bytes.Contains(s.code, want) {
		t.Errorf("the table has no maximum: % x", s.code)
	}
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = rt.Close(context.Background()) }()
	if _, err := rt.CompileModule(t.Context(), s.code); err != nil {
		t.Errorf("the module with bounded tables does not compile: %v", err)
	}

	var huge hosttest.Module
	huge.Table(1<<20 + 1)
	if _, err := parseSections(huge.Bytes()); err == nil {
		t.Error("a table larger than the limit is taken")
	}
}

// A limit that a guest grows its table to is the host's memory.
func TestTableGrowth(t *testing.T) {
	var m hosttest.Module
	m.Memory(1, 0)
	m.Table(0)
	// grow(n): table.grow of null by n
	m.Func("grow", hosttest.Params(1), hosttest.Params(1), 0, hosttest.Op(0xd0, 0x70), hosttest.Get(0), hosttest.Op(0xfc, 0x0f, 0))
	s, err := parseSections(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = rt.Close(context.Background()) }()
	mod, err := rt.Instantiate(t.Context(), s.code)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[uint64]int32{1<<20 + 1: -1, 1 << 30: -1} {
		r, err := mod.ExportedFunction("grow").Call(t.Context(), n)
		if err != nil || int32(r[0]) != want {
			t.Errorf("grow(%d) = %v, %v; want %d", n, r, err, want)
		}
	}
}

// FuzzSections reads any bytes: no panic, and what a compiler takes it takes
// after the rewrite too.
func FuzzSections(f *testing.F) {
	var m hosttest.Module
	m.Memory(1, 2)
	m.Table(3)
	m.Func("f", nil, nil, 0)
	m.Custom("headgate.schema", []byte("{}"))
	f.Add(m.Bytes())
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x04\x05\x01\x70\x01\x00\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		s, err := parseSections(wasm)
		if err != nil {
			return
		}
		if again, err := parseSections(s.code); err != nil || !bytes.Equal(again.code, s.code) {
			t.Errorf("the rewritten module is read differently: %v", err)
		}
	})
}
