package upstream

// maglev sends requests with the same hash to the same endpoint by a table in
// which the endpoints have turns by weight (Eisenbud and others, "Maglev: A Fast
// and Reliable Software Network Load Balancer", 2016, section 3.4). Its shares are
// more even than those of a ring, and a look-up is one access; when an endpoint
// goes, a few keys of others move, too. Requests without a hash go anywhere.
type maglev struct {
	lottery
	table []int32
}

// maglevSize and maglevLarge are the sizes of tables, prime numbers; the latter is
// for so many endpoints that the former would not be even.
const (
	maglevSize  = 65537
	maglevLarge = 655373
	maglevMany  = 650
)

func newMaglev(members []member) *maglev {
	m := &maglev{lottery: newLottery(members)}
	if len(members) == 0 {
		return m
	}
	size := uint64(maglevSize)
	if len(members) > maglevMany {
		size = maglevLarge
	}
	heaviest := 0
	for _, e := range members {
		heaviest = max(heaviest, e.weight)
	}
	type turns struct {
		next, skip uint64 // of the endpoint's own order of the places
		due        float64
	}
	list := make([]turns, len(members))
	for i, e := range members {
		list[i] = turns{hashOfPoint(e.Address(), 0) % size, hashOfPoint(e.Address(), 1)%(size-1) + 1, 0}
	}
	m.table = make([]int32, size)
	for i := range m.table {
		m.table[i] = -1
	}
	for filled := uint64(0); filled < size; {
		for i := range list {
			t := &list[i]
			if t.due += float64(members[i].weight) / float64(heaviest); t.due < 1 {
				continue
			}
			t.due--
			for m.table[t.next] >= 0 {
				t.next = (t.next + t.skip) % size
			}
			m.table[t.next] = int32(i)
			if filled++; filled == size {
				break
			}
		}
	}
	return m
}

func (m *maglev) pick(c choice) *Endpoint {
	if !c.hashed || len(m.members) < 2 {
		return m.one(c.avoid)
	}
	h := c.hash
	for range 8 {
		if e := m.members[m.table[h%uint64(len(m.table))]].Endpoint; e != c.avoid {
			return e
		}
		h = h*0x9e3779b97f4a7c15 + 1 // another place, the same for the same key
	}
	for i := range m.members { // one endpoint outweighs all
		if e := m.members[(h+uint64(i))%uint64(len(m.members))].Endpoint; e != c.avoid {
			return e
		}
	}
	return c.avoid
}
