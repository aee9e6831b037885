package state

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"
)

// Bounds of what Limits keeps.
const (
	limitShards = 64
	limitKeys   = 1 << 18
	// evictAmong is how many counters a full shard looks at to find the one that
	// matters least.
	evictAmong = 8
)

// Algorithm is how a Limit counts.
type Algorithm uint8

// The algorithms.
const (
	// GCRA spaces events evenly and lets Burst of them come at once.
	GCRA Algorithm = iota
	// FixedWindow counts events in windows that begin at multiples of Window.
	FixedWindow
	// SlidingWindow weighs the window before by how much of it still counts.
	SlidingWindow
)

// ParseAlgorithm reads the name of an algorithm; "" is GCRA.
func ParseAlgorithm(name string) (Algorithm, error) {
	switch name {
	case "", "gcra":
		return GCRA, nil
	case "fixed_window":
		return FixedWindow, nil
	case "sliding_window":
		return SlidingWindow, nil
	}
	return 0, fmt.Errorf("%q is no algorithm; gcra, fixed_window and sliding_window are", name)
}

// Limit is a number of events in a span of time. Window by Burst in nanoseconds
// has to fit 63 bits.
type Limit struct {
	Algorithm Algorithm
	Events    int64 // at least 1
	Window    time.Duration
	// Burst is how many events may come at once, for GCRA; 0: Events.
	Burst int64
}

// Result is what became of an event.
type Result struct {
	Allowed bool
	// Remaining is how many more events would be allowed now.
	Remaining int64
	// Wait is when the event would be allowed, if it was not; Reset when there
	// is nothing left to remember of the key.
	Wait, Reset time.Duration
}

// Limits counts events by key. It is bounded: when too many keys are in use,
// those that would be forgotten soonest are. It is safe for concurrent use.
type Limits struct {
	seeds  [2]maphash.Seed
	shards [limitShards]limitShard
}

type limitShard struct {
	mu       sync.Mutex
	counters map[[2]uint64]counter
}

// counter is the state of a key, in nanoseconds since 1970 and in events.
type counter struct {
	at        int64 // GCRA: the theoretical arrival time; else the window's begin
	now, past int64 // events in this window and in the one before
	expires   int64
}

// NewLimits returns counters that have counted nothing.
func NewLimits() *Limits {
	l := &Limits{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	for i := range l.shards {
		l.shards[i].counters = map[[2]uint64]counter{}
	}
	return l
}

// Take counts an event of a cost at least 0 for the key, which is that of a
// scope, if the limit allows it.
func (l *Limits) Take(scope, key string, limit Limit, cost int64, now time.Time) Result {
	id := [2]uint64{l.hash(0, scope, key, limit), l.hash(1, scope, key, limit)}
	s := &l.shards[id[0]%limitShards]
	t := now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	c, found := s.counters[id]
	r := limit.take(&c, cost, t)
	if !r.Allowed && !found {
		return r // a cost above the burst: nothing to remember
	}
	if !found && len(s.counters) >= limitKeys/limitShards {
		s.evict(t)
	}
	c.expires = t + int64(r.Reset)
	s.counters[id] = c
	return r
}

// hash takes two hashes of independent seeds for the identity of a counter: to
// meet by chance, both have to.
func (l *Limits) hash(i int, scope, key string, limit Limit) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seeds[i])
	maphash.WriteComparable(&h, limit)
	maphash.WriteComparable(&h, len(scope))
	_, _ = h.WriteString(scope)
	_, _ = h.WriteString(key)
	return h.Sum64()
}

// evict makes room: what has expired among a few counters, which a map yields in
// random order, or else the one that expires first.
func (s *limitShard) evict(now int64) {
	var first [2]uint64
	soonest, seen, freed := int64(0), 0, false
	for id, c := range s.counters {
		if c.expires <= now {
			delete(s.counters, id)
			freed = true
		} else if seen == 0 || c.expires < soonest {
			first, soonest = id, c.expires
		}
		if seen++; seen == evictAmong {
			break
		}
	}
	if !freed {
		delete(s.counters, first)
	}
}

func (l Limit) take(c *counter, cost, now int64) Result {
	switch l.Algorithm {
	case FixedWindow:
		return l.fixed(c, cost, now)
	case SlidingWindow:
		return l.sliding(c, cost, now)
	}
	return l.gcra(c, cost, now)
}

// gcra is the generic cell rate algorithm (ITU-T I.371) in its virtual
// scheduling form.
func (l Limit) gcra(c *counter, cost, now int64) Result {
	burst := l.Burst
	if burst == 0 {
		burst = l.Events
	}
	per := max(int64(l.Window)/l.Events, 1)
	tolerance := per * burst
	arrival := max(c.at, now)
	if cost > burst { // never
		return Result{Wait: time.Duration(tolerance), Reset: time.Duration(arrival - now)}
	}
	next := arrival + per*cost
	if over := next - now - tolerance; over > 0 {
		return Result{
			Wait: time.Duration(over), Reset: time.Duration(arrival - now),
			Remaining: max(0, (tolerance-(arrival-now))/per),
		}
	}
	c.at = next
	return Result{Allowed: true, Remaining: (tolerance - (next - now)) / per, Reset: time.Duration(next - now)}
}

func (l Limit) fixed(c *counter, cost, now int64) Result {
	l.roll(c, now)
	left := time.Duration(c.at + int64(l.Window) - now)
	if c.now+cost > l.Events {
		return Result{Remaining: l.Events - c.now, Wait: left, Reset: left}
	}
	c.now += cost
	return Result{Allowed: true, Remaining: l.Events - c.now, Reset: left}
}

func (l Limit) sliding(c *counter, cost, now int64) Result {
	l.roll(c, now)
	window := int64(l.Window)
	elapsed := now - c.at
	reset := time.Duration(2*window - elapsed)
	used := c.now + int64(float64(c.past)*float64(window-elapsed)/float64(window))
	if used+cost <= l.Events {
		c.now += cost
		return Result{Allowed: true, Remaining: l.Events - used - cost, Reset: reset}
	}
	// When enough of a window has passed: of the one before if that suffices,
	// or else of this one when it is the one before.
	wait := window - elapsed
	if free := l.Events - c.now - cost; free >= 0 {
		wait = int64((1-float64(free)/float64(c.past))*float64(window)) - elapsed
	} else if free := l.Events - cost; free >= 0 {
		wait += int64((1 - float64(free)/float64(c.now)) * float64(window))
	}
	return Result{Remaining: max(0, l.Events-used), Wait: time.Duration(max(wait, 1)), Reset: reset}
}

// roll begins the window that now is in.
func (l Limit) roll(c *counter, now int64) {
	begin := now - now%int64(l.Window)
	switch begin - c.at {
	case 0:
		return
	case int64(l.Window):
		c.past = c.now
	default:
		c.past = 0
	}
	c.at, c.now = begin, 0
}
