package upstream

import (
	"math/rand/v2"
	"time"
)

// slowStart keeps most requests from endpoints that are new or back, less and
// less until its time is over: such a one is asked with a chance that rises from
// slowStartLeast, and else another one is.
type slowStart struct {
	balancer
	window time.Duration
}

const (
	slowStartLeast = 0.1
	slowStartDraws = 5
)

func (s *slowStart) pick(c choice) (e *Endpoint) {
	for range slowStartDraws {
		if e = s.balancer.pick(c); e == nil {
			return nil
		}
		if p := s.chance(e, c.now); p >= 1 || rand.Float64() < p {
			return e
		}
	}
	return e // there are hardly any others
}

// chance is that of an endpoint to be asked when it is its turn.
func (s *slowStart) chance(e *Endpoint, now time.Time) float64 {
	since := now.Sub(e.standing.registered) - time.Duration(e.standing.since.Load())
	if since >= s.window {
		return 1
	}
	return slowStartLeast + (1-slowStartLeast)*max(0, float64(since)/float64(s.window))
}
