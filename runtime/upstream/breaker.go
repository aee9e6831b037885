package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// Breaker says when an upstream that fails is left alone.
type Breaker struct {
	// ErrorPercent is the share of failures that opens the breaker, if there were
	// MinRequests within Window.
	ErrorPercent, MinRequests int
	Window                    time.Duration
	// Open is how long nothing is asked before a few requests probe.
	Open time.Duration
	// MaxRequests bounds the requests at once; 0: none.
	MaxRequests int
	// MaxConnections bounds the connections to all endpoints, MaxPending the requests
	// that wait for one, each at most the upstream's connect timeout; 0: none.
	MaxConnections, MaxPending int
	// Adaptive bounds them by how the latency changes.
	Adaptive bool
}

// State is that of a breaker.
type State int32

// The states.
const (
	Closed   State = iota // requests pass
	Open                  // none does
	HalfOpen              // a few do, to see how they fare
)

func (s State) String() string {
	switch s {
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	}
	return "closed"
}

const (
	// probesNeeded good answers in a row close a half-open breaker.
	probesNeeded = 3
	// probeEvery is the share of requests that probe, while one does already.
	probeEvery = 5
)

// breaker is the state of one. Its results are counted without a lock; only what
// changes the state takes it.
type breaker struct {
	now     func() time.Duration // since some moment
	changed func(from, to State, why string)
	state   atomic.Int32
	opened  atomic.Int64
	window  window

	mu      sync.Mutex
	until   time.Duration // of open
	phase   uint64        // counts the times it was half-open
	asked   uint64        // requests while it is half-open
	probing int           // of this phase, without a result yet
	good    int           // of this phase
}

// admit lets a request pass, or says how long none will. phase is not 0 for a
// probe.
func (b *breaker) admit() (phase uint64, wait time.Duration, ok bool) {
	if State(b.state.Load()) == Closed {
		return 0, 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	switch State(b.state.Load()) {
	case Closed:
		return 0, 0, true
	case Open:
		if now < b.until {
			return 0, b.until - now, false
		}
		b.phase++
		b.asked, b.probing, b.good = 0, 0, 0
		b.turn(HalfOpen, "probing")
	}
	b.asked++
	if b.probing > 0 && (b.probing+b.good >= probesNeeded || b.asked%probeEvery != 0) {
		return 0, time.Second, false
	}
	b.probing++
	return b.phase, 0, true
}

// result counts how a request fared.
func (b *breaker) result(c *Breaker, phase uint64, good bool) {
	if phase != 0 {
		b.probed(c, phase, good)
		return
	}
	if State(b.state.Load()) != Closed {
		return // it was sent before
	}
	now := b.now()
	b.window.add(c.Window, now, good)
	if good {
		return
	}
	total, bad := b.window.sum(c.Window, now)
	if total < c.MinRequests || bad*100 < c.ErrorPercent*total {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if State(b.state.Load()) == Closed {
		b.open(c, "too many failures")
	}
}

func (b *breaker) probed(c *Breaker, phase uint64, good bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if phase != b.phase || State(b.state.Load()) != HalfOpen {
		return
	}
	b.probing--
	if !good {
		b.open(c, "a probe failed")
		return
	}
	if b.good++; b.good >= probesNeeded {
		b.window.clear()
		b.turn(Closed, "probes succeeded")
	}
}

// forget ends a probe without a result: its client left.
func (b *breaker) forget(phase uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if phase == b.phase && State(b.state.Load()) == HalfOpen {
		b.probing--
	}
}

func (b *breaker) open(c *Breaker, why string) {
	b.until = b.now() + c.Open
	b.opened.Add(1)
	b.turn(Open, why)
}

func (b *breaker) turn(to State, why string) {
	from := State(b.state.Swap(int32(to)))
	b.changed(from, to, why)
}

// window counts results in buckets that are used in turn.
type window struct{ buckets [windowBuckets]atomic.Uint64 }

// A bucket holds when it was begun, all results and the bad ones in one word, so
// that a new turn and a count can't get between each other.
const (
	windowBuckets = 10
	countBits     = 22
	countMask     = 1<<countBits - 1
	turnMask      = 1<<(64-2*countBits) - 1
)

func turnOf(length, now time.Duration) uint64 {
	return uint64(now / max(length/windowBuckets, 1))
}

func (w *window) add(length, now time.Duration, good bool) {
	turn := turnOf(length, now)
	b := &w.buckets[turn%windowBuckets]
	for {
		old := b.Load()
		all, bad := old>>countBits&countMask, old&countMask
		if old>>(2*countBits) != turn&turnMask {
			all, bad = 0, 0
		}
		if all == countMask {
			return // full: the share is known well enough
		}
		all++
		if !good {
			bad++
		}
		if b.CompareAndSwap(old, (turn&turnMask)<<(2*countBits)|all<<countBits|bad) {
			return
		}
	}
}

func (w *window) sum(length, now time.Duration) (all, bad int) {
	turn := turnOf(length, now)
	for i := range uint64(min(windowBuckets, turn+1)) {
		v := w.buckets[(turn-i)%windowBuckets].Load()
		if v>>(2*countBits) == (turn-i)&turnMask {
			all += int(v >> countBits & countMask)
			bad += int(v & countMask)
		}
	}
	return all, bad
}

func (w *window) clear() {
	for i := range w.buckets {
		w.buckets[i].Store(0)
	}
}
