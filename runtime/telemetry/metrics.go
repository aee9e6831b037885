package telemetry

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/headgate/headgate/runtime/exchange"
)

// Metrics is every metric of the gateway. It is safe for concurrent use.
type Metrics struct {
	requests        *prometheus.CounterVec
	duration        *prometheus.HistogramVec
	active          *prometheus.GaugeVec
	filterDuration  *prometheus.HistogramVec
	filterVerdicts  *prometheus.CounterVec
	filterShadow    *prometheus.CounterVec
	upstreamRequest *prometheus.CounterVec
	upstreamError   *prometheus.CounterVec
	upstreamSeconds *prometheus.HistogramVec
	upstreamActive  *prometheus.GaugeVec
	pluginTraps     *prometheus.CounterVec
	pluginInstances *prometheus.GaugeVec
	decisions       *prometheus.CounterVec
	decisionSeconds *prometheus.HistogramVec
	reloads         *prometheus.CounterVec
	reloadOK        prometheus.Gauge
	reloadTime      prometheus.Gauge
	panics          prometheus.Counter
	mirrorDropped   *prometheus.CounterVec

	mu        sync.Mutex
	routes    map[string]*Route
	filters   map[[2]string]*Filter
	endpoints map[[2]string]*Endpoint
	plugins   map[string]*plugin
	policies  map[string]*Policy
}

// New registers the metrics with reg, which must not have them yet.
func New(reg *prometheus.Registry) *Metrics {
	// Buckets in seconds: of requests, and of what runs inside the process.
	requestBuckets := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	filterBuckets := []float64{1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 1e-1, 1}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		reg.MustRegister(v)
		return v
	}
	m := &Metrics{
		requests:        counter("headgate_requests_total", "Requests by route and status; route is empty if none matched.", "route", "status"),
		duration:        histogram("headgate_request_duration_seconds", "From the request head to the end of the response.", requestBuckets, "route"),
		active:          gauge("headgate_requests_active", "Requests in flight.", "route"),
		filterDuration:  histogram("headgate_filter_duration_seconds", "Time of one side of a filter.", filterBuckets, "route", "filter"),
		filterVerdicts:  counter("headgate_filter_verdicts_total", "What filters decided: continue, reply or fail.", "route", "filter", "verdict"),
		filterShadow:    counter("headgate_filter_shadow_verdicts_total", "What filters in shadow mode would have decided.", "route", "filter", "verdict"),
		upstreamRequest: counter("headgate_upstream_requests_total", "Responses of endpoints by status.", "upstream", "endpoint", "status"),
		upstreamError:   counter("headgate_upstream_errors_total", "Requests that an endpoint did not answer, by kind.", "upstream", "endpoint", "kind"),
		upstreamSeconds: histogram("headgate_upstream_duration_seconds", "From the request to the response head.", requestBuckets, "upstream", "endpoint"),
		upstreamActive:  gauge("headgate_upstream_requests_active", "Requests at an endpoint.", "upstream", "endpoint"),
		pluginTraps:     counter("headgate_plugin_traps_total", "Calls into a plugin that ended badly, by reason.", "plugin", "reason"),
		pluginInstances: gauge("headgate_plugin_instances", "Instances of a plugin.", "plugin"),
		decisions:       counter("headgate_policy_decisions_total", "Decisions of a policy: allow, deny or error.", "policy", "result"),
		decisionSeconds: histogram("headgate_policy_decision_duration_seconds", "Time of one decision.", filterBuckets, "policy"),
		mirrorDropped:   counter("headgate_mirror_dropped_total", "Requests that should have been mirrored and were not: the body was too long, or the mirror too slow.", "route"),
		reloads:         counter("headgate_config_reloads_total", "Loads of the configuration by result: ok or refused.", "result"),
		routes:          map[string]*Route{},
		filters:         map[[2]string]*Filter{},
		endpoints:       map[[2]string]*Endpoint{},
		plugins:         map[string]*plugin{},
		policies:        map[string]*Policy{},
	}
	m.reloadOK = prometheus.NewGauge(prometheus.GaugeOpts{Name: "headgate_config_last_reload_successful", Help: "Whether the last load of the configuration was taken."})
	m.reloadTime = prometheus.NewGauge(prometheus.GaugeOpts{Name: "headgate_config_last_reload_success_timestamp_seconds", Help: "When a configuration was last taken."})
	m.panics = prometheus.NewCounter(prometheus.CounterOpts{Name: "headgate_panics_total", Help: "Bugs that cost an exchange."})
	reg.MustRegister(m.reloadOK, m.reloadTime, m.panics, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// byStatus are the counters of one label set by status, made when first used.
// A route answers with few different ones: a scan beats a table for each.
type byStatus struct {
	m      *Metrics
	vec    *prometheus.CounterVec
	labels []string
	at     [12]atomic.Pointer[statusCounter]
	gone   bool // guarded by m.mu
}

type statusCounter struct {
	status int
	prometheus.Counter
}

func (b *byStatus) inc(status int) {
	for i := range b.at {
		c := b.at[i].Load()
		if c == nil {
			c = b.bind(status)
			b.at[i].CompareAndSwap(nil, c) // who loses counts all the same
		}
		if c.status == status {
			c.Inc()
			return
		}
	}
	b.bind(status).Inc()
}

// bind makes the counter of a status. The handle of something that is gone must
// not bring its series back.
func (b *byStatus) bind(status int) *statusCounter {
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	if b.gone {
		return &statusCounter{status, prometheus.NewCounter(prometheus.CounterOpts{})}
	}
	labels := append(append(make([]string, 0, 3), b.labels...), strconv.Itoa(status))
	return &statusCounter{status, b.vec.WithLabelValues(labels...)}
}

// Route is the metrics of one route. Its series are made by its first request:
// of many routes, few are busy.
type Route struct {
	m      *Metrics
	name   string
	series atomic.Pointer[routeSeries]
	gone   bool // guarded by m.mu
}

type routeSeries struct {
	requests byStatus
	duration prometheus.Observer
	active   prometheus.Gauge
}

// Route returns the handle of a route, the same for the same name.
func (m *Metrics) Route(name string) *Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.routes[name]
	if r == nil {
		r = &Route{m: m, name: name}
		m.routes[name] = r
	}
	return r
}

// get returns the series of the route.
func (r *Route) get() *routeSeries {
	if s := r.series.Load(); s != nil {
		return s
	}
	m := r.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := r.series.Load(); s != nil {
		return s
	}
	s := &routeSeries{requests: byStatus{m: m, vec: m.requests, labels: []string{r.name}, gone: r.gone}}
	if r.gone {
		s.duration, s.active = prometheus.NewHistogram(prometheus.HistogramOpts{}), prometheus.NewGauge(prometheus.GaugeOpts{})
	} else {
		s.duration, s.active = m.duration.WithLabelValues(r.name), m.active.WithLabelValues(r.name)
	}
	r.series.Store(s)
	return s
}

// Start counts a request in flight, until Done.
func (r *Route) Start() { r.get().active.Inc() }

// Done counts a started request with the status that the client got.
func (r *Route) Done(status int, d time.Duration) {
	s := r.get()
	s.active.Dec()
	s.requests.inc(status)
	s.duration.Observe(d.Seconds())
}

// Filter is the metrics of one filter of a route.
type Filter struct {
	duration         prometheus.Observer
	verdicts, shadow [3]prometheus.Counter
}

// Filter returns the handle of a filter.
func (m *Metrics) Filter(route, filter string) *Filter {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{route, filter}
	f := m.filters[key]
	if f == nil {
		f = &Filter{duration: m.filterDuration.WithLabelValues(route, filter)}
		for v, text := range [...]string{exchange.Continue: "continue", exchange.Reply: "reply", exchange.Fail: "fail"} {
			f.verdicts[v] = m.filterVerdicts.WithLabelValues(route, filter, text)
			f.shadow[v] = m.filterShadow.WithLabelValues(route, filter, text)
		}
		m.filters[key] = f
	}
	return f
}

// Observe records one side of a filter.
func (f *Filter) Observe(v exchange.Verdict, d time.Duration) {
	f.verdicts[v].Inc()
	f.duration.Observe(d.Seconds())
}

// Shadow records what a filter in shadow mode would have decided.
func (f *Filter) Shadow(v exchange.Verdict) { f.shadow[v].Inc() }

// Reload records an attempt to load the configuration.
func (m *Metrics) Reload(ok bool, t time.Time) {
	if !ok {
		m.reloads.WithLabelValues("refused").Inc()
		m.reloadOK.Set(0)
		return
	}
	m.reloads.WithLabelValues("ok").Inc()
	m.reloadOK.Set(1)
	m.reloadTime.Set(float64(t.UnixNano()) / 1e9)
}

// MirrorDropped counts a request that was not mirrored.
func (m *Metrics) MirrorDropped(route string) { m.mirrorDropped.WithLabelValues(route).Inc() }

// Panic counts a recovered panic.
func (m *Metrics) Panic() { m.panics.Inc() }
