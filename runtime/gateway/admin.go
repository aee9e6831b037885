package gateway

import (
	"encoding/hex"
	"errors"
	"net"

	"github.com/headgate/headgate/host"
	"github.com/headgate/headgate/runtime/admin"
	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/telemetry"
)

// prepareAdmin binds the admin API of cfg if the running one does not serve it
// already. A nil server with no error means that it is off.
func (g *Gateway) prepareAdmin(cfg *config.Config) (*admin.Server, error) {
	a := cfg.Gateway.Admin
	if a.Address == "off" {
		return nil, nil
	}
	o := admin.Options{Address: a.Address, Token: a.Token, Gatherer: g.registry, Source: g, Log: g.log,
		Listen: func(address string) (net.Listener, error) { return g.opts.Sockets.Listen(adminKey(address), address) }}
	if g.admin != nil && g.admin.Serves(o) {
		return g.admin, nil
	}
	s := admin.New(o)
	if err := s.Start(); err != nil {
		return nil, err
	}
	return s, nil
}

// adminKey is the key of the admin API's socket among those of listeners.
func adminKey(address string) string { return "admin " + address }

// swapAdmin makes next the admin API and closes the one before it.
func (g *Gateway) swapAdmin(next *admin.Server, token string) {
	old := g.admin
	g.admin = next
	if next != nil {
		next.SetToken(token)
	}
	if old != nil && old != next {
		old.Close()
	}
}

// Ready implements admin.Source.
func (g *Gateway) Ready() error {
	if g.stopping.Load() {
		return errors.New("stopping")
	}
	return g.policies.Ready()
}

// Status implements admin.Source.
func (g *Gateway) Status() admin.Status { return *g.status.Load() }

// What the admin API shows holds names, addresses and numbers: neither filter
// configurations nor values of variables, which may be secrets.

// Routes implements admin.Source: the routes in order of precedence.
func (g *Gateway) Routes() any {
	if gen := g.inForce(); gen != nil {
		return gen.Config.RouteTable()
	}
	return []config.RouteInfo{}
}

// Upstreams implements admin.Source.
func (g *Gateway) Upstreams() any { return g.upstreams.Snapshot() }

// Drain implements admin.Source.
func (g *Gateway) Drain(upstream, address string, on bool) error {
	return g.upstreams.Drain(upstream, address, on)
}

// pluginInfo is what the admin API shows of a plugin.
type pluginInfo struct {
	Name     string `json:"name"`
	Source   string `json:"source"`
	SHA256   string `json:"sha256,omitempty"`
	Memory   int64  `json:"memory_limit_bytes"`
	CPU      string `json:"cpu_limit"`
	Deadline string `json:"deadline"`
	// The same names as those of the metrics.
	Instances   int     `json:"instances"`
	Busy        int     `json:"busy_instances"`
	MemoryBytes int64   `json:"memory_bytes"`
	Calls       int64   `json:"calls"`
	Seconds     float64 `json:"call_seconds"`
	Fuel        int64   `json:"fuel"`
	Waits       int64   `json:"waits"`
	Denials     int64   `json:"denials"`
	Quarantined bool    `json:"quarantined"`
	Quarantines int64   `json:"quarantines"`
}

// Plugins implements admin.Source.
func (g *Gateway) Plugins() any {
	list := []pluginInfo{}
	gen := g.inForce()
	if gen == nil {
		return list
	}
	stats := map[string]host.PluginStats{}
	for _, s := range g.host.Stats() {
		stats[s.Name] = s
	}
	for _, p := range gen.Config.Plugins {
		source := p.Path
		if p.Remote != nil {
			source = p.Remote.Text
		}
		s := stats[p.Name]
		list = append(list, pluginInfo{
			Name: p.Name, Source: source, SHA256: p.SHA256, Memory: p.Limits.Memory, CPU: p.Limits.CPU.String(), Deadline: p.Limits.Deadline.String(),
			Instances: s.Instances, Busy: s.Busy, MemoryBytes: s.Memory, Calls: s.Calls, Seconds: s.Time.Seconds(), Fuel: s.Fuel,
			Waits: s.Waits, Denials: s.Denials, Quarantined: s.Quarantined, Quarantines: s.Quarantines,
		})
	}
	return list
}

// pluginStats lists what metrics tell of plugins.
func (g *Gateway) pluginStats() []telemetry.Plugin {
	var list []telemetry.Plugin
	for _, s := range g.host.Stats() {
		list = append(list, telemetry.Plugin{
			Plugin: s.Name, Calls: s.Calls, Time: s.Time, Fuel: s.Fuel, Waits: s.Waits, Waited: s.Waited, Denials: s.Denials,
			Busy: s.Busy, Memory: s.Memory, Quarantined: s.Quarantined, Quarantines: s.Quarantines, Metrics: pluginMetrics(s.Metrics),
		})
	}
	return list
}

func pluginMetrics(defined []*host.Metric) (list []telemetry.PluginMetric) {
	for _, m := range defined {
		t := telemetry.PluginMetric{Name: m.Name, Value: float64(m.Value())}
		t.Counter = m.IsCounter()
		if count, sum, ok := m.Observed(); ok {
			t.Observed, t.Count, t.Value = true, uint64(count), float64(sum)
		}
		list = append(list, t)
	}
	return list
}

// pluginSeries lists the metrics that plugins make.
func (g *Gateway) pluginSeries() []telemetry.Series {
	var list []telemetry.Series
	for _, s := range g.host.Series() {
		t := telemetry.Series{Plugin: s.Plugin, Name: s.Name, Labels: s.Labels, Values: s.Values, Counter: s.IsCounter(), Value: s.Value()}
		t.Count, t.Buckets = s.Histogram()
		list = append(list, t)
	}
	return list
}

type policyInfo struct {
	Name   string   `json:"name"`
	Decide string   `json:"decide"`
	Rego   []string `json:"rego"`
}

// Policies implements admin.Source.
func (g *Gateway) Policies() any {
	list := []policyInfo{}
	if gen := g.inForce(); gen != nil {
		for _, p := range gen.Config.Policies {
			list = append(list, policyInfo{p.Name, p.Decide, p.Rego})
		}
	}
	return list
}

// Config implements admin.Source: every block as it was understood, without
// sensitive values, whose fingerprints depend on salt; and the certificates as
// they are now.
func (g *Gateway) Config() any {
	blocks := []*config.Node{}
	if gen := g.inForce(); gen != nil {
		blocks = gen.Config.Tree(g.salt, gen.digests)
	}
	return map[string]any{"salt": hex.EncodeToString(g.salt), "blocks": blocks, "certificates": g.certificates()}
}

// inForce returns the generation that is served, nil before the first.
func (g *Gateway) inForce() *generation { return g.serving.Load() }
