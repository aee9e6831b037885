package upstream

import "math/rand/v2"

// leastRequest takes the better of two endpoints drawn by weight: the power of
// two choices (Mitzenmacher 2001), which avoids the herd that a plain minimum
// sends to one endpoint.
type leastRequest struct {
	members []member
	sums    []int // of weights up to and with each member
	equal   bool
}

func newLeastRequest(members []member) *leastRequest {
	l := &leastRequest{members: members, equal: true}
	sum := 0
	for _, m := range members {
		sum += m.weight
		l.sums = append(l.sums, sum)
		l.equal = l.equal && m.weight == members[0].weight
	}
	return l
}

func (l *leastRequest) draw() int {
	if l.equal {
		return rand.IntN(len(l.members))
	}
	n := rand.IntN(l.sums[len(l.sums)-1])
	low, high := 0, len(l.sums)-1
	for low < high {
		if mid := (low + high) / 2; l.sums[mid] > n {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

func (l *leastRequest) pick(avoid *Endpoint) *Endpoint {
	switch len(l.members) {
	case 0:
		return nil
	case 1:
		return l.members[0].Endpoint
	}
	a := l.other(l.draw(), avoid)
	b := l.other(l.draw(), avoid)
	// The load of an endpoint is its requests over its weight.
	x, y := &l.members[a], &l.members[b]
	if x.Active()*int64(y.weight) <= y.Active()*int64(x.weight) {
		return x.Endpoint
	}
	return y.Endpoint
}

// other returns i, or its neighbour if i is the endpoint to avoid.
func (l *leastRequest) other(i int, avoid *Endpoint) int {
	if l.members[i].Endpoint == avoid {
		return (i + 1) % len(l.members)
	}
	return i
}
