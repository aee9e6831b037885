package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Endpoint is the metrics of one endpoint of an upstream.
type Endpoint struct {
	requests byStatus
	seconds  prometheus.Observer
	active   prometheus.Gauge
	errors   map[string]prometheus.Counter // guarded by Metrics.mu
}

// Endpoint returns the handle of an endpoint.
func (m *Metrics) Endpoint(upstream, address string) *Endpoint {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{upstream, address}
	e := m.endpoints[key]
	if e == nil {
		e = &Endpoint{
			requests: byStatus{m: m, vec: m.upstreamRequest, labels: []string{upstream, address}},
			seconds:  m.upstreamSeconds.WithLabelValues(upstream, address),
			active:   m.upstreamActive.WithLabelValues(upstream, address),
			errors:   map[string]prometheus.Counter{},
		}
		m.endpoints[key] = e
	}
	return e
}

// Start counts a request at the endpoint, until End.
func (e *Endpoint) Start() { e.active.Inc() }

// End is the counterpart of Start.
func (e *Endpoint) End() { e.active.Dec() }

// Done records a response head.
func (e *Endpoint) Done(status int, d time.Duration) {
	e.requests.inc(status)
	e.seconds.Observe(d.Seconds())
}

// Error records a request without a response; kind is connect, reset or
// timeout.
func (e *Endpoint) Error(kind string) {
	m := e.requests.m
	m.mu.Lock()
	defer m.mu.Unlock()
	c := e.errors[kind]
	if c == nil {
		if e.requests.gone {
			return
		}
		c = m.upstreamError.WithLabelValues(e.requests.labels[0], e.requests.labels[1], kind)
		e.errors[kind] = c
	}
	c.Inc()
}

// plugin is what is known of one plugin name. Instances of a plugin that is
// gone may live a little longer; its series go with the last.
type plugin struct {
	instances int
	gone      bool
}

// Trap counts a call into a plugin that ended badly.
func (m *Metrics) Trap(plugin, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.plugin(plugin).gone {
		return
	}
	m.pluginTraps.WithLabelValues(plugin, reason).Inc()
}

// Instances changes the number of a plugin's instances.
func (m *Metrics) Instances(plugin string, delta int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.plugin(plugin)
	p.instances += delta
	if p.gone {
		m.dropPlugin(plugin, p)
		return
	}
	m.pluginInstances.WithLabelValues(plugin).Set(float64(p.instances))
}

func (m *Metrics) plugin(name string) *plugin {
	p := m.plugins[name]
	if p == nil {
		p = &plugin{}
		m.plugins[name] = p
	}
	return p
}

// dropPlugin removes the series of a plugin, and forgets it once it has no
// instance.
func (m *Metrics) dropPlugin(name string, p *plugin) {
	p.gone = true
	drop("plugin", name, m.pluginTraps, m.pluginInstances)
	if p.instances <= 0 {
		delete(m.plugins, name)
	}
}

// Policy is the metrics of one policy.
type Policy struct {
	results map[string]prometheus.Counter
	seconds prometheus.Observer
}

// Policy returns the handle of a policy.
func (m *Metrics) Policy(name string) *Policy {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.policies[name]
	if p == nil {
		p = &Policy{seconds: m.decisionSeconds.WithLabelValues(name), results: map[string]prometheus.Counter{}}
		for _, r := range []string{"allow", "deny", "error"} {
			p.results[r] = m.decisions.WithLabelValues(name, r)
		}
		m.policies[name] = p
	}
	return p
}

// Decision records one decision; result is allow, deny or error.
func (p *Policy) Decision(result string, d time.Duration) {
	p.results[result].Inc()
	p.seconds.Observe(d.Seconds())
}
