package headgate

import (
	"errors"
	"strings"
)

// Metric is a metric of the plugin's: a counter, a gauge or a histogram, which the
// gateway shows as headgate_plugin_x_NAME. The first use makes it.
type Metric struct {
	name   string
	op     uint32
	labels []string
}

// The operations of the ABI.
const (
	counterAdd = iota
	gaugeSet
	gaugeAdd
	histogramObserve
)

// The errors of metrics.
var (
	ErrMetricInvalid = errors.New("not a name, a label or a value, or the metric is of another kind or has other labels")
	ErrMetricFull    = errors.New("the plugin has too many metrics, or a label is too long")
)

// Counter names a counter and its labels. Names have letters in lower case, digits
// and underscores; those of counters end in _total by convention.
func Counter(name string, labels ...string) Metric { return Metric{name, counterAdd, labels} }

// Gauge names a gauge.
func Gauge(name string, labels ...string) Metric { return Metric{name, gaugeSet, labels} }

// Histogram names a histogram, with buckets for seconds from 0.005 to 10.
func Histogram(name string, labels ...string) Metric { return Metric{name, histogramObserve, labels} }

// Add adds v to a counter or a gauge, with a value for each label. Only that of a
// gauge may be negative.
func (x *Exchange) Add(m Metric, v float64, values ...string) error {
	if m.op == gaugeSet {
		m.op = gaugeAdd
	}
	if m.op == histogramObserve {
		return ErrMetricInvalid
	}
	return x.metric(m, v, values)
}

// Set sets a gauge.
func (x *Exchange) Set(m Metric, v float64, values ...string) error {
	if m.op != gaugeSet {
		return ErrMetricInvalid
	}
	return x.metric(m, v, values)
}

// Observe puts a value into a histogram.
func (x *Exchange) Observe(m Metric, v float64, values ...string) error {
	if m.op != histogramObserve {
		return ErrMetricInvalid
	}
	return x.metric(m, v, values)
}

func (x *Exchange) metric(m Metric, v float64, values []string) error {
	if len(values) != len(m.labels) {
		return ErrMetricInvalid
	}
	var labels strings.Builder
	for i, name := range m.labels {
		labels.WriteString(name)
		labels.WriteByte(0)
		labels.WriteString(strings.ReplaceAll(values[i], "\x00", ""))
		labels.WriteByte(0)
	}
	switch x.host.Metric(m.op, m.name, labels.String(), v) {
	case -3:
		return ErrMetricFull
	case -4:
		return ErrMetricInvalid
	}
	return nil
}
