package host_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/host"
	. "github.com/headgate/headgate/host/hosttest"
	"github.com/headgate/headgate/runtime/exchange"
)

// hostile are guests that use as much as they can, in other ways than a loop
// that only counts: what they do, and why they are ended.
var hostile = []struct {
	name   string
	make   func(m *Module) [][]byte
	reason host.Reason
	text   string
}{
	{"bulk memory", func(*Module) [][]byte {
		fill := Op(0xfc, 0x0b, 0)
		return [][]byte{Const(60), Grow, Drop, Loop(Const(0), Const(0), Const(60<<16), fill)}
	}, host.ReasonCPU, ""},
	{"growing by what is refused", func(*Module) [][]byte {
		return [][]byte{Loop(Const(60000), Grow, Drop)}
	}, host.ReasonCPU, ""},
	{"growing tables", func(m *Module) [][]byte {
		m.Table(0)
		return [][]byte{Loop(Op(0xd0, 0x70), Const(1000), Op(0xfc, 0x0f, 0), Drop)}
	}, host.ReasonCPU, ""},
	{"calls without a loop", func(m *Module) [][]byte {
		first := uint32(len(hostNames))
		for i := range uint32(50) { // each calls the next twice; the last nothing
			next := Call(first + i + 1)
			if i == 49 {
				next = nil
			}
			m.Func("", nil, nil, 0, next, next)
		}
		return [][]byte{Call(first)}
	}, host.ReasonCPU, ""},
	{"host calls", func(*Module) [][]byte {
		return [][]byte{Loop(Const(0), Call(0), Drop)}
	}, host.ReasonCPU, ""},
	{"recursion of two", func(m *Module) [][]byte {
		first := uint32(len(hostNames))
		m.Func("", nil, nil, 200, Call(first+1))
		m.Func("", nil, nil, 200, Call(first))
		return [][]byte{Call(first)}
	}, host.ReasonTrap, "call stack is exhausted"},
	{"a long chain of calls", func(m *Module) [][]byte {
		first := uint32(len(hostNames))
		for i := range uint32(60000) {
			next := Call(first + i + 1)
			if i == 59999 {
				next = nil
			}
			m.Func("", nil, nil, 10, next)
		}
		return [][]byte{Call(first)}
	}, host.ReasonTrap, "call stack is exhausted"},
}

// hostNames are the functions that a hostile guest imports, in this order.
var hostNames = []string{"log_enabled"}

func hostileModule(make func(*Module) [][]byte) []byte {
	m := plain()
	for _, n := range hostNames {
		m.Import("http_handler", n, Params(1), Types(I32))
	}
	return finish(m, append(make(m), pass)...)
}

// Whatever a guest does, it ends soon after its time and takes little of the
// host's memory.
func TestHostileGuests(t *testing.T) {
	const cpu = 30 * time.Millisecond
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, host.Options{})
			f := b.filter(t, host.Spec{Wasm: hostileModule(c.make), Memory: 4 << 20, CPU: cpu, Deadline: time.Minute}, "")
			x := Exchange("GET", "/")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			v := f.Request(x)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			f.Done(x)
			var trap *host.TrapError
			if v != exchange.Fail || !errors.As(x.Failure, &trap) {
				t.Fatalf("verdict %v, failure %v; want a trap", v, x.Failure)
			}
			if trap.Reason != c.reason || !strings.Contains(trap.Error(), c.text) {
				t.Errorf("%v; want reason %s, %q", trap, c.reason, c.text)
			}
			if took > time.Second || trap.Reason == host.ReasonCPU && took < cpu {
				t.Errorf("stopped after %v; may use %v", took, cpu)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
				t.Errorf("the call allocated %d MiB of the host's memory", grown>>20)
			}
		})
	}
}

// A guest that never returns to the host by itself lets others run: with one
// processor, garbage collections end while it spins.
func TestSpinningGuestYields(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	b := newBed(t, host.Options{})
	f := b.filter(t, host.Spec{Wasm: finish(plain(), Forever, pass), CPU: 300 * time.Millisecond, Deadline: time.Minute}, "")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		x := Exchange("GET", "/")
		f.Request(x)
		f.Done(x)
	}()
	collected, longest := 0, time.Duration(0)
	for running := true; running; {
		start := time.Now()
		runtime.GC()
		longest = max(longest, time.Since(start))
		collected++
		select {
		case <-ended:
			running = false
		default:
		}
	}
	if collected < 5 || longest > 200*time.Millisecond {
		t.Errorf("%d collections while the guest ran, the longest took %v", collected, longest)
	}
}

// A guest can't reach what the host adds to it.
func TestReservedNames(t *testing.T) {
	b := newBed(t, host.Options{})
	m := plain()
	m.Import("headgate:fuel", "refill", []byte{I32, I64}, Types(I64))
	var wrong *host.ModuleError
	if _, err := b.Plugin(t.Context(), host.Spec{Name: "p", Wasm: finish(m, pass)}); !errors.As(err, &wrong) {
		t.Errorf("a module that imports the host's own function is taken: %v", err)
	}
	m = plain()
	m.Func("headgate:fuel", nil, nil, 0)
	if _, err := b.Plugin(t.Context(), host.Spec{Name: "p", Wasm: finish(m, pass)}); !errors.As(err, &wrong) {
		t.Errorf("a module that exports the host's own name is taken: %v", err)
	}
}
