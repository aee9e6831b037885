package golden

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aymanbagabas/go-udiff"

	"github.com/headgate/headgate/host"
	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// Player plays files against one module.
type Player struct {
	host  *host.Host
	wasm  []byte
	state func(clock func() time.Time) host.State
	now   atomic.Pointer[world]

	played int
	last   *host.Plugin // keeps the compiled module from one file to the next
}

// NewPlayer makes a player of a module. cache is where compiled code is kept, ""
// for nowhere; state makes an empty store that goes by a clock. Close ends it.
func NewPlayer(ctx context.Context, wasm []byte, cache string, state func(clock func() time.Time) host.State) (*Player, error) {
	p := &Player{wasm: wasm, state: state}
	p.now.Store(p.newWorld(start()))
	h, err := host.New(ctx, host.Options{
		CacheDir: cache, Log: slog.New(logger{p}), Fetcher: p, State: shared{p},
		Clock: func() time.Time { return p.world().time() },
	})
	p.host = h
	return p, err
}

func (p *Player) newWorld(clock time.Time) *world {
	w := &world{}
	w.clock.Store(&clock)
	w.State = p.state(w.time)
	return w
}

// Close frees the module.
func (p *Player) Close(ctx context.Context) error {
	if p.last != nil {
		p.last.Close()
	}
	return p.host.Close(ctx)
}

func (p *Player) world() *world { return p.now.Load() }

// Fetch implements host.Fetcher.
func (p *Player) Fetch(ctx context.Context, x *exchange.Exchange, to string, q *exchange.Fetch) error {
	return p.world().Fetch(ctx, x, to, q)
}

// Result is what became of a file.
type Result struct {
	// Diff is a unified diff from what was expected to what came out; "" if that is
	// the same.
	Diff string
	// Text is the file with what came out.
	Text []byte
}

// patience bounds a whole file.
const patience = time.Minute

// Play plays a file from the start, with a fresh instance and a fresh state. The
// error is a *host.ModuleError or *host.TrapError of a module that does not
// start.
func (p *Player) Play(ctx context.Context, f *File) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w := p.newWorld(f.started())
	p.now.Store(w)
	for _, e := range f.state {
		if !w.Set(e.namespace, e.key, []byte(e.value), 0) {
			return nil, fmt.Errorf("%s: state %s %s is too large", f.Name, e.namespace, e.key)
		}
	}
	refused, out, err := p.play(ctx, f, w)
	if err != nil {
		return nil, err
	}
	wantRefused, want := f.expected()
	got := f.with(refused, out)
	return &Result{
		Diff: udiff.Unified(f.Name+" (expected)", f.Name+" (came out)", string(f.with(wantRefused, want)), string(got)),
		Text: got,
	}, nil
}

func (p *Player) play(ctx context.Context, f *File, w *world) (refused string, out []outcome, err error) {
	filter, err := p.filter(ctx, f)
	var refusal *abi.ConfigError
	switch {
	case errors.As(err, &refusal):
		return refusal.Reason + "\n", nil, nil
	case err != nil:
		return "", nil, err
	}
	for i, s := range f.exchanges {
		w.begin(s, f)
		w.clock.Store(&s.clock)
		r := run{filter: filter, scene: s, buffer: f.buffer(), x: newExchange(ctx, i+1, s.clock)}
		out = append(out, r.outcome(w))
	}
	return "", out, nil
}

// filter makes the filter of a file, in an instance of its own.
func (p *Player) filter(ctx context.Context, f *File) (exchange.Filter, error) {
	p.played++
	plugin, err := p.host.Plugin(ctx, f.plugin.Spec(fmt.Sprintf("plugin-%d", p.played), p.wasm))
	if err != nil {
		return nil, err
	}
	if p.last != nil {
		p.last.Close()
	}
	p.last = plugin
	return plugin.Filter(ctx, f.config)
}

// Spec is the plugin as the host takes it.
func (p *Plugin) Spec(name string, wasm []byte) host.Spec {
	return host.Spec{
		Name: name, Wasm: wasm, Filter: p.Filter, VMConfig: p.VMConfig, Concurrency: p.Concurrency,
		Memory: p.Limits.Memory, CPU: time.Duration(p.Limits.CPU), Deadline: time.Duration(p.Limits.Deadline),
		HeadersRead: p.Allow.Headers.Read, HeadersWrite: p.Allow.Headers.Write,
		Fetch: p.Allow.Fetch, Namespaces: p.Allow.State, Auth: p.Allow.Auth, Call: p.Allow.Call, Env: p.Env, Instances: 1,
	}
}

func newExchange(ctx context.Context, n int, now time.Time) *exchange.Exchange {
	x := &exchange.Exchange{}
	peer := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.7:1234"))
	local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:80"))
	x.Reset(ctx, exchange.NewConn(&exchange.ListenerInfo{Name: "test"}, peer, local, nil, 0), nil)
	x.ID, x.RemoteIP = fmt.Sprintf("request-%d", n), x.Conn.Peer.Addr()
	x.Start, x.Now = now, now
	x.Enter(0, 1)
	return x
}

// shared is the state of the file that is played.
type shared struct{ p *Player }

// Get implements host.State.
func (s shared) Get(ns, key string) ([]byte, bool) { return s.p.world().Get(ns, key) }

// Set implements host.State.
func (s shared) Set(ns, key string, value []byte, ttl time.Duration) bool {
	return s.p.world().Set(ns, key, value, ttl)
}

// Delete implements host.State.
func (s shared) Delete(ns, key string) bool { return s.p.world().Delete(ns, key) }

// Swap implements host.State.
func (s shared) Swap(ns, key string, old []byte, absent bool, value []byte, ttl time.Duration) (done, allowed bool) {
	return s.p.world().Swap(ns, key, old, absent, value, ttl)
}

// Take implements host.State.
func (s shared) Take(ns, key string, r host.Rate) (host.Taken, bool) {
	return s.p.world().Take(ns, key, r)
}

// target takes a request target apart.
func target(s string) (path, query string) {
	path, query, _ = strings.Cut(s, "?")
	return path, query
}
