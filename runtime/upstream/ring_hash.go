package upstream

import (
	"cmp"
	"math/bits"
	"slices"
	"sync/atomic"
)

// ringHash sends requests with the same hash to the same endpoint: the first one
// clockwise on a ring, on which each has points by its weight (Karger and others
// 1997). One with more than its bounded share of the requests in flight is passed
// over (Mirrokni, Thorup and Zadimoghaddam 2016). Requests without a hash go
// anywhere.
type ringHash struct {
	lottery
	points []point // sorted
	// starts has the index of the first point of each range of hashes with the same
	// leading bits, so that a look-up does not search.
	starts []int32
	shift  int

	picks  atomic.Uint32
	active atomic.Int64 // requests in flight, counted now and then
}

type point struct {
	hash   uint64
	member int32
}

const (
	// pointsEach is how many points an endpoint of weight 1 has, unless that would
	// be more than pointsMost in all.
	pointsEach = 160
	pointsMost = 1 << 18
	// ringBound is how much more than its share an endpoint may have, in percent;
	// ringFree requests it may always have.
	ringBound = 125
	ringFree  = 8
)

func newRingHash(members []member) *ringHash {
	r := &ringHash{lottery: newLottery(members)}
	if len(members) == 0 {
		return r
	}
	// The points of an endpoint must not depend on the others, or they would move
	// with them.
	scale := 1
	for r.total*pointsEach/scale > pointsMost {
		scale *= 2
	}
	for i, m := range members {
		n := max(1, m.weight*pointsEach/scale)
		for k := range n {
			r.points = append(r.points, point{hashOfPoint(m.Address(), k), int32(i)})
		}
	}
	slices.SortFunc(r.points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.member, b.member))
	})
	width := bits.Len(uint(len(r.points)))
	r.shift = 64 - width
	r.starts = make([]int32, 1<<width)
	at := 0
	for i := range r.starts {
		for at < len(r.points) && r.points[at].hash>>r.shift < uint64(i) {
			at++
		}
		r.starts[i] = int32(at)
	}
	return r
}

func (r *ringHash) pick(c choice) *Endpoint {
	if !c.hashed || len(r.members) < 2 {
		return r.one(c.avoid)
	}
	at := int(r.starts[c.hash>>r.shift])
	for at < len(r.points) && r.points[at].hash < c.hash {
		at++
	}
	allowed := r.allowed()
	var first *Endpoint
	for i := range len(r.points) {
		m := &r.members[r.points[(at+i)%len(r.points)].member]
		if m.Endpoint == c.avoid {
			continue
		}
		if first == nil {
			first = m.Endpoint
		}
		if active := m.Active(); active < ringFree || active*int64(r.total)*100 < allowed*int64(m.weight)*ringBound {
			return m.Endpoint
		}
	}
	return first
}

// allowed is the number of requests in flight, with one more. It is counted by one
// pick in as many as there are members.
func (r *ringHash) allowed() int64 {
	n := uint32(len(r.members))
	if r.picks.Add(1)%n == 0 {
		var sum int64
		for i := range r.members {
			sum += r.members[i].Active()
		}
		r.active.Store(sum)
	}
	return r.active.Load() + 1
}
