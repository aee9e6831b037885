package host

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/host/abi/native"
	"github.com/headgate/headgate/host/abi/proxywasm"
)

// staleConfigs is how many configurations that nobody uses any more an instance
// may hold before it is replaced.
const staleConfigs = 16

// idleEpochs is how many periods of housekeeping an instance may be unused.
const idleEpochs = 4

// pool keeps the instances of one plugin identity: module, grants, limits and,
// for a module that can have only one, its configuration.
type pool struct {
	host     *Host
	identity string
	module   *module
	spec     Spec
	env      *native.Env
	proxyEnv *proxywasm.Env // of a module that speaks proxy-wasm
	environ  [][2]string
	log      *pluginLog
	stats    *stats
	only     *config // the configuration of a plain http-wasm module

	sessions sync.Pool

	refs int // guarded by host.mu

	mu      sync.Mutex
	free    []*instance // with a place left; used last is last
	all     map[*instance]struct{}
	total   int // with those being made
	waiters []chan *instance
	configs map[string]*config
	lastID  uint32
	epoch   uint64
	closed  bool

	quarantine quarantine
	suspect    atomic.Bool // in quarantine
}

// config is a configuration and how many filters use it.
type config struct {
	abi.Config
	key  string
	refs int
}

func (p *pool) gauge(delta int) {
	if g := p.host.opts.Gauge; g != nil {
		g.Instances(p.spec.Name, delta)
	}
}

func (p *pool) trapped(r Reason, text, stack string) {
	p.failed()
	if t := p.host.opts.Traps; t != nil {
		t.Trap(p.spec.Name, string(r))
	}
	if ok, dropped := p.log.take(); ok {
		p.log.log.LogAttrs(context.Background(), slog.LevelWarn, "plugin call ended badly",
			slog.String("reason", string(r)), slog.String("error", text), slog.String("stack", stack), slog.Int("lines_dropped", dropped))
	}
}

// configure returns the configuration of a filter with these bytes. One with
// values is like no other.
func (p *pool) configure(filter string, text []byte, values []abi.Value) *config {
	key := filter + "\x00" + string(text)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(values) > 0 {
		key = fmt.Sprintf("%d\x00%s", p.lastID+1, key)
	}
	c := p.configs[key]
	if c == nil {
		p.lastID++
		c = &config{Config: abi.Config{ID: p.lastID, Filter: filter, Bytes: slices.Clone(text), Values: values}, key: key}
		p.configs[key] = c
	}
	c.refs++
	return c
}

// forget gives a configuration back.
func (p *pool) forget(c *config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.refs--; c.refs == 0 {
		delete(p.configs, c.key)
	}
}

// place is acquire for an exchange, whose waiting is counted.
func (p *pool) place(ctx context.Context) (in *instance, waited time.Duration, err error) {
	in, waited, err = p.acquire(ctx)
	if waited > 0 {
		p.stats.waits.Add(1)
		p.stats.waited.Add(int64(waited))
	}
	return in, waited, err
}

// acquire returns an instance with a place for one exchange, waiting at most
// the plugin's deadline.
func (p *pool) acquire(ctx context.Context) (in *instance, waited time.Duration, err error) {
	p.mu.Lock()
	if in := p.take(); in != nil {
		p.mu.Unlock()
		return in, 0, nil
	}
	start := time.Now()
	for {
		if p.closed {
			p.mu.Unlock()
			return nil, 0, ErrClosed
		}
		if p.total < p.spec.Instances {
			p.total++
			p.mu.Unlock()
			in, err := p.make()
			return in, time.Since(start), err
		}
		w := make(chan *instance, 1)
		p.waiters = append(p.waiters, w)
		p.mu.Unlock()
		if in, err = p.wait(ctx, w, p.spec.Deadline-time.Since(start)); in != nil || err != nil {
			return in, time.Since(start), err
		}
		p.mu.Lock() // an instance went away: make one, or look again
		if in := p.take(); in != nil {
			p.mu.Unlock()
			return in, time.Since(start), nil
		}
	}
}

// take returns an instance with a place left, or nil. A shared instance that is
// inside a call is passed over while there are fewer of them than processors.
func (p *pool) take() *instance {
	n := len(p.free)
	if n == 0 {
		return nil
	}
	in := p.free[n-1]
	if p.spec.Concurrency > 1 && in.busy.Load() {
		for i := n - 2; i >= 0 && in.busy.Load(); i-- {
			in = p.free[i]
		}
		if in.busy.Load() && p.total < min(p.spec.Instances, runtime.GOMAXPROCS(0)) && !p.closed {
			return nil
		}
	}
	in.active++
	if in.active == p.spec.Concurrency {
		p.unlist(in)
	}
	return in
}

func (p *pool) unlist(in *instance) {
	if in.listed {
		in.listed = false
		if i := slices.Index(p.free, in); i >= 0 {
			p.free = slices.Delete(p.free, i, i+1)
		}
	}
}

// make creates an instance for the caller; the place in total is taken.
func (p *pool) make() (*instance, error) {
	in, err := p.newInstance(p.only.config())
	p.mu.Lock()
	if err != nil {
		p.total--
		p.next(nil)
		p.mu.Unlock()
		p.host.finished(p)
		return nil, err
	}
	defer p.mu.Unlock()
	p.all[in] = struct{}{}
	in.active = 1
	if in.active < p.spec.Concurrency && !p.closed {
		in.listed = true
		p.free = append(p.free, in)
	}
	return in, nil
}

func (c *config) config() *abi.Config {
	if c == nil {
		return nil
	}
	return &c.Config
}

// wait returns the instance that comes through w; neither instance nor error
// means that the caller should look again.
func (p *pool) wait(ctx context.Context, w chan *instance, d time.Duration) (*instance, error) {
	t := time.NewTimer(d)
	defer t.Stop()
	err := ErrBusy
	select {
	case in := <-w:
		return in, nil
	case <-t.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.mu.Lock()
	i := slices.Index(p.waiters, w)
	if i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 {
		// It was served meanwhile.
		if in := <-w; in != nil {
			return in, nil
		}
		p.mu.Lock()
		p.next(nil) // the chance was for somebody
		p.mu.Unlock()
	}
	return nil, err
}

// next gives the first waiter a place in in, or nil for the chance to make an
// instance. It reports whether there was one.
func (p *pool) next(in *instance) bool {
	if len(p.waiters) == 0 {
		return false
	}
	w := p.waiters[0]
	p.waiters = slices.Delete(p.waiters, 0, 1)
	w <- in
	return true
}

// release gives a place in an instance back.
func (p *pool) release(in *instance) {
	p.mu.Lock()
	in.active--
	in.used = p.epoch
	dead := in.dead.Load()
	if !dead {
		p.quarantine.count()
	}
	if dead || p.closed || in.active == 0 && p.worn(in) {
		p.retire(in)
	}
	if !in.retiring && !p.pass(in) && !in.listed {
		in.listed = true
		p.free = append(p.free, in)
	}
	last := in.retiring && in.active == 0
	if last {
		p.remove(in)
	}
	p.mu.Unlock()
	if last {
		in.destroy()
		p.host.finished(p)
	}
}

// pass hands the place in in on to a waiter.
func (p *pool) pass(in *instance) bool {
	if len(p.waiters) == 0 {
		return false
	}
	in.active++
	return p.next(in)
}

// worn reports whether an instance that nobody is in should be replaced.
func (p *pool) worn(in *instance) bool {
	return in.mem.taken.Load() > in.highWater || in.guest.Configurations() > len(p.configs)+staleConfigs
}

// retire lets no further exchange into an instance and makes place for another.
func (p *pool) retire(in *instance) {
	if in.retiring {
		return
	}
	in.retiring = true
	p.unlist(in)
	p.total--
	p.next(nil)
}

// lost takes an instance whose guest is dead out of use.
func (p *pool) lost(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.all[in]; ok {
		p.retire(in)
	}
}

// remove forgets a retired instance that nobody is in.
func (p *pool) remove(in *instance) {
	if !in.gone {
		in.gone = true
		delete(p.all, in)
		p.gauge(-1)
	}
}

// house ends instances that were not used for a while, but one.
func (p *pool) house() {
	var idle []*instance
	p.mu.Lock()
	p.epoch++
	for _, in := range slices.Clone(p.free) {
		if in.active == 0 && p.total > 1 && p.epoch-in.used > idleEpochs {
			p.retire(in)
			p.remove(in)
			idle = append(idle, in)
		}
	}
	p.mu.Unlock()
	for _, in := range idle {
		in.destroy()
	}
}

// close ends the pool: idle instances now, the others as they are given back.
func (p *pool) close() {
	var idle []*instance
	p.mu.Lock()
	p.closed = true
	for in := range p.all {
		p.retire(in)
		if in.active == 0 {
			p.remove(in)
			idle = append(idle, in)
		}
	}
	for len(p.waiters) > 0 {
		p.next(nil)
	}
	p.mu.Unlock()
	for _, in := range idle {
		in.destroy()
	}
	p.host.finished(p)
}

// cut ends every running call.
func (p *pool) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for in := range p.all {
		in.meter.cut()
	}
}

// empty reports whether a closed pool has no instance left.
func (p *pool) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed && len(p.all) == 0 && p.total == 0
}
