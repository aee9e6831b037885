package upstream

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

// hashing runs f for the algorithms that choose by a hash.
func hashing(t *testing.T, f func(t *testing.T, name string)) {
	each(t, func(t *testing.T, name string) {
		if !Hashes(name) {
			t.Skip("it does not look at hashes")
		}
		f(t, name)
	})
}

func keyed(i int) choice {
	h, _ := hashOf(exchange.Text("user-" + strconv.Itoa(i)))
	return choice{hash: h, hashed: true}
}

// Keys spread by weight.
func TestHashShares(t *testing.T) {
	hashing(t, func(t *testing.T, name string) {
		for _, weights := range [][]int{{1, 1, 1, 1, 1}, {1, 2, 3, 4}, {10, 1}} {
			members := group(weights...)
			b, _ := newBalancer(name, members)
			const n = 100000
			got := map[*Endpoint]int{}
			for i := range n {
				got[b.pick(keyed(i))]++
			}
			allowed := 0.05
			if name == "ring_hash" {
				allowed = 0.3 // a ring is uneven
			}
			for i, m := range members {
				want := float64(n*weights[i]) / float64(sum(weights))
				if d := math.Abs(float64(got[m.Endpoint])-want) / want; d > allowed {
					t.Errorf("%v: endpoint %d has %d keys, want %.0f", weights, i, got[m.Endpoint], want)
				}
			}
		}
	})
}

// When an endpoint goes, its keys move, and hardly any others.
func TestHashMoves(t *testing.T) {
	hashing(t, func(t *testing.T, name string) {
		for _, n := range []int{5, 100} {
			weights := make([]int, n)
			for i := range weights {
				weights[i] = 1 + i%2
			}
			members := group(weights...)
			before, _ := newBalancer(name, members)
			after, _ := newBalancer(name, members[1:])
			const keys = 50000
			moved := 0
			for i := range keys {
				a, b := before.pick(keyed(i)), after.pick(keyed(i))
				if a != members[0].Endpoint && a != b {
					moved++
				}
			}
			most := 0
			if name == "maglev" {
				most = keys * 4 / 100
			}
			if moved > most {
				t.Errorf("%d endpoints: %d of %d keys of others moved", n, moved, keys)
			}
		}
	})
}

// The same key goes to the same endpoint, in another process too, and to the same
// other one if that fails.
func TestHashIsStable(t *testing.T) {
	hashing(t, func(t *testing.T, name string) {
		members := group(1, 2, 3, 1, 1, 5)
		b, _ := newBalancer(name, members)
		again, _ := newBalancer(name, members)
		seen := map[*Endpoint]bool{}
		for i := range 1000 {
			e := b.pick(keyed(i))
			c := keyed(i)
			c.avoid = e
			other := b.pick(c)
			seen[other] = true
			if e != b.pick(keyed(i)) || e != again.pick(keyed(i)) || other == e || other != again.pick(c) {
				t.Fatalf("key %d", i)
			}
		}
		if len(seen) != len(members) {
			t.Errorf("%d endpoints take over", len(seen))
		}
	})
	for text, want := range map[string]uint64{"ada": 0, "": 0} {
		if h, ok := hashOf(exchange.Text(text)); !ok || h == want {
			t.Errorf("%q: %d %t", text, h, ok)
		}
	}
	if _, ok := hashOf(exchange.Value{}); ok {
		t.Error("null has a hash")
	}
}

// One key can't put more than its bounded share of the load on an endpoint.
func TestRingHashBound(t *testing.T) {
	members := group(1, 1, 2, 1, 1)
	r := newRingHash(members)
	c := keyed(7)
	const n = 3000
	for range n {
		r.pick(c).active.Add(1)
	}
	for i, m := range members {
		share := float64(n*m.weight) / 6
		if got := float64(m.Active()); got > share*1.25+10 {
			t.Errorf("endpoint %d has %.0f requests of %d, its share is %.0f", i, got, n, share)
		}
	}
	first := newRingHash(members).pick(c)
	for _, m := range members {
		m.active.Store(0)
	}
	if e := newRingHash(members).pick(c); e == nil || first == nil {
		t.Error("no endpoint")
	}
}

func BenchmarkNewHash(b *testing.B) {
	for _, name := range []string{"ring_hash", "maglev"} {
		for _, n := range []int{10, 1000} {
			weights := make([]int, n)
			for i := range weights {
				weights[i] = 1 + i%10
			}
			members := group(weights...)
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					newBalancer(name, members)
				}
			})
		}
	}
}
