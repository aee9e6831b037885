package telemetry

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/headgate/headgate/runtime/exchange"
)

// values returns what reg has, by the name of the metric and its label values
// in the order of the labels' names.
func values(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			s := f.GetName()
			for _, l := range m.GetLabel() {
				s += " " + l.GetValue()
			}
			all[s] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func TestRoute(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := New(reg)
	r := m.Route("orders")
	if m.Route("orders") != r {
		t.Error("two handles of one route")
	}
	for status := 200; status < 220; status++ { // more than a handle binds
		r.Start()
		r.Done(status, time.Millisecond)
		r.Start()
		r.Done(status, time.Millisecond)
	}
	r.Start()
	all := values(t, reg)
	for s, want := range map[string]float64{
		"headgate_requests_total orders 200": 2, "headgate_requests_total orders 211": 2, "headgate_requests_total orders 219": 2,
		"headgate_requests_active orders": 1, "headgate_request_duration_seconds orders": 40,
	} {
		if all[s] != want {
			t.Errorf("%s is %v, want %v", s, all[s], want)
		}
	}
}

func TestRetain(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := New(reg)
	use := func(route, upstream, plugin, policy string) (*Route, *Endpoint) {
		r := m.Route(route)
		r.Start()
		r.Done(200, 1)
		m.Filter(route, "geo").Observe(exchange.Continue, 1)
		e := m.Endpoint(upstream, "127.0.0.1:1")
		e.Start()
		e.Done(200, 1)
		e.Error("connect")
		e.End()
		m.Trap(plugin, "unreachable")
		m.Instances(plugin, 2)
		m.Policy(policy).Decision("deny", 1)
		return r, e
	}
	r, e := use("old-r", "old-u", "old-p", "old-a")
	use("new-r", "new-u", "new-p", "new-a")
	m.Endpoint("new-u", "gone:1").Done(200, 1)
	m.Filter("new-r", "gone-f").Observe(exchange.Reply, 1)
	set := func(s ...string) map[string]bool {
		set := map[string]bool{}
		for _, x := range s {
			set[x] = true
		}
		return set
	}
	names := Names{
		Routes: set("new-r"), Upstreams: set("new-u"), Plugins: set("new-p"), Policies: set("new-a"),
		Filters: map[[2]string]bool{{"new-r", "geo"}: true}, Endpoints: map[[2]string]bool{{"new-u", "127.0.0.1:1"}: true},
	}
	m.Retain(names)
	// Exchanges of the old generation are still under way.
	r.Start()
	r.Done(500, 1)
	e.Done(503, 1)
	e.Error("timeout")
	m.Trap("old-p", "cpu")
	m.Instances("old-p", -2)
	all := values(t, reg)
	for s := range all {
		if strings.Contains(s, "old-") || strings.Contains(s, "gone") {
			t.Errorf("%s is left", s)
		}
	}
	for _, want := range []string{"headgate_requests_total new-r 200", "headgate_filter_verdicts_total geo new-r continue",
		"headgate_upstream_errors_total 127.0.0.1:1 connect new-u", "headgate_plugin_instances new-p", "headgate_policy_decisions_total new-a deny"} {
		if _, ok := all[want]; !ok {
			t.Errorf("%s is gone; there are %v", want, all)
		}
	}
}

// The instances of a plugin that comes back while old ones still live are
// counted with them.
func TestPluginComesBack(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := New(reg)
	m.Instances("p", 2)
	m.Retain(Names{})
	m.Instances("p", 1)
	m.Retain(Names{Plugins: map[string]bool{"p": true}})
	m.Instances("p", -2)
	if n := values(t, reg)["headgate_plugin_instances p"]; n != 1 {
		t.Errorf("%v instances", n)
	}
}

func TestNames(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := New(reg)
	m.Reload(true, time.Unix(12, 0))
	m.Reload(false, time.Unix(13, 0))
	m.Panic()
	all := values(t, reg)
	for _, want := range []string{"headgate_config_last_reload_successful", "headgate_config_reloads_total ok", "headgate_config_reloads_total refused",
		"headgate_panics_total", "go_goroutines", "process_resident_memory_bytes"} {
		if _, ok := all[want]; !ok {
			t.Errorf("no %s", want)
		}
	}
	if all["headgate_config_last_reload_successful"] != 0 || all["headgate_config_last_reload_success_timestamp_seconds"] != 12 {
		t.Error("the last reload was refused, the last taken one was at 12")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func BenchmarkRouteDone(b *testing.B) {
	r := New(prometheus.NewRegistry()).Route("orders")
	b.ReportAllocs()
	for b.Loop() {
		r.Start()
		r.Done(200, time.Millisecond)
	}
}

func BenchmarkRouteDoneParallel(b *testing.B) {
	r := New(prometheus.NewRegistry()).Route("orders")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Start()
			r.Done(200, time.Millisecond)
		}
	})
}
