package native

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/host/hosttest"
)

// caller calls host functions as a guest does, with texts in its memory.
type caller struct {
	t  testing.TB
	g  *Guest
	at uint32
}

const (
	callerArea = 32 << 10 // where results go
	callerRoom = 32 << 10
)

func newCaller(t testing.TB, env *Env) *caller {
	t.Helper()
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	var m hosttest.Module
	m.Memory(1, 1)
	mod, err := rt.Instantiate(t.Context(), m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	env.Log, env.MaxBody = silent{}, 1<<20
	g := NewGuest(free{t.Context()}, env, &abi.Config{ID: 1})
	g.module, g.mem = mod, mod.Memory()
	g.enter(phaseRequest, hosttest.Exchange("GET", "/"), &Session{}, g.cfg)
	return &caller{t: t, g: g}
}

// call calls a function with numbers and texts, and the area for its result. It
// returns its result as a signed number and what it wrote.
func (c *caller) call(name string, args ...any) (n int64, text string) {
	c.t.Helper()
	c.at = 0
	var stack []uint64
	for _, a := range args {
		switch a := a.(type) {
		case int:
			stack = append(stack, uint64(uint32(a)))
		case string:
			if !c.g.mem.WriteString(c.at, a) {
				c.t.Fatalf("%d bytes do not fit", len(a))
			}
			stack = append(stack, uint64(c.at), uint64(len(a)))
			c.at += uint32(len(a))
		}
	}
	for _, f := range extraFunctions() {
		if f.name != name {
			continue
		}
		if len(f.params) == len(stack)+2 {
			stack = append(stack, callerArea, callerRoom)
		}
		if len(f.params) != len(stack) {
			c.t.Fatalf("%s takes %d numbers, not %d", name, len(f.params), len(stack))
		}
		f.call(c.g, stack)
		if n = int64(stack[0]); len(f.results) > 0 && f.results[0] == i32 {
			n = int64(int32(stack[0]))
		}
		if n > 0 && uint32(n) <= callerRoom {
			p, _ := c.g.mem.Read(callerArea, uint32(n))
			text = string(p)
		}
		return n, text
	}
	c.t.Fatalf("there is no %s", name)
	return 0, ""
}
