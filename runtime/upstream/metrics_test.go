package upstream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/telemetry"
	"github.com/prometheus/client_golang/prometheus"
)

// measured makes a registry with metrics, and a function that returns the
// counters and gauges of upstreams as text.
func measured(t *testing.T) (*Registry, func() string) {
	reg := prometheus.NewRegistry()
	r := NewRegistry(telemetry.New(reg))
	t.Cleanup(r.Close)
	telemetry.RegisterHealth(reg, r.Health)
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

func TestMetricsNames(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	r, gather := measured(t)
	config := Config{Name: "u", Endpoints: []EndpointConfig{{Address: s.address()}}}
	cluster, e := endpoint(t, r, Config{}, s.address())
	c, _ := acquire(t, e, false)
	text := gather()
	if !strings.Contains(text, `headgate_upstream_requests_active{endpoint="`+s.address()+`",upstream="u"} 1`) {
		t.Error(text)
	}
	use(t, c, "/")
	e.Answered(200, time.Millisecond)
	e.Failed("reset")
	e.Release(c)
	label := `{endpoint="` + s.address() + `",`
	for _, want := range []string{
		`headgate_upstream_requests_active` + label + `upstream="u"} 0`,
		`headgate_upstream_requests_total` + label + `status="200",upstream="u"} 1`,
		`headgate_upstream_errors_total` + label + `kind="reset",upstream="u"} 1`,
	} {
		if text := gather(); !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	// The upstream leaves the configuration while a request holds the old one,
	// and comes back.
	busy, _ := acquire(t, e, false)
	r.metrics.Retain(nothing())
	again := r.Cluster(config)
	defer again.Close()
	f, _ := again.Pick(nil, nil)
	if f == e {
		t.Error("an endpoint whose series are gone is shared")
	}
	c, _ = acquire(t, f, false)
	use(t, c, "/")
	f.Answered(204, time.Millisecond)
	f.Release(c)
	use(t, busy, "/")
	e.Release(busy)
	cluster.Close()
	text = gather()
	for _, want := range []string{
		`headgate_upstream_requests_active` + label + `upstream="u"} 0`,
		`headgate_upstream_requests_total` + label + `status="204",upstream="u"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	s.settles(1)
	if third := r.Cluster(config); third.members.Load().all[0].Endpoint != f {
		t.Error("the end of the old endpoint took the new one with it")
	} else {
		third.Close()
	}
}
