package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Discovery is what is known of where the endpoints of an upstream come from.
type Discovery struct {
	Upstream, Source  string
	Endpoints         int
	Updates, Failures int64
	Failing           bool
}

type discoveries struct {
	read                                  func() []Discovery
	endpoints, updates, failures, failing *prometheus.Desc
}

// RegisterDiscoveries registers the metrics of discovery with reg. read is
// called whenever they are asked for.
func RegisterDiscoveries(reg prometheus.Registerer, read func() []Discovery) {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("headgate_upstream_discovery_"+name, help, []string{"upstream", "source"}, nil)
	}
	reg.MustRegister(&discoveries{
		read:      read,
		endpoints: desc("endpoints", "Endpoints that were found last."),
		updates:   desc("updates_total", "Times that the endpoints changed."),
		failures:  desc("failures_total", "Lookups and readings that failed."),
		failing:   desc("failing", "1 if the last lookup or reading failed and older endpoints are in use."),
	})
}

// Describe implements prometheus.Collector.
func (d *discoveries) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{d.endpoints, d.updates, d.failures, d.failing} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (d *discoveries) Collect(ch chan<- prometheus.Metric) {
	for _, s := range d.read() {
		send := func(desc *prometheus.Desc, t prometheus.ValueType, v float64) {
			ch <- prometheus.MustNewConstMetric(desc, t, v, s.Upstream, s.Source)
		}
		failing := 0.0
		if s.Failing {
			failing = 1
		}
		send(d.endpoints, prometheus.GaugeValue, float64(s.Endpoints))
		send(d.updates, prometheus.CounterValue, float64(s.Updates))
		send(d.failures, prometheus.CounterValue, float64(s.Failures))
		send(d.failing, prometheus.GaugeValue, failing)
	}
}
