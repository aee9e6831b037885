package upstream

import "sync/atomic"

// roundRobin walks a schedule that is made once: the smooth weighted round
// robin of nginx, which spreads a heavy endpoint's turns evenly. A turn is then
// one atomic addition.
type roundRobin struct {
	schedule []*Endpoint
	next     atomic.Uint32
}

// maxSchedule bounds the length of a schedule; weights beyond it are scaled.
const maxSchedule = 1 << 14

func newRoundRobin(members []member) *roundRobin {
	weights, total := make([]int, len(members)), 0
	for i, m := range members {
		weights[i] = m.weight
		total += m.weight
	}
	g := 0
	for _, w := range weights {
		g = gcd(g, w)
	}
	if g > 1 {
		total = 0
		for i := range weights {
			weights[i] /= g
			total += weights[i]
		}
	}
	if total > maxSchedule {
		scale, sum := float64(maxSchedule)/float64(total), 0
		for i := range weights {
			weights[i] = max(1, int(float64(weights[i])*scale))
			sum += weights[i]
		}
		total = sum
	}
	r := &roundRobin{}
	current := make([]int, len(members))
	for range total {
		best := 0
		for i := range current {
			current[i] += weights[i]
			if current[i] > current[best] {
				best = i
			}
		}
		current[best] -= total
		r.schedule = append(r.schedule, members[best].Endpoint)
	}
	return r
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (r *roundRobin) pick(avoid *Endpoint) *Endpoint {
	n := uint32(len(r.schedule))
	if n == 0 {
		return nil
	}
	at := r.next.Add(1)
	first := r.schedule[at%n]
	if first != avoid {
		return first
	}
	for i := uint32(1); i < n; i++ {
		if e := r.schedule[(at+i)%n]; e != avoid {
			return e
		}
	}
	return first
}
