package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Names are the names that a configuration has. Filters are pairs of route and
// filter, Endpoints of upstream and address; nil keeps those of every route and
// upstream that stays. The endpoints of upstreams in Discovered are no matter of
// the configuration: DropEndpoint ends their series.
type Names struct {
	Routes, Upstreams, Plugins, Policies map[string]bool
	Discovered                           map[string]bool
	Filters, Endpoints                   map[[2]string]bool
}

// Retain drops the series of everything that n does not name. Handles that are
// still in use go on counting into nothing.
func (m *Metrics) Retain(n Names) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, r := range m.routes {
		if name != "" && !n.Routes[name] { // "" is what matched no route
			r.gone = true
			delete(m.routes, name)
			drop("route", name, m.mirrorDropped)
			if s := r.series.Load(); s != nil {
				s.requests.gone = true
				drop("route", name, m.requests, m.duration, m.active)
			}
		}
	}
	for key := range m.filters {
		if !n.Routes[key[0]] || n.Filters != nil && !n.Filters[key] {
			delete(m.filters, key)
			dropPair([2]string{"route", "filter"}, key, m.filterDuration, m.filterVerdicts, m.filterShadow)
		}
	}
	for key, e := range m.endpoints {
		if !n.Upstreams[key[0]] || n.Endpoints != nil && !n.Endpoints[key] && !n.Discovered[key[0]] {
			m.dropEndpoint(key, e)
		}
	}
	for name := range n.Plugins {
		if p := m.plugins[name]; p != nil && p.gone {
			p.gone = false
			m.pluginInstances.WithLabelValues(name).Set(float64(p.instances))
		}
	}
	for name, p := range m.plugins {
		if !n.Plugins[name] {
			m.dropPlugin(name, p)
		}
	}
	for name := range m.policies {
		if !n.Policies[name] {
			delete(m.policies, name)
			drop("policy", name, m.decisions, m.decisionSeconds)
		}
	}
}

// vector is a metric with labels.
type vector interface {
	DeletePartialMatch(prometheus.Labels) int
}

func drop(label, value string, vecs ...vector) {
	for _, v := range vecs {
		v.DeletePartialMatch(prometheus.Labels{label: value})
	}
}

func dropPair(labels, values [2]string, vecs ...vector) {
	for _, v := range vecs {
		v.DeletePartialMatch(prometheus.Labels{labels[0]: values[0], labels[1]: values[1]})
	}
}

// DropEndpoint drops the series of e, unless others of that name took its place.
func (m *Metrics) DropEndpoint(upstream, address string, e *Endpoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if key := [2]string{upstream, address}; m.endpoints[key] == e {
		m.dropEndpoint(key, e)
	}
}

func (m *Metrics) dropEndpoint(key [2]string, e *Endpoint) {
	e.requests.gone = true
	delete(m.endpoints, key)
	dropPair([2]string{"upstream", "endpoint"}, key, m.upstreamRequest, m.upstreamError, m.upstreamSeconds, m.upstreamActive)
}
