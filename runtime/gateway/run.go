package gateway

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/headgate/headgate/runtime/config"
)

// Run starts a gateway and serves until ctx ends or SIGINT or SIGTERM arrives;
// a second signal cuts the drain short. The configuration is read again when
// its files change and on SIGHUP. On SIGUSR2 a new process takes the sockets
// over, and this one drains. Sockets of systemd's, or of the process before this
// one, are taken from the environment.
func Run(ctx context.Context, o Options) error {
	s := newSignals()
	defer s.stop()
	in, err := inherit()
	if err != nil {
		return err
	}
	o.Sockets = in.sockets
	g, err := startLean(ctx, o)
	if err != nil {
		in.close(err)
		return err
	}
	defer in.sockets.Close()
	for name, a := range g.Addrs() {
		g.log.Info("listening", "listener", name, "address", a.String())
	}
	g.log.Info("serving", "pid", os.Getpid())
	if err := writePID(o.PIDFile); err != nil {
		g.log.Error("the PID file was not written", "error", err.Error())
	}
	defer removePID(o.PIDFile)
	notify("READY=1", "MAINPID="+strconv.Itoa(os.Getpid())) // before the one that it came from says so
	in.started()

	watching, endWatch := context.WithCancel(ctx)
	defer endWatch()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := g.Watch(watching); err != nil {
			g.log.Error("the configuration is not watched: changes need SIGHUP", "error", err.Error())
		}
	}()
	heir := g.serveUntil(ctx, s)
	if heir == 0 {
		g.stopping.Store(true) // before a reload under way is waited for
	}
	endWatch()
	<-watched
	draining, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	go func() {
		select {
		case <-s.end:
			cut()
		case <-draining.Done():
		}
	}()
	if heir > 0 {
		notify("MAINPID=" + strconv.Itoa(heir))
		g.log.Info("another process has taken over", "pid", heir)
		return g.ended(g.leave(draining))
	}
	notify("STOPPING=1")
	return g.ended(g.Shutdown(draining))
}

// ended takes the result of a stop. Exchanges that were cut because their time
// was up, or because somebody asked for it, are no failure of the process.
func (g *Gateway) ended(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		g.log.Warn("stopped before everything had finished", "error", err.Error())
		return nil
	}
	return err
}

// signals are those that a running gateway acts on.
type signals struct{ end, reload, upgrade chan os.Signal }

func newSignals() *signals {
	s := &signals{make(chan os.Signal, 2), make(chan os.Signal, 1), make(chan os.Signal, 1)}
	signal.Notify(s.end, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(s.reload, syscall.SIGHUP)
	signal.Notify(s.upgrade, upgradeSignal)
	return s
}

func (s *signals) stop() {
	for _, c := range []chan os.Signal{s.end, s.reload, s.upgrade} {
		signal.Stop(c)
	}
}

// serveUntil acts on signals until the gateway has to go. heir is the process
// that took its place, 0 if none did.
func (g *Gateway) serveUntil(ctx context.Context, s *signals) (heir int) {
	ctx, cancel := context.WithCancel(ctx)
	type started struct {
		pid int
		err error
	}
	var starting chan started // nil: none is
	defer func() {
		cancel()
		if starting != nil {
			<-starting
		}
	}()
	for {
		reload := s.reload
		if starting != nil {
			reload = nil // later: the new process reads the files itself
		}
		select {
		case <-ctx.Done():
			return 0
		case <-s.end:
			return 0
		case <-reload:
			notify("RELOADING=1", monotonic())
			_ = g.Reload(ctx) // reported where every reload is
			notify("READY=1")
		case <-s.upgrade:
			if starting != nil {
				g.log.Warn("a new process is starting already")
				continue
			}
			g.log.Info("starting a new process to take over")
			c := make(chan started, 1)
			starting = c
			go func() {
				pid, err := g.successor(ctx)
				c <- started{pid, err}
			}()
		case n := <-starting:
			starting = nil
			if n.err == nil {
				return n.pid
			}
			g.output.Block(slog.LevelError, "the upgrade did not happen; this process goes on", "error", n.err.Error())
		}
	}
}

// Watch reloads whenever a file of the configuration changed, until ctx ends.
func (g *Gateway) Watch(ctx context.Context) error {
	w, err := newWatcher(g.watched())
	if err != nil {
		return err
	}
	w.run(ctx, func() view {
		again := starved(g.Reload(ctx))
		v := g.watched()
		v.again = again
		return v
	})
	return nil
}

// startLean is Start with more frequent collections: half of what a load of many
// files makes is garbage at its end, and nobody waits for an answer yet. The
// setting is that of the process, so it is for Run alone.
func startLean(ctx context.Context, o Options) (*Gateway, error) {
	const percent = 40
	before := debug.SetGCPercent(percent)
	if 0 <= before && before < percent {
		debug.SetGCPercent(before)
	}
	defer debug.SetGCPercent(before)
	return Start(ctx, o)
}

func (g *Gateway) watched() view {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	return g.view
}

// Validate checks everything that a start would, plugins and policies compiled,
// and binds no socket. Errors are a *config.Diagnostics, and so are warnings.
func Validate(ctx context.Context, o Options) (sum *config.Summary, warnings *config.Diagnostics, err error) {
	err = try(ctx, o, func(_ *Gateway, gen *generation) error {
		sum, warnings = gen.Summary(), gen.warnings
		gen.Config.NoteOverlaps(warnings)
		return nil
	})
	return sum, warnings, err
}

// try builds o's configuration for use, which has it for itself, and takes it
// apart again. No socket is bound.
func try(ctx context.Context, o Options, use func(*Gateway, *generation) error) error {
	cfg, diags := config.Load(o.Source)
	if diags.HasErrors() {
		return diags
	}
	g, err := assemble(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer func() { _ = g.dispose(ctx) }()
	g.checking = true
	gen, err := g.build(ctx, cfg)
	if err != nil {
		return err
	}
	err = use(g, gen)
	g.retire(gen)
	g.retired.Wait()
	return err
}
