package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// The adaptive limit follows Netflix's Gradient2Limit
// (github.com/Netflix/concurrency-limits): the limit shrinks by the ratio of
// the long-term latency to the present one, and grows by a small queue while
// there is no difference.
const (
	firstLimit = 20
	leastLimit = 20
	mostLimit  = 1000
	queueRoom  = 4   // what the limit grows by
	tolerance  = 1.5 // times the long-term latency that are no reason to shrink
	smoothing  = 0.2 // the share of a new limit
	longWindow = 600 // answers that make the long-term latency
)

// gradient is a limit of concurrency by latency.
type gradient struct {
	limit atomic.Int64

	mu   sync.Mutex
	long float64 // average in nanoseconds
	seen int
	now  float64 // the limit, with its fraction
}

func newGradient() *gradient {
	g := &gradient{now: firstLimit}
	g.limit.Store(firstLimit)
	return g
}

// sample takes the latency of a request that was answered while active ones
// were there. A sample that would have to wait is left out.
func (g *gradient) sample(d time.Duration, active int64) {
	if d <= 0 || !g.mu.TryLock() {
		return
	}
	defer g.mu.Unlock()
	short := float64(d)
	if g.seen < longWindow {
		g.seen++
	}
	g.long += (short - g.long) / float64(g.seen)
	if g.long > 2*short { // it was slow, and is no longer
		g.long *= 0.95
	}
	if float64(active) < g.now/2 {
		return // the limit was not what held requests back
	}
	slope := min(1, max(0.5, tolerance*g.long/short))
	g.now = (1-smoothing)*g.now + smoothing*(g.now*slope+queueRoom)
	g.now = min(mostLimit, max(leastLimit, g.now))
	g.limit.Store(int64(g.now))
}
