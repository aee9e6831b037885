package builtin_test

import (
	"slices"
	"testing"

	"github.com/headgate/headgate/host"
	"github.com/headgate/headgate/host/builtin"
	. "github.com/headgate/headgate/host/hosttest"
	"github.com/headgate/headgate/runtime/exchange"
)

func TestNames(t *testing.T) {
	if names := builtin.Names(); len(names) == 0 || !slices.IsSorted(names) {
		t.Errorf("names %q", names)
	}
}

// The module, if this build has it, runs under the host with default limits.
func TestModule(t *testing.T) {
	wasm, ok := builtin.Module()
	if !ok {
		t.Skip("built without the filters: make builds them")
	}
	if raceEnabled {
		t.Skip("compiling it takes a minute under the race detector")
	}
	h, err := host.New(t.Context(), host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	p, err := h.Plugin(t.Context(), host.Spec{Name: "cors", Filter: "cors", Wasm: wasm, HeadersRead: []string{"*"}, HeadersWrite: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	f, err := p.Filter(t.Context(), []byte(`{"origins": ["https://app.example.com"]}`))
	if err != nil {
		t.Fatal(err)
	}
	x := Exchange("OPTIONS", "/", "Origin: https://app.example.com", "Access-Control-Request-Method: GET")
	if v := f.Request(x); v != exchange.Reply || x.Response.Status != 204 {
		t.Fatalf("verdict %v, status %d, %v", v, x.Response.Status, x.Failure)
	}
	if v, _ := x.Response.Head.Get("access-control-allow-origin"); string(v) != "https://app.example.com" {
		t.Errorf("allow-origin %q", v)
	}
	f.Done(x)
}
