package upstream

import "math/rand/v2"

// lottery draws members by weight, at a cost that does not grow with their number.
type lottery struct {
	members []member
	total   int      // weight of all
	columns []column // nil if all weigh the same
}

// column i of an alias table (Walker 1977) makes drawing by weight as cheap as
// drawing: member i fills it up to keep of the total, another the rest.
type column struct{ keep, other int }

func newLottery(members []member) lottery {
	l := lottery{members: members}
	equal := true
	for _, m := range members {
		l.total += m.weight
		equal = equal && m.weight == members[0].weight
	}
	if equal {
		return l
	}
	l.columns = make([]column, len(members))
	var small, large []int // columns that are not full, and those that overflow
	for i, m := range members {
		l.columns[i] = column{m.weight * len(members), i}
		if l.columns[i].keep < l.total {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 {
		s, f := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		l.columns[s].other = f
		if l.columns[f].keep -= l.total - l.columns[s].keep; l.columns[f].keep < l.total {
			large = large[:len(large)-1]
			small = append(small, f)
		}
	}
	return l
}

func (l *lottery) draw(avoid *Endpoint, not int) int {
	n := len(l.members)
	for range 8 {
		if i := l.drawAny(); i != not && l.members[i].Endpoint != avoid {
			return i
		}
	}
	// There are few, or one outweighs all.
	if not < 0 {
		return l.drawOther(avoid)
	}
	start := rand.IntN(n)
	for k := range n {
		if i := (start + k) % n; i != not && l.members[i].Endpoint != avoid {
			return i
		}
	}
	return -1
}

// drawOther is draw at a cost that grows with the cluster, whatever avoid
// weighs.
func (l *lottery) drawOther(avoid *Endpoint) int {
	total := 0
	for i := range l.members {
		if l.members[i].Endpoint != avoid {
			total += l.members[i].weight
		}
	}
	left := rand.IntN(total)
	for i := range l.members {
		if l.members[i].Endpoint == avoid {
			continue
		}
		if left -= l.members[i].weight; left < 0 {
			return i
		}
	}
	return -1
}

func (l *lottery) drawAny() int {
	i := rand.IntN(len(l.members))
	if l.columns == nil || rand.IntN(l.total) < l.columns[i].keep {
		return i
	}
	return l.columns[i].other
}

// pair draws two different members but for avoid. b is -1 if there is but one. Of
// none, a is -1.
func (l *lottery) pair(avoid *Endpoint) (a, b int) {
	switch len(l.members) {
	case 0:
		return -1, -1
	case 1:
		return 0, -1
	}
	a = l.draw(avoid, -1) // there are two, so one is not avoid
	return a, l.draw(avoid, a)
}
