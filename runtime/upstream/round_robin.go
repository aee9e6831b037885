package upstream

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// roundRobin walks a schedule that is made once, in which the turns of each
// endpoint are evenly spaced. A turn is then one atomic addition.
type roundRobin struct {
	schedule []*Endpoint
	next     atomic.Uint32
}

// maxSchedule bounds the length of a schedule; weights beyond it are scaled.
const maxSchedule = 1 << 14

// maxTurns bounds the turns of an endpoint to avoid that one pick passes over.
const maxTurns = 64

func newRoundRobin(members []member) *roundRobin {
	r := &roundRobin{schedule: schedule(members)}
	if n := len(r.schedule); n > 0 {
		// Configurations that follow each other quickly must not all begin with
		// the same endpoint.
		r.next.Store(rand.Uint32N(uint32(n)))
	}
	return r
}

// schedule returns each endpoint as often as it weighs.
func schedule(members []member) []*Endpoint {
	weights := make([]int, len(members))
	divisor, total := 0, 0
	for i, m := range members {
		weights[i] = m.weight
		divisor = gcd(divisor, m.weight)
		total += m.weight
	}
	if total == 0 {
		return nil
	}
	scale := 1 / float64(divisor)
	if total/divisor > maxSchedule {
		scale = maxSchedule / float64(total)
	}
	// Turn k of an endpoint is at (k + phase) / weight of the way round. Phases
	// that are multiples of the golden ratio keep endpoints of like weight apart.
	type turn struct {
		at       float64
		endpoint *Endpoint
	}
	turns := make([]turn, 0, min(total/divisor, maxSchedule+len(members)))
	for i, m := range members {
		w := max(1, int(math.Round(float64(weights[i])*scale)))
		_, phase := math.Modf(float64(i) / math.Phi)
		for k := range w {
			turns = append(turns, turn{(float64(k) + phase) / float64(w), m.Endpoint})
		}
	}
	if len(turns) > len(members) {
		slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
	} // else all weigh the same, and take turns as they are listed
	list := make([]*Endpoint, len(turns))
	for i, t := range turns {
		list[i] = t.endpoint
	}
	return list
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (r *roundRobin) pick(c choice) *Endpoint {
	n := uint32(len(r.schedule))
	if n == 0 {
		return nil
	}
	var at uint32
	// Each turn is taken once, also by those who avoid an endpoint: were they sent
	// on to the next in the schedule, its neighbour would get all of its share.
	for range min(n, maxTurns) {
		at = r.next.Add(1) % n
		if e := r.schedule[at]; e != c.avoid {
			return e
		}
	}
	// It outweighs the others by far, or they were taken by somebody else.
	for i := range n {
		if e := r.schedule[(at+i)%n]; e != c.avoid {
			return e
		}
	}
	return c.avoid
}
