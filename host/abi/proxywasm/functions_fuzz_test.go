package proxywasm

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/host/hosttest"
	"github.com/headgate/headgate/runtime/exchange"
)

// free is a Limiter without limits.
type free struct{ context.Context }

func (free) Pause(func()) {}
func (free) Resume()      {}
func (free) Spend(int64)  {}

// shut lets nobody in: answers of calls come too late.
type shut struct{}

func (shut) Enter(context.Context) error { return errors.New("shut") }
func (shut) Leave(err error) error       { return err }

type silent struct{}

func (silent) Enabled(slog.Level) bool        { return true }
func (silent) Log(slog.Level, string, string) {}

// strict looks at the requests that are sent.
type strict struct{ t *testing.T }

func (s strict) Fetch(_ context.Context, _ *exchange.Exchange, to string, q *exchange.Fetch) error {
	if !exchange.ValidName(q.Method) || q.Method == "CONNECT" || !strings.HasPrefix(q.Path, "/") || strings.ContainsAny(q.Path+q.RawQuery+q.Authority, " \r\n\x00#") || to != "upstream://a" {
		s.t.Errorf("%s %s %q?%q", q.Method, to, q.Path, q.RawQuery)
	}
	return nil
}

// FuzzHostFunctions calls host functions with any arguments and any content of
// memory, as a hostile guest can. None of them may panic, and what they leave in
// the exchange may be sent.
func FuzzHostFunctions(f *testing.F) {
	ctx := f.Context()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Cleanup(func() { _ = rt.Close(context.Background()) })
	var m hosttest.Module
	m.Memory(2, 2)
	m.Func("malloc", hosttest.Params(1), hosttest.Params(1), 0, hosttest.Const(1<<16))
	mod, err := rt.Instantiate(ctx, m.Bytes())
	if err != nil {
		f.Fatal(err)
	}
	all := functions()
	index := func(name string) byte {
		for i, fn := range all {
			if fn.name == name {
				return byte(i)
			}
		}
		f.Fatal(name)
		return 0
	}
	words := func(name string, at byte, args ...byte) []byte {
		p := []byte{index(name), at}
		for _, a := range args {
			p = append(p, a, 0, 0, 0)
		}
		return p
	}
	f.Add([]byte("x-avalue"), words("proxy_replace_header_map_value", byte(stageRequestHeaders), 0, 0, 3, 3, 5))
	f.Add([]byte(":path/a/../b"), words("proxy_add_header_map_value", byte(stageRequestHeaders), 0, 0, 5, 5, 7))
	f.Add([]byte("a\x01\x00\x00\x00\x05\x00\x00\x00\x01\x00\x00\x00:path\x00/\x00"), words("proxy_http_call", byte(stageRequestHeaders), 0, 1, 1, 20, 0, 0, 0, 0, 9, 100))
	f.Add([]byte("body"), words("proxy_set_buffer_bytes", byte(stageRequestBody), 0, 0, 1, 0, 4))
	f.Add([]byte("request\x00headers\x00x-a"), words("proxy_get_property", byte(stageLog), 0, 19, 100, 104))
	f.Fuzz(func(t *testing.T, memory, script []byte) {
		g := NewGuest(free{ctx}, &Env{
			Name: "fuzz", Read: abi.NewNames([]string{"*"}), Write: abi.NewNames([]string{"x-*", "content-length", "host"}), MaxBody: 1 << 10,
			Log: silent{}, Fetch: map[string]bool{"upstream://a": true}, Fetcher: strict{t}, Shared: NewShared(),
		}, shut{})
		g.mem, g.on.alloc = mod.Memory(), mod.ExportedFunction("malloc")
		g.mem.Write(0, memory[:min(len(memory), 1<<16)])
		x := hosttest.Exchange("GET", "/a", "Host: example.com", "X-A: 1", "x-a: 2", "Content-Length: 3")
		x.Conn, x.Properties = &exchange.Conn{Listener: &exchange.ListenerInfo{}}, &exchange.Properties{}
		x.Request.SetBytes([]byte("abc"))
		hosttest.Respond(x, 200, "response", "x-b: 1")
		r := &root{id: 1, cfg: &abi.Config{ID: 1, Bytes: []byte("config")}}
		g.roots[1] = r
		s := &Stream{g: g, root: r, id: 2, x: x}
		g.streams[2] = s
		for len(script) > 1 {
			fn, at := all[int(script[0])%len(all)], stage(script[1])%(stageLog+1)
			script = script[2:]
			chunk := []byte("a chunk")
			g.about(r, s, at)
			g.buffer = &chunk
			var stack [12]uint64
			for i := range fn.params {
				if len(script) < 4 {
					return
				}
				stack[i] = uint64(script[0]) | uint64(script[1])<<8 | uint64(script[2])<<16 | uint64(script[3])<<24
				script = script[4:]
			}
			fn.call(g, stack[:])
			if len(chunk) > 1<<10+7 {
				t.Errorf("%s: a body of %d bytes", fn.name, len(chunk))
			}
		}
		for _, h := range []*exchange.Head{&x.Request.Head, &x.Response.Head} {
			for i := range h.Len() {
				if _, name, value := h.At(i); !exchange.ValidName(name) || !exchange.ValidValue(value) {
					t.Errorf("%q: %q", name, value)
				}
			}
		}
		if !validAuthority([]byte(x.Request.Authority)) || !exchange.ValidName(x.Request.Method) || x.Response.Status < 200 || x.Response.Status > 599 {
			t.Errorf("%q %q %d", x.Request.Authority, x.Request.Method, x.Response.Status)
		}
		if _, _, ok := abi.SplitURI([]byte(g.path(x))); !ok {
			t.Errorf("path %q", g.path(x))
		}
		g.Close()
	})
}
