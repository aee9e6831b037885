package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Certificate is how a certificate, or a file of client authorities, does.
type Certificate struct {
	Name            string // "" for authorities
	CAFile          string // of authorities
	NotAfter        time.Time
	Loaded, Refused int64 // changes of its files
}

// certificates reads its metrics where certificates are kept.
type certificates struct {
	read                         func() []Certificate
	expiry, reloads, authorities *prometheus.Desc
}

// RegisterCertificates registers the metrics of certificates with reg. read is
// called whenever they are asked for.
func RegisterCertificates(reg prometheus.Registerer, read func() []Certificate) {
	reg.MustRegister(&certificates{
		read: read,
		expiry: prometheus.NewDesc("headgate_certificate_expiry_seconds",
			"When the certificate that is shown expires, in seconds since 1970.", []string{"certificate"}, nil),
		reloads: prometheus.NewDesc("headgate_certificate_reloads_total",
			"Changes of a certificate's files, by result: ok, or error if the one from before stays.", []string{"certificate", "result"}, nil),
		authorities: prometheus.NewDesc("headgate_client_ca_reloads_total",
			"Changes of a file of client authorities, by result: ok, or error if those from before stay.", []string{"ca_file", "result"}, nil),
	})
}

// Describe implements prometheus.Collector.
func (c *certificates) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.expiry, c.reloads, c.authorities} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *certificates) Collect(out chan<- prometheus.Metric) {
	for _, n := range c.read() {
		desc, label := c.reloads, n.Name
		if n.Name == "" {
			desc, label = c.authorities, n.CAFile
		} else if !n.NotAfter.IsZero() {
			out <- prometheus.MustNewConstMetric(c.expiry, prometheus.GaugeValue, float64(n.NotAfter.Unix()), label)
		}
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n.Loaded), label, "ok")
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n.Refused), label, "error")
	}
}
