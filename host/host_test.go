package host_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headgate/headgate/host"
	. "github.com/headgate/headgate/host/hosttest"
	"github.com/headgate/headgate/runtime/exchange"
)

// cache keeps compiled Go guests for all tests: under the race detector the
// compiler takes half a minute.
var cache string

func TestMain(m *testing.M) {
	var err error
	if cache, err = os.MkdirTemp("", "headgate-host"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(cache)
		os.Exit(code)
	}))
}

// counts records what the host reports.
type counts struct {
	mu        sync.Mutex
	traps     []string
	instances int
}

func (c *counts) Trap(_, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.traps = append(c.traps, reason)
}

func (c *counts) Instances(_ string, delta int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instances += delta
}

func (c *counts) read() (traps string, instances int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.traps, " "), c.instances
}

// buffer is a log that many goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type bed struct {
	*host.Host
	counts counts
	log    buffer
}

func newBed(t testing.TB, o host.Options) *bed {
	t.Helper()
	b := &bed{}
	o.Log = slog.New(slog.NewTextHandler(&b.log, nil))
	o.Traps, o.Gauge = &b.counts, &b.counts
	h, err := host.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	b.Host = h
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error("close:", err)
		}
		if _, n := b.counts.read(); n != 0 {
			t.Errorf("%d instances are left after Close", n)
		}
		if n := h.Memory(); n != 0 {
			t.Errorf("%d bytes of guest memory are left after Close", n)
		}
	})
	return b
}

func (b *bed) filter(t testing.TB, s host.Spec, config string) exchange.Filter {
	t.Helper()
	if s.Name == "" {
		s.Name = "p"
	}
	p, err := b.Plugin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	f, err := p.Filter(t.Context(), []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var all = []string{"*"}

// plain starts a module with the exports of an http-wasm guest; request and
// response are added by the caller.
func plain() *Module { return &Module{} }

// pass is the code of a handle_request that goes on.
var pass = Const64(1)

func finish(m *Module, request ...[]byte) []byte {
	m.Memory(1, 0)
	m.Func("handle_request", nil, Types(I64), 2, request...)
	m.Func("handle_response", Params(2), nil, 0)
	return m.Bytes()
}

func TestModuleErrors(t *testing.T) {
	b := newBed(t, host.Options{})
	for _, c := range []struct {
		name    string
		make    func(m *Module)
		missing string
		detail  string
	}{
		{"no request", func(m *Module) {
			m.Memory(1, 0)
			m.Func("handle_response", Params(2), nil, 0)
		}, "handle_request", "(result i64)"},
		{"no response", func(m *Module) {
			m.Memory(1, 0)
			m.Func("handle_request", nil, Types(I64), 0, pass)
		}, "handle_response", "(param i32 i32)"},
		{"no memory", func(m *Module) {
			m.Func("handle_request", nil, Types(I64), 0, pass)
			m.Func("handle_response", Params(2), nil, 0)
		}, "memory", ""},
		{"wrong signature", func(m *Module) {
			m.Memory(1, 0)
			m.Func("handle_request", nil, Types(I32), 0, Const(1))
			m.Func("handle_response", Params(2), nil, 0)
		}, "handle_request", "another signature"},
		{"wrong optional signature", func(m *Module) {
			m.Memory(1, 0)
			m.Func("handle_request", nil, Types(I64), 0, pass)
			m.Func("handle_response", Params(2), nil, 0)
			m.Func("headgate_configure", nil, Types(I32), 0, Const(0))
		}, "headgate_configure", "another signature"},
		{"proxy-wasm without an allocator", func(m *Module) {
			m.Memory(1, 0)
			m.Func("proxy_abi_version_0_2_1", nil, nil, 0)
		}, "proxy_on_memory_allocate", "neither"},
		{"proxy-wasm without memory", func(m *Module) {
			m.Func("proxy_abi_version_0_2_0", nil, nil, 0)
		}, "memory", "does not export"},
		{"proxy-wasm of another age", func(m *Module) {
			m.Memory(1, 0)
			m.Func("proxy_abi_version_0_3_0", nil, nil, 0)
		}, "proxy_abi_version_0_2_1", "none of the versions"},
		{"proxy-wasm with another signature", func(m *Module) {
			m.Memory(1, 0)
			m.Func("proxy_abi_version_0_2_1", nil, nil, 0)
			m.Func("malloc", Params(1), Types(I32), 0, Const(0))
			m.Func("proxy_on_request_headers", Params(2), Types(I32), 0, Const(0))
		}, "proxy_on_request_headers", "another signature"},
		{"proxy-wasm with imports of ours", func(m *Module) {
			m.Import("headgate_v1", "config_id", nil, Types(I32))
			m.Memory(1, 0)
			m.Func("proxy_abi_version_0_2_1", nil, nil, 0)
			m.Func("malloc", Params(1), Types(I32), 0, Const(0))
		}, "", "another ABI"},
		{"unknown import module", func(m *Module) {
			m.Import("wasi_unstable", "fd_write", Params(4), Types(I32))
			finish(m, pass)
		}, "", `"wasi_unstable"`},
		{"unknown import", func(m *Module) {
			m.Import("http_handler", "get_everything", nil, nil)
			finish(m, pass)
		}, "", `"get_everything"`},
		{"import with another signature", func(m *Module) {
			m.Import("http_handler", "get_method", Params(3), Types(I32))
			finish(m, pass)
		}, "", "another signature"},
		{"too much memory at the start", func(m *Module) {
			m.Memory(1024, 0)
			m.Func("handle_request", nil, Types(I64), 0, pass)
			m.Func("handle_response", Params(2), nil, 0)
		}, "", "limits.memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := plain()
			c.make(m)
			_, err := b.Plugin(t.Context(), host.Spec{Name: "p", Wasm: m.Bytes()})
			var me *host.ModuleError
			if !errors.As(err, &me) {
				t.Fatalf("error %v, want a *ModuleError", err)
			}
			if me.Missing != c.missing || !strings.Contains(me.Error(), c.detail) {
				t.Errorf("missing %q, text %q; want %q and a text with %q", me.Missing, me.Error(), c.missing, c.detail)
			}
		})
	}
	for _, wasm := range []string{"", "not wasm", "\x00asm\x01\x00\x00\x00\x01\xff"} {
		var me *host.ModuleError
		if _, err := b.Plugin(t.Context(), host.Spec{Wasm: []byte(wasm)}); !errors.As(err, &me) {
			t.Errorf("%q: error %v, want a *ModuleError", wasm, err)
		}
	}
}

// A call that ends badly costs its exchange and its instance; the next exchange
// is served by another one.
func TestTraps(t *testing.T) {
	const magic = "x-bad"
	for _, c := range []struct {
		name   string
		make   func(m *Module) [][]byte // imports, and the code of a bad request
		reason host.Reason
		text   string
	}{
		{"unreachable", func(*Module) [][]byte { return [][]byte{Unreachable} }, host.ReasonTrap, "unreachable"},
		{"infinite loop", func(*Module) [][]byte { return [][]byte{Forever} }, host.ReasonCPU, "limit"},
		{"memory bomb", func(*Module) [][]byte {
			// Grows until it is refused, then traps, as most allocators do.
			return [][]byte{Loop(Const(16), Grow, Const(-1), Op(0x46), Op(0x04, 0x40), Unreachable, Op(0x0b))}
		}, host.ReasonMemory, "unreachable"},
		{"exit", func(m *Module) [][]byte {
			f := m.Import("wasi_snapshot_preview1", "proc_exit", Params(1), nil)
			return [][]byte{Const(3), Call(f)}
		}, host.ReasonExit, "exit code 3"},
		{"endless recursion", func(m *Module) [][]byte { return nil }, host.ReasonTrap, "call stack is exhausted"},
		{"pointer outside of memory", func(m *Module) [][]byte {
			f := m.Import("http_handler", "get_uri", Params(2), Types(I32))
			return [][]byte{Const(65536), Const(1000), Call(f), Drop}
		}, host.ReasonTrap, "outside of memory"},
		{"pointer that overflows", func(m *Module) [][]byte {
			f := m.Import("http_handler", "write_body", Params(3), nil)
			return [][]byte{Const(1), Const(-1), Const(-1), Call(f)}
		}, host.ReasonTrap, "outside of memory"},
		{"name outside of memory", func(m *Module) [][]byte {
			f := m.Import("http_handler", "remove_header", Params(3), nil)
			return [][]byte{Const(0), Const(-8), Const(16), Call(f)}
		}, host.ReasonTrap, "outside of memory"},
		{"unknown header kind", func(m *Module) [][]byte {
			f := m.Import("http_handler", "get_header_names", Params(3), Types(I64))
			return [][]byte{Const(9), Const(0), Const(0), Call(f), Drop}
		}, host.ReasonTrap, "kind 9"},
		{"empty header name", func(m *Module) [][]byte {
			f := m.Import("http_handler", "get_header_values", Params(5), Types(I64))
			return [][]byte{Const(0), Const(0), Const(0), Const(0), Const(0), Call(f), Drop}
		}, host.ReasonTrap, "empty"},
		{"reading into nothing", func(m *Module) [][]byte {
			f := m.Import("http_handler", "read_body", Params(3), Types(I64))
			return [][]byte{Const(0), Const(0), Const(0), Call(f), Drop}
		}, host.ReasonTrap, "buf_limit"},
		{"trailers without the feature", func(m *Module) [][]byte {
			f := m.Import("http_handler", "get_header_names", Params(3), Types(I64))
			return [][]byte{Const(2), Const(0), Const(0), Call(f), Drop}
		}, host.ReasonTrap, "feature trailers"},
		{"interim status", func(m *Module) [][]byte {
			f := m.Import("http_handler", "set_status_code", Params(1), nil)
			return [][]byte{Const(101), Call(f)}
		}, host.ReasonTrap, "101"},
		{"fields without an end", func(m *Module) [][]byte {
			f := m.Import("http_handler", "add_header_value", Params(5), nil)
			m.Data(1000, strings.Repeat("a", 50000))
			return [][]byte{Loop(Const(0), Const(100), Const(5), Const(1000), Const(50000), Call(f))}
		}, host.ReasonTrap, "too many bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, host.Options{})
			m := plain()
			get := m.Import("http_handler", "get_header_values", Params(5), Types(I64))
			bad := c.make(m)
			m.Data(100, magic)
			if c.name == "endless recursion" {
				self := uint32(1) // the first function after the import
				if got := m.Func("", nil, nil, 0, Call(self)); got != self {
					t.Fatal(got)
				}
				bad = [][]byte{Call(self)}
			}
			// if the request has x-bad: misbehave
			code := [][]byte{Const(0), Const(100), Const(5), Const(200), Const(100), Call(get), Op(0x50, 0x45), Op(0x04, 0x40)}
			code = append(append(code, bad...), Op(0x0b), pass)
			cpu := time.Minute // a slow machine is no reason
			if c.reason == host.ReasonCPU {
				cpu = 30 * time.Millisecond
			}
			f := b.filter(t, host.Spec{Wasm: finish(m, code...), HeadersRead: all, HeadersWrite: all, Memory: 4 << 20, CPU: cpu, Deadline: time.Minute}, "")

			for range 3 {
				x := Exchange("GET", "/", "x-bad: 1")
				start := time.Now()
				v := f.Request(x)
				took := time.Since(start)
				f.Done(x)
				var trap *host.TrapError
				if v != exchange.Fail || !errors.As(x.Failure, &trap) {
					t.Fatalf("verdict %v, failure %v; want a trap", v, x.Failure)
				}
				if trap.Reason != c.reason || !strings.Contains(trap.Error(), c.text) && c.reason != host.ReasonCPU {
					t.Errorf("%v; want reason %s and %q", trap, c.reason, c.text)
				}
				if strings.Contains(trap.Error(), "\n") {
					t.Errorf("the error has more than one line: %q", trap.Error())
				}
				if c.reason == host.ReasonCPU && (took < 30*time.Millisecond || took > time.Second) {
					t.Errorf("stopped after %v, want about 30ms", took)
				}
				good := Exchange("GET", "/")
				if v := f.Request(good); v != exchange.Continue {
					t.Fatalf("the next exchange: verdict %v, %v", v, good.Failure)
				}
				Respond(good, 200, "ok")
				if v := f.Response(good); v != exchange.Continue {
					t.Fatalf("its response: verdict %v, %v", v, good.Failure)
				}
				f.Done(good)
			}
			r := string(c.reason)
			if traps, n := b.counts.read(); traps != strings.Join([]string{r, r, r}, " ") || n != 1 {
				t.Errorf("traps %q, %d instances; want three times %s and 1", traps, n, r)
			}
			if !strings.Contains(b.log.String(), "reason="+r) {
				t.Errorf("the log does not say why:\n%s", b.log.String())
			}
		})
	}
}

// A bad start fails the load.
func TestBadStart(t *testing.T) {
	b := newBed(t, host.Options{})
	m := plain()
	m.Func("_initialize", nil, nil, 0, Forever)
	wasm := finish(m, pass)
	p, err := b.Plugin(t.Context(), host.Spec{Name: "p", Wasm: wasm, StartCPU: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err) // a plain guest starts with its configuration
	}
	defer p.Close()
	var trap *host.TrapError
	if _, err := p.Filter(t.Context(), nil); !errors.As(err, &trap) || trap.Reason != host.ReasonCPU {
		t.Errorf("error %v, want a trap for cpu", err)
	}
}
