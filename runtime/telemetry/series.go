package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Series is a metric that a plugin made, with names and values of labels: a
// counter, a gauge, or a histogram, which has Buckets, and whose sum is Value.
type Series struct {
	Plugin, Name   string
	Labels, Values []string
	Counter        bool
	Value          float64
	Count          uint64
	Buckets        map[float64]uint64
}

type series struct{ read func() []Series }

// RegisterSeries registers the metrics that plugins make with reg, with
// headgate_plugin_x_ before their names. read is called whenever they are asked
// for. Series of one name have the same kind and the same labels.
func RegisterSeries(reg prometheus.Registerer, read func() []Series) {
	reg.MustRegister(series{read})
}

// Describe implements prometheus.Collector. What there is, is not known before.
func (series) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c series) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.read() {
		d := prometheus.NewDesc("headgate_plugin_x_"+s.Name, "A metric of a plugin.", append([]string{"plugin"}, s.Labels...), nil)
		values := append([]string{s.Plugin}, s.Values...)
		switch {
		case s.Buckets != nil:
			ch <- prometheus.MustNewConstHistogram(d, s.Count, s.Value, s.Buckets, values...)
		case s.Counter:
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, s.Value, values...)
		default:
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, s.Value, values...)
		}
	}
}
