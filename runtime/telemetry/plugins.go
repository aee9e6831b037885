package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Plugin is what the instances of one plugin did, and what they have.
type Plugin struct {
	Plugin                      string
	Calls, Fuel, Waits, Denials int64
	Time, Waited                time.Duration
	Busy                        int
	Memory                      int64
	Quarantined                 bool
	Quarantines                 int64
	Metrics                     []PluginMetric
}

// PluginMetric is a metric that a plugin defined: a counter, a gauge, or values
// that it observed, of which there were Count and whose sum is Value.
type PluginMetric struct {
	Name              string
	Counter, Observed bool
	Value             float64
	Count             uint64
}

type plugins struct {
	read                                                                                 func() []Plugin
	counted, gauged, observed                                                            *prometheus.Desc
	calls, seconds, fuel, waits, waited, denials, busy, memory, quarantined, quarantines *prometheus.Desc
}

// RegisterPlugins registers the metrics of plugins with reg. read is called
// whenever they are asked for.
func RegisterPlugins(reg prometheus.Registerer, read func() []Plugin) {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("headgate_plugin_"+name, help, []string{"plugin"}, nil)
	}
	own := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("headgate_plugin_"+name, help, []string{"plugin", "name"}, nil)
	}
	reg.MustRegister(&plugins{
		counted:     own("metric_total", "Counters that plugins define."),
		gauged:      own("metric", "Gauges that plugins define."),
		observed:    own("metric_observed", "Values that plugins observe."),
		read:        read,
		calls:       desc("calls_total", "Calls into the plugin."),
		seconds:     desc("call_seconds_total", "What they took, with what they waited for."),
		fuel:        desc("fuel_total", "Fuel that they used, which is about instructions."),
		waits:       desc("waits_total", "Exchanges that waited for an instance."),
		waited:      desc("wait_seconds_total", "How long they waited."),
		denials:     desc("denials_total", "Calls of functions that no grant allows."),
		busy:        desc("busy_instances", "Instances that exchanges are in."),
		memory:      desc("memory_bytes", "Linear memory of all instances."),
		quarantined: desc("quarantined", "1 while the plugin is kept out of use since it failed too often."),
		quarantines: desc("quarantines_total", "Times that this began."),
	})
}

// Describe implements prometheus.Collector.
func (p *plugins) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.counted, p.gauged, p.observed, p.calls, p.seconds, p.fuel, p.waits, p.waited, p.denials, p.busy, p.memory, p.quarantined, p.quarantines} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (p *plugins) Collect(ch chan<- prometheus.Metric) {
	for _, s := range p.read() {
		send := func(d *prometheus.Desc, t prometheus.ValueType, v float64) {
			ch <- prometheus.MustNewConstMetric(d, t, v, s.Plugin)
		}
		send(p.calls, prometheus.CounterValue, float64(s.Calls))
		send(p.seconds, prometheus.CounterValue, s.Time.Seconds())
		send(p.fuel, prometheus.CounterValue, float64(s.Fuel))
		send(p.waits, prometheus.CounterValue, float64(s.Waits))
		send(p.waited, prometheus.CounterValue, s.Waited.Seconds())
		send(p.denials, prometheus.CounterValue, float64(s.Denials))
		send(p.busy, prometheus.GaugeValue, float64(s.Busy))
		send(p.memory, prometheus.GaugeValue, float64(s.Memory))
		quarantined := 0.0
		if s.Quarantined {
			quarantined = 1
		}
		send(p.quarantined, prometheus.GaugeValue, quarantined)
		send(p.quarantines, prometheus.CounterValue, float64(s.Quarantines))
		for _, m := range s.Metrics {
			switch {
			case m.Observed:
				ch <- prometheus.MustNewConstHistogram(p.observed, m.Count, m.Value, nil, s.Plugin, m.Name)
			case m.Counter:
				ch <- prometheus.MustNewConstMetric(p.counted, prometheus.CounterValue, m.Value, s.Plugin, m.Name)
			default:
				ch <- prometheus.MustNewConstMetric(p.gauged, prometheus.GaugeValue, m.Value, s.Plugin, m.Name)
			}
		}
	}
}
