package upstream

import (
	"log/slog"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// standing is whether an address of an upstream may be asked, and what that
// comes from. It outlives generations: endpoints of the same upstream and
// address share it whatever their settings are.
type standing struct {
	upstream, address string
	// barred is why the address gets no requests: bits of the following. It is
	// changed by Registry.bar alone.
	barred atomic.Uint32
	refs   int // guarded by the registry

	registered time.Time     // of the registry
	since      atomic.Int64  // it may be asked, after registered
	epoch      atomic.Uint64 // how often it came back

	mu     sync.Mutex           // taken after the registry's
	why    [reasonsToBar]string // of each bit of barred, for people
	health checkup

	detector atomic.Pointer[detector] // that wants to know of outcomes
	outcomes outcomes
}

// The reasons to bar an address.
const (
	barredUnhealthy = 1 << iota // active checks fail
	barredEjected               // its answers are worse than those of the others
	barredDrained               // somebody asked for it

	reasonsToBar = 3
)

// reasonNames are what people read of the bits of barred.
func reasonNames() [reasonsToBar]string { return [...]string{"unhealthy", "ejected", "drained"} }

// longAgo is when endpoints began that were there from the beginning: all of them
// are new, so that none is.
const longAgo = -1 << 62

// standingKey is the identity of a standing.
type standingKey struct{ upstream, address string }

func (s *standing) usable() bool { return s.barred.Load() == 0 }

// standing returns the one of an address with one more reference. r.mu is held.
func (r *Registry) standing(upstream, address string) *standing {
	k := standingKey{upstream, address}
	s := r.standings[k]
	if s == nil {
		s = &standing{upstream: upstream, address: address, registered: r.made}
		if w := r.watches[upstream]; w != nil && w.settled {
			s.since.Store(int64(time.Since(r.made)))
		} else {
			s.since.Store(longAgo)
		}
		r.standings[k] = s
	}
	s.refs++
	return s
}

// forget gives a reference back. r.mu is held.
func (r *Registry) forget(s *standing) {
	if s.refs--; s.refs == 0 {
		delete(r.standings, standingKey{s.upstream, s.address})
		s.mu.Lock()
		defer s.mu.Unlock()
		if c := s.health.checker; c != nil {
			c.stop()
			s.health.checker = nil
		}
	}
}

// bar sets or clears one reason against an address, and makes the clusters that
// have it choose among the others. It reports whether that changed anything.
func (r *Registry) bar(s *standing, reason uint32, on bool, why string) bool {
	s.mu.Lock()
	changed := s.change(reason, on, why)
	s.mu.Unlock()
	if changed {
		r.refresh(s.upstream)
	}
	return changed
}

// change does so for the address alone. s.mu is held.
func (s *standing) change(reason uint32, on bool, why string) bool {
	old := s.barred.Load()
	next := old &^ reason
	if on {
		next = old | reason
	}
	if old != 0 && next == 0 {
		s.since.Store(int64(time.Since(s.registered)))
		s.epoch.Add(1)
	}
	s.barred.Store(next)
	s.why[bits.TrailingZeros32(reason)] = why
	return old != next
}

// reasons says why the address gets no requests; nil if it does.
func (s *standing) reasons() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	barred := s.barred.Load()
	if barred == 0 {
		return nil
	}
	m := map[string]string{}
	for i, name := range reasonNames() {
		if barred&(1<<i) != 0 {
			m[name] = s.why[i]
		}
	}
	return m
}

func (r *Registry) logger() *slog.Logger {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log
}

// report writes a change of one reason to the log.
func (r *Registry) report(s *standing, reason uint32, on bool, why string) {
	log := r.logger()
	if log == nil {
		return
	}
	name := reasonNames()[bits.TrailingZeros32(reason)]
	if on {
		log.Warn("endpoint is out", "upstream", s.upstream, "endpoint", s.address, "state", name, "reason", why)
		return
	}
	log.Info("endpoint is back", "upstream", s.upstream, "endpoint", s.address, "was", name, "reason", why, "usable", s.usable())
}
