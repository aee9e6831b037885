package host_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/headgate/headgate/host"
	. "github.com/headgate/headgate/host/hosttest"
	"github.com/headgate/headgate/runtime/exchange"
)

// BenchmarkFilter is what a filter costs that reads two header fields and sets
// one, in Go and in the smallest guest that can do it.
func BenchmarkFilter(b *testing.B) {
	goGuest, err := os.ReadFile(BuildGo(b, filepath.Join("..", "sdk", "go"), "./internal/benchguest"))
	if err != nil {
		b.Fatal(err)
	}
	small := newScript()
	smallGuest := small.build([][]byte{
		small.call("get_header_values", 0, "x-a", area, 100), small.call("get_header_values", 0, "x-b", area, 100),
		small.call("set_header_value", 0, "x-out", "value"),
	})
	for _, c := range []struct {
		name string
		wasm []byte
	}{{"nothing", finish(plain(), pass)}, {"small", smallGuest}, {"go", goGuest}} {
		b.Run(c.name, func(b *testing.B) {
			bed := newBed(b, host.Options{})
			f := bed.filter(b, host.Spec{Wasm: c.wasm, HeadersRead: all, HeadersWrite: all}, "")
			x := Exchange("GET", "/")
			b.ReportAllocs()
			for b.Loop() {
				h := &x.Request.Head
				h.Reset(nil)
				for _, name := range []string{"accept", "user-agent", "x-a", "x-b"} {
					h.Add(name, "some value")
				}
				if f.Request(x) != exchange.Continue {
					b.Fatal(x.Failure)
				}
				f.Done(x)
			}
		})
	}
}

// BenchmarkLoad is what a reload costs for a Go plugin whose compiled code is on
// disk.
func BenchmarkLoad(b *testing.B) {
	wasm := goModule(b)
	dir := b.TempDir()
	load := func() {
		h, err := host.New(b.Context(), host.Options{CacheDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		p, err := h.Plugin(b.Context(), host.Spec{Name: "p", Wasm: wasm})
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
		if err := h.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	load()
	for b.Loop() {
		load()
	}
}
