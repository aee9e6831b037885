package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Circuit is what the breaker and the further tries of one upstream did.
type Circuit struct {
	Upstream                               string
	State                                  int // 0 closed, 1 open, 2 half-open
	Opened, ShedOpen, ShedLimit, Exhausted int64
	ShedPending, Connections, Pending      int64
	Retries                                []Retries
}

// Retries counts further tries.
type Retries struct {
	Reason, Outcome string
	Count           int64
}

type circuits struct {
	read                                    func() []Circuit
	state, opened, shed, retries, exhausted *prometheus.Desc
	connections, pending                    *prometheus.Desc
}

// RegisterCircuits registers the metrics of breakers and further tries with reg.
// read is called whenever they are asked for.
func RegisterCircuits(reg prometheus.Registerer, read func() []Circuit) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"upstream"}, labels...), nil)
	}
	reg.MustRegister(&circuits{
		read:      read,
		state:     desc("headgate_upstream_breaker_state", "State of the circuit breaker: 0 closed, 1 open, 2 half-open."),
		opened:    desc("headgate_upstream_breaker_opened_total", "Times that the circuit breaker opened."),
		shed:      desc("headgate_upstream_shed_total", "Requests that the circuit breaker turned away, by reason: open, limit or pending.", "reason"),
		retries:   desc("headgate_upstream_retries_total", "Further tries, by reason (connect, reset, timeout or status) and outcome (answered or failed).", "reason", "outcome"),
		exhausted: desc("headgate_upstream_retry_budget_exhausted_total", "Further tries that were not made since the budget was used up."),

		connections: desc("headgate_upstream_connections", "Connections that max_connections bounds."),
		pending:     desc("headgate_upstream_pending_requests", "Requests that wait for one of them."),
	})
}

// Describe implements prometheus.Collector.
func (c *circuits) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.state, c.opened, c.shed, c.retries, c.exhausted, c.connections, c.pending} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *circuits) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for _, u := range c.read() {
		ch <- prometheus.MustNewConstMetric(c.state, prometheus.GaugeValue, float64(u.State), u.Upstream)
		count(c.opened, u.Opened, u.Upstream)
		count(c.shed, u.ShedOpen, u.Upstream, "open")
		count(c.shed, u.ShedLimit, u.Upstream, "limit")
		count(c.shed, u.ShedPending, u.Upstream, "pending")
		ch <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(u.Connections), u.Upstream)
		ch <- prometheus.MustNewConstMetric(c.pending, prometheus.GaugeValue, float64(u.Pending), u.Upstream)
		count(c.exhausted, u.Exhausted, u.Upstream)
		for _, r := range u.Retries {
			count(c.retries, r.Count, u.Upstream, r.Reason, r.Outcome)
		}
	}
}
