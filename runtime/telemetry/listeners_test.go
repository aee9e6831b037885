package telemetry

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestListeners(t *testing.T) {
	reg := prometheus.NewRegistry()
	RegisterListeners(reg, func() []Listener {
		return []Listener{{Name: "a", Open: 2, Accepted: 5, Refused: map[string]int64{"limit": 3}}}
	})
	got := values(t, reg)
	for name, want := range map[string]float64{
		"headgate_connections_active a": 2, "headgate_connections_total a": 5, "headgate_connections_refused_total a limit": 3,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
