package gateway

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/headgate/headgate/runtime/config"
)

// Run starts a gateway and serves until ctx ends or SIGINT or SIGTERM arrives;
// a second signal cuts the drain short. The configuration is read again when
// its files change and on SIGHUP.
func Run(ctx context.Context, o Options) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(stop)

	g, err := Start(ctx, o)
	if err != nil {
		return err
	}
	for name, a := range g.Addrs() {
		g.log.Info("listening", "listener", name, "address", a.String())
	}
	watching, endWatch := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := g.Watch(watching); err != nil {
			g.log.Error("the configuration is not watched: changes need SIGHUP", "error", err.Error())
		}
	}()
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case <-stop:
			running = false
		case <-hangup:
			_ = g.Reload(ctx) // reported where every reload is
		}
	}
	endWatch()
	<-watched
	draining, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	go func() {
		select {
		case <-stop:
			cut()
		case <-draining.Done():
		}
	}()
	return g.Shutdown(draining)
}

// Watch reloads whenever a file of the configuration changed, until ctx ends.
func (g *Gateway) Watch(ctx context.Context) error {
	w, err := newWatcher(g.watched())
	if err != nil {
		return err
	}
	w.run(ctx, func() view {
		_ = g.Reload(ctx)
		return g.watched()
	})
	return nil
}

func (g *Gateway) watched() view {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	return g.view
}

// Validate checks everything that a start would, plugins and policies compiled,
// and binds no socket. Errors are a *config.Diagnostics.
func Validate(ctx context.Context, o Options) (*config.Summary, error) {
	cfg, diags := config.Load(o.Source)
	if diags.HasErrors() {
		return nil, diags
	}
	g, err := assemble(ctx, cfg, o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = g.dispose(ctx) }()
	g.checking = true
	next, err := g.build(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer next.close()
	return next.Summary(), nil
}
