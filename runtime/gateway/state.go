package gateway

import (
	"time"

	"github.com/headgate/headgate/host"
	"github.com/headgate/headgate/runtime/state"
)

// pluginState is host.State in this process.
type pluginState struct {
	keys   *state.Keys
	limits *state.Limits
	now    func() time.Time
}

// Get implements host.State.
func (s pluginState) Get(namespace, key string) ([]byte, bool) {
	return s.keys.Get(namespace, key, s.now())
}

// Set implements host.State.
func (s pluginState) Set(namespace, key string, value []byte, ttl time.Duration) bool {
	return s.keys.Set(namespace, key, value, ttl, s.now())
}

// Delete implements host.State.
func (s pluginState) Delete(namespace, key string) bool {
	return s.keys.Delete(namespace, key, s.now())
}

// Swap implements host.State.
func (s pluginState) Swap(namespace, key string, old []byte, absent bool, value []byte, ttl time.Duration) (done, allowed bool) {
	return s.keys.Swap(namespace, key, old, absent, value, ttl, s.now())
}

// maxRate bounds each number of a limit, so that their products fit.
const maxRate = 1 << 30

// Take implements host.State.
func (s pluginState) Take(namespace, key string, r host.Rate) (host.Taken, bool) {
	algorithms := []state.Algorithm{state.GCRA, state.FixedWindow, state.SlidingWindow}
	burst := max(r.Burst, r.Events)
	if r.Algorithm < 0 || r.Algorithm >= len(algorithms) || r.Events < 1 || r.Window <= 0 ||
		r.Events > maxRate || r.Cost > maxRate || burst > maxRate || r.Window > 7*24*time.Hour || len(key) > state.MaxKey ||
		r.Window > time.Duration(1<<62)/time.Duration(burst) {
		return host.Taken{}, false
	}
	t := s.limits.Take("plugin\x00"+namespace, key, state.Limit{
		Algorithm: algorithms[r.Algorithm], Events: r.Events, Window: r.Window, Burst: r.Burst,
	}, r.Cost, s.now())
	return host.Taken{Allowed: t.Allowed, Remaining: t.Remaining, Wait: t.Wait, Reset: t.Reset}, true
}

// NewPluginState makes an empty state of plugins, as a gateway begins with, that
// goes by a clock of its own.
func NewPluginState(now func() time.Time) host.State {
	return pluginState{state.NewKeys(), state.NewLimits(), now}
}
