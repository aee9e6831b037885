package upstream

// leastRequest takes the better of two endpoints drawn by weight: the power of
// two choices (Mitzenmacher 2001), which avoids the herd that a plain minimum
// sends to one endpoint.
type leastRequest struct{ lottery }

func newLeastRequest(members []member) *leastRequest { return &leastRequest{newLottery(members)} }

func (l *leastRequest) pick(c choice) *Endpoint {
	a, b := l.pair(c.avoid)
	switch {
	case a < 0:
		return nil
	case b < 0:
		return l.members[a].Endpoint
	}
	// The load of an endpoint is its requests over its weight. Of two that are
	// alike the first counts: it was drawn by weight alone.
	x, y := &l.members[a], &l.members[b]
	if x.Active()*int64(y.weight) <= y.Active()*int64(x.weight) {
		return x.Endpoint
	}
	return y.Endpoint
}
