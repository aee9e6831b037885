package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Health is what is known of how the endpoints of one upstream are.
type Health struct {
	Upstream  string
	Panicking bool
	Panics    int64
	Endpoints []EndpointHealth
}

// EndpointHealth is what is known of one.
type EndpointHealth struct {
	Endpoint               string
	Barred                 []string // why it gets no requests
	Passed, Failed, Thrown int64    // checks, and ejections
}

type health struct {
	read                                       func() []Health
	panic, panics, up, barred, checks, ejected *prometheus.Desc
}

// RegisterHealth registers the metrics of the health of endpoints with reg. read
// is called whenever they are asked for.
func RegisterHealth(reg prometheus.Registerer, read func() []Health) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("headgate_upstream_"+name, help, append([]string{"upstream"}, labels...), nil)
	}
	reg.MustRegister(&health{
		read:    read,
		panic:   desc("panic", "1 while all endpoints are used since too few are usable."),
		panics:  desc("panics_total", "Times that this began."),
		up:      desc("endpoint_up", "1 if the endpoint gets requests.", "endpoint"),
		barred:  desc("endpoint_barred", "1 for each reason why it gets none: unhealthy, ejected or drained.", "endpoint", "reason"),
		checks:  desc("endpoint_checks_total", "Health checks, by result: passed or failed.", "endpoint", "result"),
		ejected: desc("endpoint_ejections_total", "Times that outlier detection took it out.", "endpoint"),
	})
}

// Describe implements prometheus.Collector.
func (h *health) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{h.panic, h.panics, h.up, h.barred, h.checks, h.ejected} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (h *health) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, on bool, labels ...string) {
		v := 0.0
		if on {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for _, u := range h.read() {
		gauge(h.panic, u.Panicking, u.Upstream)
		count(h.panics, u.Panics, u.Upstream)
		for _, e := range u.Endpoints {
			gauge(h.up, len(e.Barred) == 0, u.Upstream, e.Endpoint)
			for _, reason := range e.Barred {
				gauge(h.barred, true, u.Upstream, e.Endpoint, reason)
			}
			count(h.checks, e.Passed, u.Upstream, e.Endpoint, "passed")
			count(h.checks, e.Failed, u.Upstream, e.Endpoint, "failed")
			count(h.ejected, e.Thrown, u.Upstream, e.Endpoint)
		}
	}
}
