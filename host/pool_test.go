package host_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/host"
	. "github.com/headgate/headgate/host/hosttest"
	"github.com/headgate/headgate/runtime/exchange"
)

// The pool is bounded: who comes when all instances are taken waits until the
// deadline, and gets an instance that is given back before.
func TestBoundedPool(t *testing.T) {
	b := newBed(t, host.Options{})
	f := b.filter(t, host.Spec{Wasm: finish(plain(), pass), Instances: 2, Deadline: 100 * time.Millisecond}, "")
	var held []*exchange.Exchange
	for range 2 {
		x := Exchange("GET", "/")
		if f.Request(x) != exchange.Continue {
			t.Fatal(x.Failure)
		}
		held = append(held, x)
	}
	x := Exchange("GET", "/")
	start := time.Now()
	if v := f.Request(x); v != exchange.Fail || !errors.Is(x.Failure, host.ErrBusy) {
		t.Errorf("a third exchange: %v %v", v, x.Failure)
	}
	if d := time.Since(start); d < 90*time.Millisecond || d > 5*time.Second {
		t.Errorf("it waited %v", d)
	}
	f.Done(x)
	done := make(chan exchange.Verdict)
	y := Exchange("GET", "/")
	go func() { done <- f.Request(y) }()
	time.Sleep(20 * time.Millisecond)
	Respond(held[0], 200, "")
	f.Response(held[0])
	f.Done(held[0])
	if v := <-done; v != exchange.Continue {
		t.Errorf("a waiting exchange is not served when an instance comes free: %v %v", v, y.Failure)
	}
	f.Done(y)
	f.Done(held[1])
	if _, n := b.counts.read(); n != 2 {
		t.Errorf("%d instances, want 2", n)
	}
}

// A plugin that says so has many exchanges in one instance; its trap fails all.
func TestSharedInstance(t *testing.T) {
	b := newBed(t, host.Options{})
	m := plain()
	get := m.Import("http_handler", "get_header_values", Params(5), Types(I64))
	m.Data(100, "x-bad")
	wasm := finish(m, Const(0), Const(100), Const(5), Const(200), Const(100), Call(get), Op(0x50, 0x45), Op(0x04, 0x40), Unreachable, Op(0x0b), pass)
	f := b.filter(t, host.Spec{Wasm: wasm, HeadersRead: all, Concurrency: 10, Instances: 1}, "")
	var held []*exchange.Exchange
	for range 9 {
		x := Exchange("GET", "/")
		if f.Request(x) != exchange.Continue {
			t.Fatal(x.Failure)
		}
		held = append(held, x)
	}
	bad := Exchange("GET", "/", "x-bad: 1")
	if f.Request(bad) != exchange.Fail {
		t.Error("the bad exchange did not fail")
	}
	f.Done(bad)
	for _, x := range held {
		Respond(x, 200, "")
		if f.Response(x) != exchange.Fail {
			t.Error("an exchange outlives its instance")
		}
		f.Done(x)
	}
	x := Exchange("GET", "/")
	if f.Request(x) != exchange.Continue {
		t.Error("no new instance:", x.Failure)
	}
	f.Done(x)
	if traps, n := b.counts.read(); traps != "trap" || n != 1 {
		t.Errorf("traps %q, %d instances", traps, n)
	}
}

// All instances together stay under the ceiling.
func TestMemoryCeiling(t *testing.T) {
	b := newBed(t, host.Options{MemoryCeiling: 5 * 64 << 10})
	f := b.filter(t, host.Spec{Wasm: finish(plain(), Const(1), Grow, Drop, pass)}, "")
	var held []*exchange.Exchange
	for range 2 { // two pages each
		x := Exchange("GET", "/")
		if f.Request(x) != exchange.Continue {
			t.Fatal(x.Failure)
		}
		held = append(held, x)
	}
	if n := b.Memory(); n != 4*64<<10 {
		t.Errorf("%d bytes in use", n)
	}
	x, y := Exchange("GET", "/"), Exchange("GET", "/")
	if f.Request(x) != exchange.Continue { // one page, and its growth refused
		t.Error(x.Failure)
	}
	if f.Request(y) != exchange.Fail {
		t.Error("an instance beyond the ceiling")
	}
	for _, x := range append(held, x, y) {
		f.Done(x)
	}
}

func TestConcurrentUse(t *testing.T) {
	for _, concurrency := range []int{1, 8} {
		b := newBed(t, host.Options{})
		m := plain()
		get := m.Import("http_handler", "get_header_values", Params(5), Types(I64))
		set := m.Import("http_handler", "set_header_value", Params(5), nil)
		m.Data(100, "x-in")
		m.Data(110, "x-out")
		wasm := finish(m,
			Const(0), Const(100), Const(4), Const(200), Const(64), Call(get), Drop,
			Const(0), Const(110), Const(5), Const(200), Const(4), Call(set), pass)
		f := b.filter(t, host.Spec{Wasm: wasm, HeadersRead: all, HeadersWrite: all, Instances: 3, Concurrency: concurrency}, "")
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				value := "abc" + string(rune('0'+g))
				for range 200 {
					x := Exchange("GET", "/", "x-in: "+value)
					if f.Request(x) != exchange.Continue {
						t.Error(x.Failure)
						return
					}
					if got, _ := x.Request.Head.Get("x-out"); string(got) != value {
						t.Errorf("got %q, want %q", got, value)
					}
					runtime.Gosched()
					Respond(x, 200, "")
					if f.Response(x) != exchange.Continue {
						t.Error(x.Failure)
					}
					f.Done(x)
				}
			})
		}
		wg.Wait()
	}
}

// Loading, using and closing leaves nothing: no goroutine (TestMain), no
// instance, no guest memory, no compiled code.
func TestNoLeakOverReloads(t *testing.T) {
	b := newBed(t, host.Options{CacheDir: t.TempDir()})
	load := func(i int) *host.Plugin {
		m := plain()
		m.Data(0, "generation "+string(rune('a'+i%26))) // other bytes, other code
		wasm := finish(m, Const(8), Grow, Drop, pass)
		p, err := b.Plugin(t.Context(), host.Spec{Name: "p", Wasm: wasm})
		if err != nil {
			t.Fatal(err)
		}
		f, err := p.Filter(t.Context(), []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			x := Exchange("GET", "/")
			if f.Request(x) != exchange.Continue {
				t.Fatal(x.Failure)
			}
			f.Done(x)
		}
		return p
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	old := load(0)
	for i := 1; i < 30; i++ { // the first ones fill maps and pools
		next := load(i)
		old.Close()
		old = next
	}
	before := heap()
	for i := range 100 {
		next := load(i)
		old.Close() // as a reload does: the new one first
		old = next
		if _, n := b.counts.read(); n != 1 {
			t.Fatalf("%d instances after reload %d, want 1", n, i)
		}
	}
	after := heap()
	if after > before+256<<10 {
		t.Errorf("the heap grew from %d to %d bytes over 100 reloads", before, after)
	}
	if n := b.Memory(); n != 41*64<<10 { // 1 + 5*8 pages
		t.Errorf("%d bytes of guest memory in use, want those of one instance", n)
	}
	old.Close()
	old.Close() // once more does nothing
}

// The same Spec is one pool; another grant is another.
func TestSharing(t *testing.T) {
	b := newBed(t, host.Options{})
	s := host.Spec{Wasm: finish(plain(), pass)}
	b.filter(t, s, "c")
	b.filter(t, s, "c")
	if _, n := b.counts.read(); n != 1 {
		t.Errorf("%d instances for the same plugin twice, want 1", n)
	}
	s.HeadersRead = []string{"x-a"}
	b.filter(t, s, "c")
	if _, n := b.counts.read(); n != 2 {
		t.Errorf("%d instances with other grants, want 2", n)
	}
}

// Close stops a guest that is busy, and everything after it is refused.
func TestCloseStopsGuests(t *testing.T) {
	h, err := host.New(t.Context(), host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Plugin(t.Context(), host.Spec{Name: "p", Wasm: finish(plain(), Forever, pass), CPU: time.Hour, Deadline: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.Filter(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	x := Exchange("GET", "/")
	done := make(chan exchange.Verdict)
	go func() { done <- f.Request(x) }()
	time.Sleep(50 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Error(err)
	}
	if v := <-done; v != exchange.Fail {
		t.Errorf("verdict %v", v)
	}
	if _, err := h.Plugin(t.Context(), host.Spec{Wasm: finish(plain(), pass)}); !errors.Is(err, host.ErrClosed) {
		t.Errorf("a plugin of a closed host: %v", err)
	}
	p.Close()
}

// A plugin that keeps failing is left alone for a while, and comes back.
func TestQuarantine(t *testing.T) {
	b := newBed(t, host.Options{})
	m := plain()
	get := m.Import("http_handler", "get_header_values", Params(5), Types(I64))
	m.Data(100, "x-bad")
	wasm := finish(m, Const(0), Const(100), Const(5), Const(200), Const(100), Call(get), Op(0x50, 0x45), Op(0x04, 0x40), Unreachable, Op(0x0b), pass)
	f := b.filter(t, host.Spec{Wasm: wasm, HeadersRead: all}, "")
	do := func(fields ...string) error {
		x := Exchange("GET", "/", fields...)
		defer f.Done(x)
		if f.Request(x) == exchange.Continue {
			return nil
		}
		return x.Failure
	}
	for i := range 10 {
		var trap *host.TrapError
		if err := do("x-bad: 1"); !errors.As(err, &trap) {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	for range 3 {
		if err := do(); !errors.Is(err, host.ErrQuarantined) {
			t.Errorf("in quarantine: %v", err)
		}
	}
	for begin := time.Now(); errors.Is(do(), host.ErrQuarantined); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("the quarantine does not end")
		}
	}
	for range 3 {
		if err := do(); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
}
