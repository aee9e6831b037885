package upstream

// random draws endpoints by weight.
type random struct{ lottery }

func newRandom(members []member) *random { return &random{newLottery(members)} }

func (r *random) pick(c choice) *Endpoint { return r.one(c.avoid) }

// one draws a member but for avoid, nil of none.
func (l *lottery) one(avoid *Endpoint) *Endpoint {
	switch len(l.members) {
	case 0:
		return nil
	case 1:
		return l.members[0].Endpoint
	}
	return l.members[l.draw(avoid, -1)].Endpoint
}
