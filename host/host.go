package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/host/abi/native"
	"github.com/headgate/headgate/host/abi/proxywasm"
	"github.com/headgate/headgate/runtime/exchange"
)

// Host owns the WebAssembly runtime, what is compiled for it and all instances.
// There is one wazero runtime: its host modules are made once, compiled code is
// freed with the last pool that runs it, and each instance's memory is ours.
type Host struct {
	opts    Options
	cache   wazero.CompilationCache
	runtime wazero.Runtime
	memory  *exchange.Budget
	ticker  *ticker

	mu      sync.Mutex
	modules map[[32]byte]*module
	pools   map[string]*pool
	live    map[*pool]struct{} // with closed ones that still have instances
	stats   map[string]*stats  // by plugin
	ended   *sync.Cond         // signals that live shrank
	closed  bool

	metrics native.Meter
}

// New makes a host. Close ends it.
func New(ctx context.Context, o Options) (*Host, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{
		opts: o, memory: exchange.NewBudget(o.MemoryCeiling),
		modules: map[[32]byte]*module{}, pools: map[string]*pool{}, live: map[*pool]struct{}{}, stats: map[string]*stats{},
	}
	h.ended = sync.NewCond(&h.mu)
	h.cache = wazero.NewCompilationCache()
	if o.CacheDir != "" {
		c, err := wazero.NewCompilationCacheWithDir(o.CacheDir)
		if err != nil {
			// It makes starts faster, no more.
			o.Log.Warn("compiled plugins are not kept", "directory", o.CacheDir, "error", err.Error())
		} else {
			h.cache = c
		}
	}
	h.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCompilationCache(h.cache))
	_, err := wasi_snapshot_preview1.Instantiate(ctx, h.runtime)
	if err == nil {
		err = instantiateRefill(ctx, h.runtime)
	}
	if err == nil {
		err = native.Instantiate(ctx, h.runtime)
	}
	if err == nil {
		err = instantiateEnv(ctx, h.runtime)
	}
	if err != nil {
		_ = h.runtime.Close(ctx)
		_ = h.cache.Close(ctx)
		return nil, err
	}
	h.ticker = newTicker(h.house)
	return h, nil
}

// Close ends all plugins. It stops what runs inside them and waits until nobody
// is, at most until ctx ends; then it leaves what is still in use and says so.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	pools := h.snapshot()
	h.pools = map[string]*pool{}
	h.mu.Unlock()
	for _, p := range pools {
		p.close()
		p.cut()
	}
	stop := context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ended.Broadcast()
	})
	defer stop()
	h.mu.Lock()
	for len(h.live) > 0 && ctx.Err() == nil {
		h.ended.Wait()
	}
	left := len(h.live)
	h.mu.Unlock()
	h.ticker.close()
	if left > 0 {
		return fmt.Errorf("%d plugins are still in use: %w", left, context.Cause(ctx))
	}
	err := h.runtime.Close(ctx)
	if e := h.cache.Close(ctx); err == nil {
		err = e
	}
	return err
}

func (h *Host) snapshot() []*pool {
	list := make([]*pool, 0, len(h.live))
	for p := range h.live {
		list = append(list, p)
	}
	return list
}

func (h *Host) house() {
	h.mu.Lock()
	pools := h.snapshot()
	h.mu.Unlock()
	for _, p := range pools {
		p.house()
	}
}

// finished lets go of a closed pool once it has no instance.
func (h *Host) finished(p *pool) {
	if !p.empty() {
		return
	}
	h.mu.Lock()
	_, ok := h.live[p]
	delete(h.live, p)
	if ok {
		if p.stats.refs--; p.stats.refs == 0 {
			delete(h.stats, p.spec.Name)
			h.metrics.Forget(p.spec.Name)
		}
	}
	h.ended.Broadcast()
	h.mu.Unlock()
	if ok {
		p.module.release()
	}
}

// Memory returns the bytes of linear memory that instances have now.
func (h *Host) Memory() int64 { return h.memory.Used() }

// Plugin loads a module. The same Spec again shares what the first one made. A
// module that the host cannot run is a *ModuleError; a first instance that ends
// badly a *TrapError.
func (h *Host) Plugin(ctx context.Context, s Spec) (*Plugin, error) {
	s = s.withDefaults()
	m, err := h.module(s.Wasm)
	if err != nil {
		return nil, err
	}
	if s.Concurrency <= 0 {
		s.Concurrency = 1
		if m.proxy {
			s.Concurrency = streamsPerInstance
		}
	}
	if m.initial > uint64(s.Memory) {
		m.release()
		return nil, &ModuleError{Detail: fmt.Sprintf("the module starts with %d KiB of memory, more than limits.memory (%d KiB)", m.initial>>10, s.Memory>>10)}
	}
	p := &Plugin{host: h, module: m, spec: s}
	if m.configurable {
		p.shared, err = h.pool(ctx, s, m, nil)
	}
	if err != nil {
		m.release()
		return nil, err
	}
	return p, nil
}

// pool returns the pool of an identity, with its first instance. The caller
// gives it back with unref.
func (h *Host) pool(ctx context.Context, s Spec, m *module, only *config) (*pool, error) {
	id := s.identity(m, only)
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, ErrClosed
	}
	p := h.pools[id]
	fresh := p == nil
	if fresh {
		p = h.newPool(id, s, m, only)
		m.refs++
		h.pools[id], h.live[p] = p, struct{}{}
	}
	p.refs++
	h.mu.Unlock()
	if !fresh {
		return p, nil
	}
	in, _, err := p.acquire(ctx)
	if err != nil {
		h.unref(p)
		return nil, err
	}
	p.release(in)
	return p, nil
}

func (h *Host) newPool(id string, s Spec, m *module, only *config) *pool {
	p := &pool{
		host: h, identity: id, module: m, spec: s, log: newPluginLog(h.opts.Log, s.Name),
		all: map[*instance]struct{}{}, configs: map[string]*config{},
	}
	p.spec.Wasm = nil // compiled; the bytes need not stay
	p.stats = h.statsOf(s.Name)
	p.env = &native.Env{
		Read: abi.NewNames(s.HeadersRead), Write: abi.NewNames(s.HeadersWrite),
		MaxBody: int(s.Memory), Log: p.log, Fetcher: h.opts.Fetcher, Fetch: map[string]bool{},
		Denials: &p.stats.Denials, State: h.opts.State, Namespaces: map[string]bool{},
		Name: s.Name, Meter: &h.metrics, Keys: &native.KeySets{}, Auth: s.Auth, Call: map[string]bool{},
	}
	if m.proxy {
		p.proxyEnv = &proxywasm.Env{
			Name: s.Name, VMConfig: []byte(s.VMConfig), Read: p.env.Read, Write: p.env.Write, MaxBody: p.env.MaxBody,
			Log: p.log, Fetch: p.env.Fetch, Fetcher: p.env.Fetcher, Denials: p.env.Denials, Shared: p.stats.shared,
		}
	}
	for _, n := range s.Namespaces {
		p.env.Namespaces[n] = true
	}
	for _, n := range s.Call {
		p.env.Call[n] = true
	}
	for _, to := range s.Fetch {
		p.env.Fetch[to] = true
	}
	for _, e := range s.Env {
		name, value, literal := strings.Cut(e, "=")
		if !literal {
			var set bool
			if value, set = os.LookupEnv(name); !set {
				continue
			}
		}
		p.environ = append(p.environ, [2]string{name, value})
	}
	if only != nil {
		p.only = only
		p.configs[only.key] = only
	}
	return p
}

func (h *Host) unref(p *pool) {
	h.mu.Lock()
	p.refs--
	last := p.refs == 0
	if last && h.pools[p.identity] == p {
		delete(h.pools, p.identity)
	}
	h.mu.Unlock()
	if last {
		p.close()
	}
}

// identity is what two uses of a plugin must share to share instances. Which
// filter of the module is meant belongs to the configuration.
func (s *Spec) identity(m *module, only *config) string {
	d := sha256.New()
	fmt.Fprintf(d, "%x %q %d %d %d %d %d %d %q %q %q %q %q %q %t %q", m.digest, s.Name, s.Concurrency, s.Memory,
		s.CPU, s.Deadline, s.StartCPU, s.Instances, s.HeadersRead, s.HeadersWrite, s.Env, s.Fetch, s.Namespaces, s.VMConfig, s.Auth, s.Call)
	if only != nil {
		fmt.Fprintf(d, " %q %q", only.Filter, only.Bytes)
	}
	return hex.EncodeToString(d.Sum(nil))
}
