package gateway

import (
	"context"

	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/proxy"
	"github.com/headgate/headgate/runtime/router"
	"github.com/headgate/headgate/runtime/telemetry"
)

// generation is one configuration in force, or on its way in or out.
type generation struct {
	*config.Generation
	digests  map[string]string // see config.Config.Digests; nil before it is in force
	warnings *config.Diagnostics
}

func (g *Gateway) deps() config.Deps {
	return config.Deps{
		Upstreams: g.upstreams, Certificates: g.certs, Host: g.host, Modules: g.modules, Policies: g.policies, Metrics: g.metrics, Log: g.log,
		Stdout: g.opts.Stdout, Stderr: g.opts.Stderr, Check: g.checking, Starting: g.inForce() == nil,
	}
}

// build makes a generation of cfg, sharing with the running one what did not
// change.
func (g *Gateway) build(ctx context.Context, cfg *config.Config) (*generation, error) {
	gen, diags := config.Build(ctx, cfg, g.deps())
	if diags.HasErrors() {
		return nil, diags
	}
	return &generation{Generation: gen, warnings: diags}, nil
}

// names are the names that keep their metrics.
func (g *generation) names() telemetry.Names {
	n := telemetry.Names{
		Routes: map[string]bool{}, Upstreams: map[string]bool{}, Discovered: map[string]bool{}, Plugins: map[string]bool{}, Policies: map[string]bool{},
		Filters: map[[2]string]bool{}, Endpoints: map[[2]string]bool{},
	}
	c := g.Config
	for _, r := range g.Table.Routes {
		n.Routes[r.Name] = true
		for _, s := range r.Chain.Steps() {
			n.Filters[[2]string{r.Name, s.Name}] = true
		}
	}
	for _, u := range c.Upstreams {
		n.Upstreams[u.Name] = true
		n.Discovered[u.Name] = u.Discovery != nil
		for _, e := range u.Endpoints {
			n.Endpoints[[2]string{u.Name, e.Address}] = true
		}
	}
	for _, p := range c.Plugins {
		n.Plugins[p.Name] = true
		for _, o := range p.FetchOrigins {
			n.Upstreams[o.Text] = true
			n.Endpoints[[2]string{o.Text, o.Address}] = true
		}
	}
	n.Plugins[config.BuiltinPlugin] = true
	for _, p := range c.Policies {
		n.Policies[p.Name] = true
	}
	return n
}

// retire lets no further exchange into old and closes it when the last has left.
func (g *Gateway) retire(old *generation) {
	g.retired.Add(1)
	chains := old.chains()
	left := newCountdown(len(chains), func() {
		old.close()
		g.retired.Done()
	})
	for _, c := range chains {
		c.Close(left.done)
	}
}

// chains returns each chain once: routes may share one.
func (g *generation) chains() []*proxy.Chain {
	seen := map[*proxy.Chain]bool{}
	var list []*proxy.Chain
	for _, r := range g.Table.Routes {
		if !seen[r.Chain] {
			seen[r.Chain] = true
			list = append(list, r.Chain)
		}
	}
	return list
}

func (g *generation) close() { g.Generation.Close() }

// emptyTable answers everything with 404.
func emptyTable() *proxy.Table {
	t, _ := router.Build(nil)
	return &proxy.Table{Router: t}
}
