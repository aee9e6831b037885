package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/host/abi/native"
	"github.com/headgate/headgate/host/abi/proxywasm"
	"github.com/headgate/headgate/runtime/exchange"
)

// instance is one running copy of a module. Its calls happen one at a time.
type instance struct {
	pool  *pool
	meter *meter
	guest guest
	proxy *proxywasm.Guest // guest, if it speaks proxy-wasm
	mod   api.Module
	mem   *linear
	out   [2]*lines

	// turn is held for a call if several exchanges may be inside; else nil.
	turn chan struct{}
	busy atomic.Bool // a hint for whoever looks for an instance
	dead atomic.Bool // the guest is gone; set by the holder of the turn

	highWater int64 // recycled beyond this

	// Guarded by pool.mu.
	active   int
	listed   bool   // in pool.free
	retiring bool   // takes no further exchange
	gone     bool   // not counted any more
	used     uint64 // pool.epoch when last given back
}

// guest is an instance seen through its ABI, and the context of all calls into
// it.
type guest interface {
	context.Context
	Start(api.Module) error
	Memory() int64
	Configured(id uint32) bool
	Configurations() int
	Configure(*abi.Config) error
}

// startPatience is how many times its processor time a start may take by the
// clock: a busy machine is not the guest's fault.
const startPatience = 4

// newInstance instantiates the module. cfg is the configuration of a module
// that can have only one, else nil.
func (p *pool) newInstance(cfg *abi.Config) (*instance, error) {
	mem, err := newLinear(p.host.memory, p.module.initial, uint64(p.spec.Memory))
	if err != nil {
		return nil, fmt.Errorf("plugin %q: %w", p.spec.Name, err)
	}
	in := &instance{pool: p, mem: mem}
	in.meter = newMeter(experimental.WithMemoryAllocator(context.Background(), mem))
	if p.module.proxy {
		in.proxy = proxywasm.NewGuest(in.meter, p.proxyEnv, in)
		in.guest = in.proxy
	} else {
		in.guest = native.NewGuest(in.meter, p.env, cfg)
	}
	in.out = [2]*lines{{log: p.log, level: slog.LevelInfo}, {log: p.log, level: slog.LevelWarn}}
	if p.spec.Concurrency > 1 || p.module.proxy || p.module.chunks { // which are entered at any time
		in.turn = make(chan struct{}, 1)
	}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithStdout(in.out[0]).WithStderr(in.out[1]).WithRandSource(rand.Reader).
		WithSysWalltime().WithSysNanotime().WithNanosleep(in.meter.sleep)
	if clock := p.host.opts.Clock; clock != nil {
		config = config.WithWalltime(func() (int64, int32) {
			t := clock()
			return t.Unix(), int32(t.Nanosecond())
		}, 1)
	}
	for _, e := range p.environ {
		config = config.WithEnv(e[0], e[1])
	}
	in.begin(p.spec.StartCPU, startPatience*p.spec.StartCPU)
	in.mod, err = p.host.runtime.InstantiateModule(in.guest, p.module.compiled, config)
	if err == nil {
		in.meter.attach(in.mod)
		if err = in.guest.Start(in.mod); err == nil && in.mod.IsClosed() {
			err = sys.NewExitError(0)
		}
	}
	if err = in.finish(err); err != nil {
		in.kill()
		return nil, err
	}
	in.settle()
	p.gauge(1)
	return in, nil
}

// Enter implements abi.Entry: the turn, and the limits of a callback.
func (in *instance) Enter(ctx context.Context) error {
	waited, err := in.lock(ctx, in.pool.spec.Deadline)
	if err != nil {
		return err
	}
	if in.dead.Load() {
		in.unlock()
		return errDead
	}
	in.begin(in.pool.spec.CPU, in.pool.spec.Deadline-waited)
	return nil
}

// Leave implements abi.Entry.
func (in *instance) Leave(err error) error {
	defer in.unlock()
	return in.finish(err)
}

// settle notes how much memory the guest uses at rest.
func (in *instance) settle() {
	in.highWater = max(in.pool.spec.Memory/4*3, 2*in.guest.Memory())
}

// lock waits for the turn, at most as long as given.
func (in *instance) lock(ctx context.Context, wait time.Duration) (waited time.Duration, err error) {
	if in.turn == nil {
		return 0, nil
	}
	select {
	case in.turn <- struct{}{}:
		return 0, nil
	default:
	}
	start := time.Now()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case in.turn <- struct{}{}:
		return time.Since(start), nil
	case <-t.C:
		return wait, ErrBusy
	case <-ctx.Done():
		return time.Since(start), context.Cause(ctx)
	}
}

func (in *instance) unlock() {
	if in.turn != nil {
		<-in.turn
	}
}

func (in *instance) begin(cpu, wall time.Duration) {
	in.busy.Store(true)
	in.mem.denied = false
	in.meter.begin(cpu, wall)
}

// count adds the call to what is known of the plugin.
func (in *instance) count() {
	s, m := in.pool.stats, in.meter
	s.calls.Add(1)
	s.nanos.Add(int64(time.Since(m.began)))
	s.fuel.Add(m.spent + m.held - m.left())
}

// finish ends a call that returned err. What is not the guest's own refusal
// costs the instance.
func (in *instance) finish(err error) error {
	in.count()
	reason := in.meter.end()
	in.busy.Store(false)
	if err == nil && reason == "" {
		return nil
	}
	var refused *abi.ConfigError
	var failed *abi.FailError
	if reason == "" && (errors.As(err, &refused) || errors.As(err, &failed)) {
		in.meter.unwound()
		return fmt.Errorf("plugin %q: %w", in.pool.spec.Name, err)
	}
	in.out[0].flush()
	in.out[1].flush()
	var exit *sys.ExitError
	switch {
	case reason != "":
		err = errLimit
	case in.mem.denied:
		reason = ReasonMemory
	case errors.As(err, &exit):
		reason, err = ReasonExit, fmt.Errorf("exit code %d", exit.ExitCode())
	default:
		reason = ReasonTrap
	}
	in.kill()
	in.pool.lost(in)
	text, stack, _ := strings.Cut(err.Error(), "\n")
	text = strings.TrimSuffix(text, " (recovered by wazero)")
	in.pool.trapped(reason, text, stack)
	return &TrapError{Plugin: in.pool.spec.Name, Reason: reason, Err: &firstLine{text, err}}
}

// firstLine is an error whose text is one line.
type firstLine struct {
	text string
	err  error
}

func (e *firstLine) Error() string { return e.text }
func (e *firstLine) Unwrap() error { return e.err }

// destroy ends an instance that no exchange is in.
func (in *instance) destroy() {
	if in.turn != nil { // a timer of the guest may be inside
		in.turn <- struct{}{}
		defer in.unlock()
	}
	in.kill()
}

// kill ends the instance and frees its memory. The caller holds the turn.
func (in *instance) kill() {
	if in.dead.Swap(true) {
		return
	}
	if in.proxy != nil {
		in.proxy.Close()
	}
	if in.mod != nil {
		_ = in.mod.Close(context.Background())
	}
	in.mem.Free()
}

// ready locks the instance and configures it if need be. On success the caller
// holds the turn.
func (in *instance) ready(ctx context.Context, cfg *abi.Config, wait time.Duration) (waited time.Duration, err error) {
	if waited, err = in.lock(ctx, wait); err != nil {
		return waited, err
	}
	if in.dead.Load() {
		in.unlock()
		return waited, errDead
	}
	if in.guest.Configured(cfg.ID) {
		return waited, nil
	}
	in.begin(in.pool.spec.StartCPU, startPatience*in.pool.spec.StartCPU)
	if err = in.finish(in.guest.Configure(cfg)); err != nil {
		in.unlock()
		return waited, err
	}
	in.settle()
	return waited, nil
}

var errDead = errors.New("the instance ended in another exchange")

// request runs the request side. The caller holds a place in the instance.
func (in *instance) request(x *exchange.Exchange, s *native.Session, cfg *abi.Config, waited time.Duration) (v exchange.Verdict, wanted bool, err error) {
	spec := &in.pool.spec
	more, err := in.ready(x.Context(), cfg, spec.Deadline-waited)
	if err != nil {
		return exchange.Fail, false, err
	}
	defer in.unlock()
	in.begin(spec.CPU, spec.Deadline-waited-more)
	v, wanted, err = in.guest.(*native.Guest).Request(x, s, cfg)
	if err = in.finish(err); err != nil {
		return exchange.Fail, false, err
	}
	return v, wanted, nil
}

// response runs the response side in the instance that had the request.
func (in *instance) response(x *exchange.Exchange, s *native.Session, cfg *abi.Config) error {
	spec := &in.pool.spec
	waited, err := in.ready(x.Context(), cfg, spec.Deadline)
	if err != nil {
		return err
	}
	defer in.unlock()
	in.begin(spec.CPU, spec.Deadline-waited)
	return in.finish(in.guest.(*native.Guest).Response(x, s, cfg))
}

// end tells the guest that an exchange is over.
func (in *instance) end(s *native.Session, cfg *abi.Config) {
	spec := &in.pool.spec
	waited, err := in.ready(context.Background(), cfg, spec.Deadline)
	if err != nil {
		return
	}
	defer in.unlock()
	in.begin(spec.CPU, spec.Deadline-waited)
	_ = in.finish(in.guest.(*native.Guest).End(s, cfg)) // logged and counted; the exchange is over
}
