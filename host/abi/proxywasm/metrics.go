package proxywasm

import (
	"slices"
	"strings"
	"sync/atomic"
)

// metricKind is what a metric is.
type metricKind uint32

const (
	counter metricKind = iota
	gauge
	histogram
)

// Metric is one that a plugin defined.
type Metric struct {
	Name  string
	kind  metricKind
	value atomic.Int64 // of a histogram, the last one
	count atomic.Int64 // of a histogram
	sum   atomic.Int64
}

// Value returns what a counter or a gauge stands at.
func (m *Metric) Value() int64 { return m.value.Load() }

// IsCounter reports whether the value only grows.
func (m *Metric) IsCounter() bool { return m.kind == counter }

// Observed returns how many values a histogram was given, and their sum; ok is
// false if it is none.
func (m *Metric) Observed() (count, sum int64, ok bool) {
	return m.count.Load(), m.sum.Load(), m.kind == histogram
}

// Metrics returns those that were defined, in order.
func (s *Shared) Metrics() []*Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.metrics)
}

// maxMetricName bounds a name, in bytes.
const maxMetricName = 256

func defineMetric(g *Guest, a []uint64) status {
	name, in := g.read(a[1], a[2])
	if !in {
		return invalidMemoryAccess
	}
	kind := metricKind(uint32(a[0]))
	if kind > histogram || len(name) == 0 || len(name) > maxMetricName || strings.ContainsFunc(string(name), func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return badArgument
	}
	sh := g.env.Shared
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := slices.IndexFunc(sh.metrics, func(m *Metric) bool { return m.Name == string(name) })
	switch {
	case i >= 0 && sh.metrics[i].kind != kind:
		return badArgument
	case i < 0:
		if len(sh.metrics) == maxMetrics {
			return internalFailure
		}
		i = len(sh.metrics)
		sh.metrics = append(sh.metrics, &Metric{Name: string(name), kind: kind})
	}
	return g.put(a[3], uint32(i+1))
}

func (s *Shared) metric(id uint64) *Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := uint64(uint32(id)); i >= 1 && i <= uint64(len(s.metrics)) {
		return s.metrics[i-1]
	}
	return nil
}

func incrementMetric(g *Guest, a []uint64) status {
	m, delta := g.env.Shared.metric(a[0]), int64(a[1])
	switch {
	case m == nil:
		return notFound
	case m.kind == histogram || m.kind == counter && delta < 0:
		return badArgument
	}
	m.value.Add(delta)
	return ok
}

func recordMetric(g *Guest, a []uint64) status {
	m, v := g.env.Shared.metric(a[0]), int64(a[1])
	if m == nil {
		return notFound
	}
	switch m.kind {
	case counter:
		m.value.Add(max(0, v)) // Envoy adds
	case gauge:
		m.value.Store(v)
	case histogram:
		m.value.Store(v)
		m.count.Add(1)
		m.sum.Add(v)
	}
	return ok
}

func getMetric(g *Guest, a []uint64) status {
	m := g.env.Shared.metric(a[0])
	switch {
	case m == nil:
		return notFound
	case m.kind == histogram:
		return badArgument
	}
	return g.put64(a[1], uint64(m.Value()))
}
