package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Listener is what happened to the connections of one listener.
type Listener struct {
	Name           string
	Open, Accepted int64
	Refused        map[string]int64 // by reason
}

// listeners reads its metrics where connections are counted already.
type listeners struct {
	read                    func() []Listener
	open, accepted, refused *prometheus.Desc
}

// RegisterListeners registers the metrics of listeners with reg. read is called
// whenever they are asked for.
func RegisterListeners(reg prometheus.Registerer, read func() []Listener) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	reg.MustRegister(&listeners{
		read:     read,
		open:     desc("headgate_connections_active", "Open connections of clients.", "listener"),
		accepted: desc("headgate_connections_total", "Connections that clients made.", "listener"),
		refused: desc("headgate_connections_refused_total",
			"Connections that were ended before they got to a protocol, by reason: limit, descriptors, proxy_header, handshake, server_name or upstream.", "listener", "reason"),
	})
}

// RegisterShed registers the count of requests beyond the limit with reg.
func RegisterShed(reg prometheus.Registerer, read func() int64) {
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "headgate_requests_shed_total", Help: "Requests that were turned away because limits.max_requests were in flight.",
	}, func() float64 { return float64(read()) }))
}

// Describe implements prometheus.Collector.
func (l *listeners) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{l.open, l.accepted, l.refused} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (l *listeners) Collect(c chan<- prometheus.Metric) {
	for _, n := range l.read() {
		c <- prometheus.MustNewConstMetric(l.open, prometheus.GaugeValue, float64(n.Open), n.Name)
		c <- prometheus.MustNewConstMetric(l.accepted, prometheus.CounterValue, float64(n.Accepted), n.Name)
		for reason, count := range n.Refused {
			c <- prometheus.MustNewConstMetric(l.refused, prometheus.CounterValue, float64(count), n.Name, reason)
		}
	}
}
