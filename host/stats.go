package host

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/host/abi/native"
	"github.com/headgate/headgate/host/abi/proxywasm"
)

// stats is what the plugins of one name did. It outlives their pools as long as
// one of them is there.
type stats struct {
	abi.Denials
	calls, nanos, fuel atomic.Int64
	waits, waited      atomic.Int64 // for an instance, and nanoseconds
	shared             *proxywasm.Shared
	refs               int // guarded by host.mu
}

// PluginStats is what the plugins of one name did, and what they have now.
type PluginStats struct {
	Name string
	// Calls into guests, the time that they took with what they waited for, and
	// the fuel that they used, which is about instructions.
	Calls int64
	Time  time.Duration
	Fuel  int64
	// Waits are exchanges that waited for an instance.
	Waits  int64
	Waited time.Duration
	// Denials are calls of functions that no grant allows.
	Denials int64
	// Instances there are, of which Busy are in use; Memory is their linear memory
	// in bytes.
	Instances, Busy int
	Memory          int64
	// Quarantined is set while a plugin is kept out of use; Quarantines are how
	// often one was.
	Quarantined bool
	Quarantines int64
	// Metrics are those that the plugins defined.
	Metrics []*Metric `json:",omitempty"`
}

// Metric is one that a plugin defined.
type Metric = proxywasm.Metric

// Series is a metric that a plugin made, with its labels.
type Series = native.Series

// Series lists the metrics that plugins with labels made.
func (h *Host) Series() []*Series { return h.metrics.Series() }

// statsOf returns the stats of a name with one more reference. h.mu is held.
func (h *Host) statsOf(name string) *stats {
	s := h.stats[name]
	if s == nil {
		s = &stats{shared: proxywasm.NewShared()}
		h.stats[name] = s
	}
	s.refs++
	return s
}

// Stats lists the plugins that are loaded, by name.
func (h *Host) Stats() []PluginStats {
	h.mu.Lock()
	byName := make(map[string]*PluginStats, len(h.stats))
	for name, s := range h.stats {
		byName[name] = &PluginStats{
			Name: name, Calls: s.calls.Load(), Time: time.Duration(s.nanos.Load()), Fuel: s.fuel.Load(),
			Waits: s.waits.Load(), Waited: time.Duration(s.waited.Load()), Denials: s.Denials.Load(), Metrics: s.shared.Metrics(),
		}
	}
	pools := h.snapshot()
	h.mu.Unlock()
	for _, p := range pools {
		if s := byName[p.spec.Name]; s != nil {
			p.addTo(s)
		}
	}
	list := make([]PluginStats, 0, len(byName))
	for _, s := range byName {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b PluginStats) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (p *pool) addTo(s *PluginStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Instances += len(p.all)
	for in := range p.all {
		if in.active > 0 {
			s.Busy++
		}
		s.Memory += in.mem.taken.Load()
	}
	s.Quarantined = s.Quarantined || !p.quarantine.until.IsZero()
	s.Quarantines += int64(p.quarantine.times)
}
