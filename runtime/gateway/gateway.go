package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/headgate/headgate/host"
	"github.com/headgate/headgate/host/source"
	"github.com/headgate/headgate/policies"
	"github.com/headgate/headgate/runtime/admin"
	"github.com/headgate/headgate/runtime/certs"
	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/listen"
	"github.com/headgate/headgate/runtime/proxy"
	"github.com/headgate/headgate/runtime/telemetry"
	"github.com/headgate/headgate/runtime/upstream"
)

// Options say where a gateway finds its configuration and where it speaks.
type Options struct {
	Source config.Source
	// CacheDir keeps plugins between runs, compiled ones and those that came over
	// the network; "" keeps them in memory.
	CacheDir string
	// Offline takes nothing from the network that a configuration is made of; for
	// Validate and Explain, which warn of what they could not check.
	Offline bool
	// PIDFile is where Run writes the number of the process that serves; "" is
	// nowhere.
	PIDFile string
	// Sockets is where listening sockets come from; nil binds them all.
	Sockets *listen.Sockets
	// Stdout takes the access log, Stderr the log; both required.
	Stdout, Stderr io.Writer
}

// Gateway is a running gateway.
type Gateway struct {
	opts      Options
	log       *slog.Logger
	output    *telemetry.Output // where log writes; follows the configuration
	registry  *prometheus.Registry
	metrics   *telemetry.Metrics
	upstreams *upstream.Registry
	certs     *certs.Store
	host      *host.Host
	modules   *source.Store
	policies  *policies.Store
	engine    *proxy.Engine
	listeners *listen.Set

	reloading sync.Mutex // held while a generation is replaced; guards what follows
	admin     *admin.Server
	view      view
	retired   sync.WaitGroup // generations whose exchanges have not ended
	number    int

	serving  atomic.Pointer[generation] // changed only while reloading is held
	checking bool                       // this gateway is never served
	salt     []byte                     // of the fingerprints of sensitive values
	status   atomic.Pointer[admin.Status]
	stopping atomic.Bool
	// handedOver is set once another process serves in place of this one.
	handedOver atomic.Bool
}

// Start loads the configuration and serves it. A configuration with errors is a
// *config.Diagnostics; any other error is a failure to run, such as a port in
// use. After an error nothing is left behind. Shutdown ends a started gateway.
func Start(ctx context.Context, o Options) (*Gateway, error) {
	view := look(o.Source.Paths, nil)
	cfg, diags := config.Load(o.Source)
	if diags.HasErrors() {
		return nil, diags
	}
	g, err := assemble(ctx, cfg, o)
	if err != nil {
		return nil, err
	}
	if err := g.load(ctx, cfg); err != nil {
		_ = g.dispose(ctx)
		return nil, err
	}
	g.saw(view, cfg)
	if len(cfg.Routes) > manyRoutes {
		// What the load left behind is as large as what it made, and the next
		// collection may be far away.
		debug.FreeOSMemory()
	}
	return g, nil
}

// manyRoutes is when the garbage of a load is worth a collection of its own.
const manyRoutes = 10_000

// assemble makes the parts that outlive every generation; dispose ends them.
func assemble(ctx context.Context, cfg *config.Config, o Options) (*Gateway, error) {
	if o.Sockets == nil {
		o.Sockets = &listen.Sockets{}
	}
	g := &Gateway{opts: o, registry: prometheus.NewRegistry(), output: telemetry.NewOutput(o.Stderr)}
	g.log = slog.New(g.output)
	g.salt = make([]byte, 16)
	_, _ = rand.Read(g.salt) // never fails
	g.metrics = telemetry.New(g.registry)
	g.status.Store(&admin.Status{State: "starting"})
	var err error
	g.host, err = host.New(ctx, host.Options{
		CacheDir: o.CacheDir, MemoryCeiling: cfg.Gateway.PluginMemory, Log: g.log, Traps: g.metrics, Gauge: g.metrics, Fetcher: g,
		State: NewPluginState(time.Now),
	})
	if err != nil {
		return nil, err
	}
	g.policies = g.policyStore()
	g.modules = source.New(source.Options{Dir: modulesDir(o.CacheDir), Offline: o.Offline})
	telemetry.RegisterPlugins(g.registry, g.pluginStats)
	telemetry.RegisterSeries(g.registry, g.pluginSeries)
	g.upstreams = upstream.NewRegistry(g.metrics)
	g.upstreams.LogTo(g.log)
	telemetry.RegisterCircuits(g.registry, g.upstreams.Circuits)
	telemetry.RegisterHealth(g.registry, g.upstreams.Health)
	telemetry.RegisterDiscoveries(g.registry, g.upstreams.Discoveries)
	g.certs = certs.NewStore(g.log)
	g.watchCertificates()
	g.engine = proxy.NewEngine(emptyTable(), g.metrics, g.log)
	g.listeners = listen.New(g.engine, g.opts.Sockets, g.log)
	telemetry.RegisterShed(g.registry, g.engine.Shed)
	telemetry.RegisterListeners(g.registry, func() []telemetry.Listener {
		var list []telemetry.Listener
		for _, s := range g.listeners.Stats() {
			list = append(list, telemetry.Listener{Name: s.Listener, Open: s.Open, Accepted: s.Accepted, Refused: s.Refused})
		}
		return list
	})
	return g, nil
}

func (g *Gateway) dispose(ctx context.Context) error {
	g.upstreams.Close()
	g.certs.Close()
	return g.host.Close(context.WithoutCancel(ctx))
}

// Reload reads the configuration again and puts it in force. After an error the
// running one goes on, and Status tells the error.
func (g *Gateway) Reload(ctx context.Context) error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.stopping.Load() || g.handedOver.Load() {
		return errors.New("the gateway is stopping")
	}
	start := time.Now()
	view, watched := look(g.opts.Source.Paths, g.view.apart), g.view.afresh()
	g.view = watched
	src := g.opts.Source
	if gen := g.inForce(); gen != nil {
		src.Previous = gen.Config
	}
	cfg, diags := config.Load(src)
	err := error(diags)
	if !diags.HasErrors() {
		err = g.load(ctx, cfg)
	}
	if err != nil {
		g.refused(err)
		return err
	}
	g.saw(view, cfg)
	g.log.Info("configuration reloaded", "generation", g.number, "took", time.Since(start).Round(time.Millisecond).String())
	return nil
}

// load builds cfg beside the running generation, binds what is new, and swaps.
// Everything that can fail comes before the first thing that can be seen.
func (g *Gateway) load(ctx context.Context, cfg *config.Config) (err error) {
	next, err := g.build(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			next.close()
		}
	}()
	sockets, err := g.listeners.Prepare(next.Listeners)
	if err != nil {
		return err
	}
	nextAdmin, err := g.prepareAdmin(cfg)
	if err != nil {
		sockets.Abort()
		return err
	}
	next.digests = cfg.Digests()

	// Nothing below can fail.
	for _, w := range next.warnings.HCL() {
		var at hcl.Range
		if w.Subject != nil {
			at = *w.Subject
		}
		g.log.Warn("configuration: "+w.Summary, "file", at.Filename, "line", at.Start.Line, "detail", w.Detail)
	}
	if old := g.inForce(); old != nil && old.Config.Gateway.PluginMemory != cfg.Gateway.PluginMemory {
		g.log.Warn("configuration: gateway.plugin_memory changes at the next start")
	}
	g.output.Configure(cfg.Gateway.Log.Level, cfg.Gateway.Log.Format)
	g.listeners.SetMaxConnections(cfg.Gateway.Limits.MaxConnections)
	g.engine.Swap(next.Table)
	sockets.Commit()
	g.certs.Obtain()
	g.swapAdmin(nextAdmin, cfg.Gateway.Admin.Token)
	old := g.serving.Swap(next)
	g.number++
	if old != nil {
		g.retire(old)
	}
	g.metrics.Retain(next.names())
	now := time.Now()
	g.metrics.Reload(true, now)
	g.status.Store(&admin.Status{State: "ok", Generation: g.number, LoadedAt: now, LastAttempt: now})
	return nil
}

// saw takes note of what cfg was read from. If that changed while it was read,
// which v from before tells, the next look finds a difference.
func (g *Gateway) saw(v view, cfg *config.Config) {
	changed := v.afresh().seen != v.seen
	g.view = look(cfg.Watch(), cfg.Apart())
	if changed {
		g.view.seen++
	}
}

// refused records that a configuration was not taken.
func (g *Gateway) refused(err error) {
	now := time.Now()
	g.metrics.Reload(false, now)
	s := *g.status.Load()
	known := s.State == "refused" && starved(err) && starved(errors.New(s.LastError))
	s.State, s.LastAttempt, s.LastError = "refused", now, err.Error()
	g.status.Store(&s)
	if known { // tried again and again
		return
	}
	g.output.Block(slog.LevelError, "configuration refused; the running one goes on", "diagnostics", s.LastError)
}

// Addrs returns the addresses of the listeners by name, and of the admin API as
// "admin" if it is on.
func (g *Gateway) Addrs() map[string]net.Addr {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	addrs := g.listeners.Addrs()
	if g.admin != nil {
		addrs["admin"] = g.admin.Addr()
	}
	return addrs
}

// Shutdown stops the gateway: it fails readiness for shutdown.delay, stops
// accepting, lets exchanges finish for shutdown.drain at the most, and gives
// everything back. ctx cuts both short.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.stopping.Store(true)
	g.reloading.Lock()
	defer g.reloading.Unlock()
	settings := g.serving.Load().Config.Gateway.Shutdown
	g.log.Info("stopping", "delay", settings.Delay.String(), "drain", settings.Drain.String())
	select {
	case <-time.After(settings.Delay):
	case <-ctx.Done():
	}
	return g.stop(ctx, settings.Drain)
}

// leave is Shutdown for a gateway whose sockets another process has taken over:
// nobody needs to be told, and what belongs to the sockets stays.
func (g *Gateway) leave(ctx context.Context) error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	g.swapAdmin(nil, "") // the other process answers there; we are ready until it alone does
	g.stopping.Store(true)
	g.listeners.KeepFiles()
	return g.stop(ctx, g.serving.Load().Config.Gateway.Shutdown.Drain)
}

// stop drains for at most d and gives everything back. reloading is held.
func (g *Gateway) stop(ctx context.Context, d time.Duration) error {
	drain, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := g.listeners.Shutdown(drain)
	g.engine.Swap(emptyTable())
	g.engine.Close()
	g.retire(g.serving.Load())
	g.retired.Wait()
	err = errors.Join(err, g.dispose(ctx))
	g.swapAdmin(nil, "")
	g.log.Info("stopped")
	if err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}
