package upstream

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/headgate/headgate/runtime/telemetry"
)

// watch is what is kept of the health of an upstream by its name, whatever its
// generation.
type watch struct {
	name     string
	clusters map[*Cluster]struct{} // guarded by the registry

	directing sync.Mutex // held while settings are applied
	panics    panics
	detector  *detector // guarded by the registry; nil: none
	settled   bool      // it has had endpoints: others are new; guarded by the registry
}

// panics tells whether the upstream uses endpoints that are out, for want of
// others.
type panics struct {
	now     atomic.Bool
	entered atomic.Int64
}

// join makes c one of the clusters of its upstream. r.mu is held.
func (r *Registry) join(c *Cluster) {
	w := r.watches[c.config.Name]
	if w == nil {
		w = &watch{name: c.config.Name, clusters: map[*Cluster]struct{}{}}
		r.watches[w.name] = w
	}
	w.clusters[c] = struct{}{}
	r.joined++
	c.number = r.joined
}

// leave ends what join began.
func (r *Registry) leave(c *Cluster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.watches[c.config.Name]
	if w == nil {
		return
	}
	if delete(w.clusters, c); len(w.clusters) == 0 {
		delete(r.watches, c.config.Name)
		if w.detector != nil {
			w.detector.stop()
		}
	}
}

// inForce returns the clusters of an upstream, the latest first.
func (r *Registry) inForce(upstream string) (*watch, []*Cluster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.watches[upstream]
	if w == nil {
		return nil, nil
	}
	list := make([]*Cluster, 0, len(w.clusters))
	for c := range w.clusters {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Cluster) int { return cmp.Compare(b.number, a.number) })
	return w, list
}

// direct applies the settings of an upstream to its addresses, where the latest
// cluster that has an address decides.
func (r *Registry) direct(upstream string) {
	w, _ := r.inForce(upstream)
	if w == nil {
		return
	}
	w.directing.Lock()
	defer w.directing.Unlock()
	_, list := r.inForce(upstream)
	if len(list) > 0 {
		r.bound(w.name, list[0].config.Breaker)
		r.watchOutliers(w, list[0].config.Outliers, list[0])
	}
	seen := map[*standing]bool{}
	back := false
	for _, c := range list {
		m := c.members.Load()
		if m == nil {
			continue
		}
		for _, e := range m.all {
			if !seen[e.standing] {
				seen[e.standing] = true
				back = r.examine(e.Endpoint, c.config.HealthCheck) || back
			}
		}
	}
	if back {
		r.refresh(upstream)
		return
	}
	r.alarm(upstream)
}

// refresh makes the clusters of an upstream look at their endpoints again.
func (r *Registry) refresh(upstream string) {
	_, list := r.inForce(upstream)
	for _, c := range list {
		c.refresh()
	}
	r.alarm(upstream)
}

// alarm tells of a panic that begins or ends, as the latest cluster has it.
func (r *Registry) alarm(upstream string) {
	w, list := r.inForce(upstream)
	if w == nil {
		return
	}
	m := list[0].members.Load()
	if m == nil || !w.panics.now.CompareAndSwap(!m.panicking, m.panicking) {
		return
	}
	if m.panicking {
		w.panics.entered.Add(1)
	}
	log := r.logger()
	if log == nil {
		return
	}
	if m.panicking {
		log.Warn("too few endpoints are usable, all are used", "upstream", upstream, "usable", m.usable, "endpoints", len(m.all))
		return
	}
	log.Info("enough endpoints are usable again", "upstream", upstream, "usable", m.usable, "endpoints", len(m.all))
}

// usable returns the members that may be asked, and how many of them are well.
// If too few are, all may be asked but those that were drained.
func (c *Cluster) usable(all []member) (list []member, well int, panicking bool) {
	list = make([]member, 0, len(all))
	candidates := 0
	for _, m := range all {
		barred := m.standing.barred.Load()
		if barred == 0 {
			list = append(list, m)
		}
		if barred&barredDrained == 0 {
			candidates++
		}
	}
	well = len(list)
	if !c.tooFew(well, candidates) {
		return list, well, false
	}
	list = list[:0]
	for _, m := range all {
		if m.standing.barred.Load()&barredDrained == 0 {
			list = append(list, m)
		}
	}
	return list, well, true
}

// tooFew reports whether all of some endpoints have to be used, since only so many
// are well. Without active checks nothing but their own answers speaks against
// endpoints: then one that is well is enough.
func (c *Cluster) tooFew(well, of int) bool {
	h := c.config.HealthCheck
	if h == nil {
		return well == 0 && of > 0
	}
	return well*100 < h.Panic*of
}

// Health lists what is known of how endpoints are, by upstream.
func (r *Registry) Health() []telemetry.Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := map[string]*telemetry.Health{}
	for name, w := range r.watches {
		at[name] = &telemetry.Health{Upstream: name, Panicking: w.panics.now.Load(), Panics: w.panics.entered.Load()}
	}
	for k, s := range r.standings {
		h := at[k.upstream]
		if h == nil {
			continue // it is on its way out
		}
		e := telemetry.EndpointHealth{
			Endpoint: k.address, Passed: s.health.passed.Load(), Failed: s.health.failed.Load(), Thrown: s.outcomes.ejections.Load(),
		}
		for i, reason := range reasonNames() {
			if s.barred.Load()&(1<<i) != 0 {
				e.Barred = append(e.Barred, reason)
			}
		}
		h.Endpoints = append(h.Endpoints, e)
	}
	list := make([]telemetry.Health, 0, len(at))
	for _, h := range at {
		list = append(list, *h)
	}
	return list
}
