package upstream

import "math/rand/v2"

// preferring asks endpoints with certain labels while enough of them are usable:
// each may carry overprovisioned percent of its share. What they can't take the
// others do (the priority levels of Envoy).
type preferring struct {
	preferred, others balancer
	share             float64 // of requests for the preferred ones
}

const overprovisioned = 140

// prefer splits members by labels. all are those of the cluster, usable those that
// may be asked. It is that of the usable ones if there is nothing to prefer.
func prefer(labels map[string]string, all, usable []member, balance func([]member) balancer) balancer {
	total := 0
	for _, m := range all {
		if m.has(labels) {
			total++
		}
	}
	var near, far []member
	for _, m := range usable {
		if m.has(labels) {
			near = append(near, m)
		} else {
			far = append(far, m)
		}
	}
	if len(labels) == 0 || len(near) == 0 || len(far) == 0 || len(near)*overprovisioned >= total*100 {
		if len(labels) > 0 && len(near) > 0 {
			return balance(near)
		}
		return balance(usable)
	}
	return &preferring{balance(near), balance(far), float64(len(near)) * overprovisioned / 100 / float64(total)}
}

func (m *member) has(labels map[string]string) bool {
	for k, v := range labels {
		if m.labels[k] != v {
			return false
		}
	}
	return true
}

func (p *preferring) pick(c choice) *Endpoint {
	first, second := p.preferred, p.others
	at := rand.Float64()
	if c.hashed { // the same key, the same side
		at = float64((c.hash*0x9e3779b97f4a7c15)>>11) / (1 << 53)
	}
	if at >= p.share {
		first, second = second, first
	}
	if e := first.pick(c); e != nil && e != c.avoid {
		return e
	}
	return second.pick(c)
}
