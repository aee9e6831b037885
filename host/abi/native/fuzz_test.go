package native

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

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

type silent struct{}

func (silent) Enabled(slog.Level) bool        { return true }
func (silent) Log(slog.Level, string, string) {}

// anyone answers every request that may be sent.
type anyone struct{ t *testing.T }

func (a anyone) Fetch(_ context.Context, _ *exchange.Exchange, to string, q *exchange.Fetch) error {
	if !exchange.ValidName(q.Method) || q.Method == "CONNECT" || q.Path[0] != '/' || strings.ContainsAny(q.Path+q.RawQuery+q.Authority, " \r\n\x00#") || to != "upstream://a" {
		a.t.Errorf("%s %s %q?%q", q.Method, to, q.Path, q.RawQuery)
	}
	q.Status, q.Content = 200, []byte("answer")
	q.Answer.Add("x-a", "1")
	return nil
}

// shelf is a State of one value.
type shelf struct{ value []byte }

func (s *shelf) Get(string, string) ([]byte, bool) { return s.value, s.value != nil }
func (s *shelf) Set(_, _ string, v []byte, _ time.Duration) bool {
	s.value = v
	return len(v) < 100
}
func (s *shelf) Delete(string, string) bool { return s.value != nil }
func (s *shelf) Swap(_, _ string, _ []byte, absent bool, v []byte, _ time.Duration) (bool, bool) {
	return absent, len(v) < 100
}
func (s *shelf) Take(string, string, Rate) (Taken, bool) { return Taken{Remaining: 1 << 40}, true }

// fuzzConfig has a value of each kind, one that fails, and one that waits.
func fuzzConfig() *abi.Config {
	c := &abi.Config{ID: 1}
	for _, v := range []exchange.Value{{}, {Kind: exchange.KindBool}, {Kind: exchange.KindNumber, Num: 1e308}, exchange.Text("text"), {Kind: exchange.KindJSON, JSON: []any{1.5}}} {
		c.Values = append(c.Values, abi.Value{Eval: func(*exchange.Exchange) (exchange.Value, error) { return v, nil }})
	}
	fails := func(*exchange.Exchange) (exchange.Value, error) { return exchange.Value{}, errors.New("it fails") }
	return &abi.Config{ID: 1, Values: append(c.Values, abi.Value{Eval: fails}, abi.Value{Eval: fails, Waits: true})}
}

// FuzzHostFunctions calls host functions with any arguments and any content of
// memory, as a hostile guest can. They may end the call with a *callError and do
// nothing else but their work: every other panic is a bug, and what they leave in
// the exchange may be sent.
func FuzzHostFunctions(f *testing.F) {
	ctx := f.Context()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Cleanup(func() { _ = rt.Close(context.Background()) })
	var m hosttest.Module
	m.Memory(1, 1)
	mod, err := rt.Instantiate(ctx, m.Bytes())
	if err != nil {
		f.Fatal(err)
	}
	functions := append(handlerFunctions(), extraFunctions()...)
	seed := func(memory, name string, args ...uint32) {
		i := slices.IndexFunc(functions, func(fn function) bool { return fn.name == name })
		script := []byte{byte(i), byte(phaseRequest)}
		for _, a := range args {
			script = binary.LittleEndian.AppendUint32(script, a)
		}
		f.Add([]byte(memory), script)
	}
	seed("x-a\x00value", "set_header_value", 0, 0, 3, 4, 5)
	seed("/a/../b?c", "set_uri", 0, 9)
	seed("CONNECT", "set_method", 0, 7)
	seed("upstream://a/bx-c\x00d\x00", "fetch", 0, 0, 0, 14, 14, 6, 0, 0, 0)
	seed("\x00\x00\x00\x00\x0e\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00upstream://a/b", "fetch_many", 0, 34)
	seed("nkey", "state_set", 0, 1, 1, 3, 1, 3, 0)
	seed("", "value", 4, 0, 100)
	seed(`{"subject":"a","claims":{"b":[1]}}`, "auth_set", 0, 34)
	seed(`{"a":[1,{"b":2}]}a.1.b`, "json_get", 2, 0, 17, 17, 5, 100, 100)
	seed(`{"a":[1,{"b":2}]}a.1.b`, "json_set", 2, 0, 17, 17, 5, 1, 3, 100, 100)
	seed("x_totala\x00b\x00", "metric", 0, 0, 7, 7, 4, 0)
	seed(ecKey+ecToken, "jws_verify", 0, uint32(len(ecKey)), uint32(len(ecKey)), uint32(len(ecToken)), 0, 0, 1000, 1000)
	seed("{{a.b}}x"+`{"a":{"b":1}}`, "template", 1, 0, 8, 8, 13, 100, 100)
	seed(`<a b="c">d<!--e--></a>`, "xml_tokens", 2, 0, 22, 100, 1000)
	seed(`[["start","a",[["b","c"]]],["end","a"]]`, "xml_write", 0, 40, 100, 100)
	f.Fuzz(func(t *testing.T, memory, script []byte) {
		g := NewGuest(free{ctx}, &Env{Name: "fuzz", Meter: &Meter{}, Keys: &KeySets{}, Auth: true, Call: map[string]bool{"n": true}, Read: abi.NewNames([]string{"*"}), Write: abi.NewNames([]string{"x-*", "content-length", "host"}), MaxBody: 1 << 10, Log: silent{},
			Fetch: map[string]bool{"upstream://a": true}, Fetcher: anyone{t}, Namespaces: map[string]bool{"n": true}, State: &shelf{}}, fuzzConfig())
		g.module, g.mem = mod, mod.Memory()
		if len(memory) > 1<<16 {
			memory = memory[:1<<16]
		}
		g.mem.Write(0, memory)
		x := hosttest.Exchange("GET", "/a", "Host: example.com", "X-A: 1", "x-a: 2", "Content-Length: 3")
		x.Request.SetBytes([]byte("abc"))
		hosttest.Respond(x, 200, "response", "x-b: 1")
		s := &Session{}
		s.start(featuresOffered)
		for len(script) > 1 {
			fn := functions[int(script[0])%len(functions)]
			g.phase, g.x, g.s = phase(script[1])%(phaseDone+1), x, s
			g.chunk = chunk{in: []byte("a chunk")}
			if g.phase < phaseRequest || g.phase == phaseDone {
				g.x = nil
			}
			script = script[2:]
			var stack [10]uint64
			for i := range fn.params {
				if len(script) < 4 {
					return
				}
				stack[i] = uint64(binary.LittleEndian.Uint32(script))
				script = script[4:]
			}
			protect(t, g, fn, stack[:])
		}
		s.finishRequest(x)
		s.BeginResponse(x)
		for _, h := range []*exchange.Head{&x.Request.Head, &x.Response.Head} {
			for i := range h.Len() {
				if _, n, v := h.At(i); !exchange.ValidName(n) || !exchange.ValidValue(v) {
					t.Errorf("field %q: %q", n, v)
				}
			}
		}
		if v, _ := x.Request.Head.Get("host"); string(v) != "example.com" {
			t.Errorf("host is %q", v)
		}
		if !exchange.ValidName(x.Request.Method) || x.Request.Method == "CONNECT" || x.Request.Method == "HEAD" {
			t.Errorf("method %q", x.Request.Method)
		}
		if r := &x.Request; r.Path[0] != '/' || strings.ContainsAny(r.Path+r.RawQuery, " \r\n\x00#") {
			t.Errorf("URI %q?%q", r.Path, r.RawQuery)
		}
	})
}

func protect(t *testing.T, g *Guest, fn function, stack []uint64) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(*callError); !ok {
				t.Errorf("%s%v: %v", fn.name, stack, r)
				panic(r)
			}
		}
	}()
	fn.call(g, stack)
}

func TestSplitURI(t *testing.T) {
	for _, c := range []struct {
		uri, path, query string
		ok               bool
	}{
		{"/", "/", "", true},
		{"/a/b/", "/a/b/", "", true},
		{"/a?b=c?d", "/a", "b=c?d", true},
		{"/%2F%5C%C3%A4", "/%2F%5C%C3%A4", "", true},
		{"/a..b/.../c.", "/a..b/.../c.", "", true},
		{"/?", "/", "", true},
		{"", "", "", false},
		{"a", "", "", false},
		{"?a", "", "", false},
		{"/a//b", "", "", false},
		{"//", "", "", false},
		{"/.", "", "", false},
		{"/..", "", "", false},
		{"/a/./b", "", "", false},
		{"/%2e", "", "", false},
		{"/%41", "", "", false},
		{"/%00", "", "", false},
		{"/%", "", "", false},
		{"/%4", "", "", false},
		{"/%zz", "", "", false},
		{`/a\b`, "", "", false},
		{"/ä", "", "", false},
		{"/a b", "", "", false},
		{"/a?b c", "", "", false},
		{"/a#b", "", "", false},
		{"/a?b#c", "", "", false},
		{"/a\x7f", "", "", false},
	} {
		path, query, ok := abi.SplitURI([]byte(c.uri))
		if string(path) != c.path || string(query) != c.query || ok != c.ok {
			t.Errorf("%q: %q, %q, %v; want %q, %q, %v", c.uri, path, query, ok, c.path, c.query, c.ok)
		}
	}
}
