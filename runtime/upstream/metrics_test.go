package upstream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/telemetry"
	"github.com/prometheus/client_golang/prometheus"
)

// measured makes a registry with metrics, and a function that returns the
// counters and gauges of upstreams as text.
func measured(t *testing.T) (*Registry, func() string) {
	reg := prometheus.NewRegistry()
	r := NewRegistry(telemetry.New(reg))
	t.Cleanup(r.Close)
	return r, func() string {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, f := range families {
			if !strings.HasPrefix(f.GetName(), "headgate_upstream_") {
				continue
			}
			for _, m := range f.GetMetric() {
				var labels []string
				for _, l := range m.GetLabel() {
					labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
				}
				fmt.Fprintf(&b, "%s{%s} %v\n", f.GetName(), strings.Join(labels, ","), m.GetCounter().GetValue()+m.GetGauge().GetValue())
			}
		}
		return b.String()
	}
}

// nothing names no upstream.
func nothing() telemetry.Names { return telemetry.Names{} }
