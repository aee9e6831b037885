package upstream

import (
	"math"
	"sync/atomic"
	"time"
)

// ewma takes the one of two endpoints drawn by weight that is likely to answer
// first: the one with the lower product of its latency, squared, and its requests
// by weight. The latency is a moving average that jumps to a peak and decays with
// time (the peak EWMA of Twitter's Finagle).
type ewma struct{ lottery }

func newEWMA(members []member) *ewma {
	for _, m := range members {
		m.peak.wanted.Store(true)
	}
	return &ewma{newLottery(members)}
}

func (e *ewma) pick(c choice) *Endpoint {
	a, b := e.pair(c.avoid)
	switch {
	case a < 0:
		return nil
	case b < 0:
		return e.members[a].Endpoint
	}
	x, y := &e.members[a], &e.members[b]
	if x.cost(c.now) <= y.cost(c.now) {
		return x.Endpoint
	}
	return y.Endpoint
}

// peakDecay is how long it takes for a peak to lose two thirds.
const peakDecay = 2 * time.Second

const (
	// failurePenalty is the least that a request without an answer, or with an
	// error, counts as: a server that fails is quick. Failures in a row count
	// more, up to failureMost.
	failurePenalty = 100 * time.Millisecond
	failureMost    = time.Second
	// leastLatency is what quicker answers count as: between them it is chance.
	leastLatency = float64(time.Millisecond)
)

// peak is the latency of an endpoint as ewma sees it.
type peak struct {
	wanted atomic.Bool   // by a balancer
	nanos  atomic.Uint64 // bits of a float64; 0: nothing is known
	at     atomic.Int64  // when, after Endpoint.made
	epoch  atomic.Uint64 // of the standing, then
}

// learn takes a latency in that was observed now.
func (e *Endpoint) learn(took time.Duration) {
	e.peak.observe(took, time.Since(e.made))
	e.peak.epoch.Store(e.standing.epoch.Load())
}

// observe takes a latency in. Of two at the same time one may be lost.
func (p *peak) observe(took, at time.Duration) {
	old, now := p.value(at), float64(max(took, 1))
	if now < old {
		now += (old - now) * decayed(at-time.Duration(p.at.Load()))
	}
	p.nanos.Store(math.Float64bits(now))
	p.at.Store(int64(at))
}

// penalize counts a request that failed.
func (e *Endpoint) penalize() {
	if e.peak.wanted.Load() {
		before := time.Duration(e.peak.value(time.Since(e.made)))
		e.learn(min(max(failurePenalty, 2*before), max(before, failureMost)))
	}
}

// value is the latency as of a time, in nanoseconds; 0 if nothing is known.
func (p *peak) value(at time.Duration) float64 {
	v := math.Float64frombits(p.nanos.Load())
	if since := at - time.Duration(p.at.Load()); since > peakDecay/100 {
		v *= decayed(since)
	}
	return v
}

func decayed(d time.Duration) float64 {
	if d <= 0 {
		return 1
	}
	return math.Exp(-float64(d) / float64(peakDecay))
}

// cost is what one more request would wait for. Of endpoints that are idle, and
// drawn by weight, the weight does not count again. Latency counts twice: servers
// answer many requests at once, so that what is in flight does not wait for each
// other, and a slow one that is idle must not look like a quick one that is not.
func (m *member) cost(now time.Time) float64 {
	active := float64(m.Active())
	latency := m.peak.value(now.Sub(m.made))
	if m.standing != nil && m.peak.epoch.Load() != m.standing.epoch.Load() {
		latency = 0 // it was out, and is back
	}
	if latency == 0 && active > 0 {
		return math.MaxFloat64 / (1 << 40) // it has to answer first
	}
	latency = max(latency, leastLatency)
	return latency * latency * (active/float64(m.weight) + 1)
}
