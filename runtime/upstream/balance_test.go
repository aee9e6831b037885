package upstream

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// group makes endpoints that are never dialed.
func group(weights ...int) []member {
	list := make([]member, len(weights))
	for i, w := range weights {
		list[i] = member{Endpoint: newEndpoint(key{address: fmt.Sprintf("e%d", i)}, nil, nil), weight: w}
	}
	return list
}

// each runs f for every algorithm.
func each(t *testing.T, f func(t *testing.T, name string)) {
	for name := range algorithms() {
		t.Run(name, func(t *testing.T) { f(t, name) })
	}
}

// Whatever the algorithm: among endpoints that are equally busy each gets its
// share, and none is left out.
func TestShares(t *testing.T) {
	thousand := make([]int, 1000)
	for i := range thousand {
		thousand[i] = 1 + i%3
	}
	for name, weights := range map[string][]int{
		"one": {7}, "two": {1, 1}, "equal": {2, 2, 2, 2, 2}, "weighted": {1, 2, 3, 4}, "uneven": {5, 1, 1}, "coprime": {7, 11, 13},
		"lopsided": {100, 1}, "common divisor": {300, 100}, "thousand": thousand,
	} {
		each(t, func(t *testing.T, algorithm string) {
			members := group(weights...)
			b, _ := newBalancer(algorithm, members)
			sum := 0
			for _, w := range weights {
				sum += w
			}
			n := sum * max(10, 40000/sum)
			got := map[*Endpoint]int{}
			for range n {
				got[b.pick(choice{})]++
			}
			for i, m := range members {
				want := float64(n) * float64(m.weight) / float64(sum)
				// Six standard deviations for what is drawn.
				if d := math.Abs(float64(got[m.Endpoint]) - want); d > 6*math.Sqrt(want)+1 {
					t.Errorf("%s: endpoint %d of weight %d got %d of %d, want %.0f", name, i, m.weight, got[m.Endpoint], n, want)
				}
			}
		})
	}
}

func TestAvoid(t *testing.T) {
	for name, weights := range map[string][]int{"two": {1, 1}, "heavy": {10000, 1}, "many": {1, 2, 3, 4, 5, 6}} {
		each(t, func(t *testing.T, algorithm string) {
			members := group(weights...)
			b, _ := newBalancer(algorithm, members)
			got := map[*Endpoint]int{}
			for range 10000 {
				got[b.pick(choice{avoid: members[0].Endpoint})]++
			}
			if got[members[0].Endpoint] > 0 {
				t.Errorf("%s: an endpoint to avoid was picked %d times", name, got[members[0].Endpoint])
			}
			for i, m := range members[1:] {
				if got[m.Endpoint] == 0 {
					t.Errorf("%s: endpoint %d was never picked instead", name, i+1)
				}
			}
		})
	}
	each(t, func(t *testing.T, algorithm string) {
		b, _ := newBalancer(algorithm, nil)
		if b.pick(choice{}) != nil {
			t.Error("an endpoint of nothing")
		}
		only := group(3)
		b, _ = newBalancer(algorithm, only)
		if b.pick(choice{avoid: only[0].Endpoint}) != only[0].Endpoint {
			t.Error("the only endpoint was avoided")
		}
		r := NewRegistry(nil)
		defer r.Close()
		c := r.Cluster(Config{Name: "u", Balance: algorithm, Endpoints: []EndpointConfig{{Address: "a:1"}, {Address: "a:1"}, {Address: "b:1"}}})
		defer c.Close()
		a, err := c.Pick(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if e, err := c.Pick(nil, a); e == a || err != nil {
				t.Fatal("an endpoint that is listed twice is not avoided", err)
			}
		}
		none := r.Cluster(Config{Name: "v", Balance: algorithm})
		defer none.Close()
		if _, err := none.Pick(nil, nil); !errors.Is(err, ErrNoEndpoint) {
			t.Error(err)
		}
	})
}

// An address that is listed twice weighs what both entries do.
func TestSharesOfAnAddressListedTwice(t *testing.T) {
	each(t, func(t *testing.T, algorithm string) {
		c := registry(t).Cluster(Config{Name: "u", Balance: algorithm, Endpoints: []EndpointConfig{
			{Address: "a:1", Weight: 2}, {Address: "b:1", Weight: 3}, {Address: "a:1"}, {Address: "c:1", Weight: -1}}})
		defer c.Close()
		const n = 70000
		got := map[string]int{}
		for range n {
			e, err := c.Pick(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			got[e.Address()]++
		}
		for address, weight := range map[string]int{"a:1": 3, "b:1": 3, "c:1": 1} {
			if want := n * weight / 7; math.Abs(float64(got[address]-want)) > float64(want)/10 {
				t.Errorf("%s got %d, want about %d", address, got[address], want)
			}
		}
	})
}

// What an endpoint that is down does not take, the others share by weight: no
// neighbour of it gets all.
func TestSharesOfAnAvoidedEndpoint(t *testing.T) {
	for name, weights := range map[string][]int{
		"equal": {1, 1, 1, 1, 1, 1}, "three": {1, 1, 1}, "weighted": {1, 2, 3, 4, 5, 6}, "heavy": {6, 5, 4, 3, 2, 1}, "dominant": {50, 1, 1, 2},
	} {
		each(t, func(t *testing.T, algorithm string) {
			members := group(weights...)
			b, _ := newBalancer(algorithm, members)
			const n = 60000
			got := map[*Endpoint]int{}
			for range n {
				got[b.pick(choice{avoid: members[0].Endpoint})]++
			}
			for i, m := range members[1:] {
				want := float64(n*m.weight) / float64(sum(weights[1:]))
				if share := float64(got[m.Endpoint]) / want; share < 0.9 || share > 1.1 {
					t.Errorf("%s: endpoint %d of weight %d gets %.2f of its share", name, i+1, m.weight, share)
				}
			}
		})
	}
}

// Algorithms are used by many goroutines at once.
func TestPickInParallel(t *testing.T) {
	each(t, func(t *testing.T, algorithm string) {
		members := group(1, 2, 3)
		b, _ := newBalancer(algorithm, members)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 1000 {
					e := b.pick(choice{avoid: members[0].Endpoint})
					e.begin()
					e.end()
				}
			})
		}
		wg.Wait()
	})
}

func TestPickAllocatesNothing(t *testing.T) {
	each(t, func(t *testing.T, algorithm string) {
		weights := make([]int, 1000)
		for i := range weights {
			weights[i] = 1 + i%7
		}
		members := group(weights...)
		b, _ := newBalancer(algorithm, members)
		if n := testing.AllocsPerRun(1000, func() { b.pick(choice{avoid: members[1].Endpoint}) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func TestUnknownBalance(t *testing.T) {
	if Balances("") || Balances("no such") || !Balances("round_robin") || !Balances("least_request") {
		t.Error("wrong names")
	}
}

func TestRoundRobin(t *testing.T) {
	t.Run("as listed", func(t *testing.T) {
		members := group(4, 4, 4)
		r := newRoundRobin(members)
		begin := r.pick(choice{})
		first := slices.IndexFunc(members, func(m member) bool { return m.Endpoint == begin })
		for i := range 10 {
			if e := r.pick(choice{}); e != members[(first+1+i)%3].Endpoint {
				t.Fatalf("turn %d is %s", i, e.Address())
			}
		}
	})
	t.Run("exact in each round, and evenly spaced", func(t *testing.T) {
		for _, weights := range [][]int{{5, 1, 1}, {1, 2, 3, 4}, {9, 1}, {10, 10, 1}, {3, 6, 9}, {50, 3, 7, 11}} {
			members := group(weights...)
			s := schedule(members)
			for i, m := range members {
				var at []int
				for j := range 2 * len(s) {
					if s[j%len(s)] == m.Endpoint {
						at = append(at, j)
					}
				}
				turns := len(at) / 2
				if g := weights[i] * len(s); g != turns*sum(weights) {
					t.Errorf("%v: endpoint %d has %d turns of %d", weights, i, turns, len(s))
				}
				for j := 1; j < len(at); j++ {
					ideal := float64(len(s)) / float64(turns)
					if gap := float64(at[j] - at[j-1]); gap > 2*ideal+1 || gap < ideal/2-1 {
						t.Errorf("%v: endpoint %d waits for %v turns, ideally %.1f", weights, i, gap, ideal)
					}
				}
			}
		}
	})
	t.Run("begins anywhere", func(t *testing.T) {
		members := group(1, 1)
		got := map[*Endpoint]int{}
		for range 100 {
			got[newRoundRobin(members).pick(choice{})]++
		}
		if len(got) != 2 {
			t.Error("every new cluster begins with the same endpoint")
		}
	})
	t.Run("large clusters are made quickly", func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 1))
		weights := make([]int, 10000)
		for i := range weights {
			weights[i] = 1 + r.IntN(1<<16)
		}
		members := group(weights...)
		start := time.Now()
		s := schedule(members)
		if d := time.Since(start); d > time.Second {
			t.Errorf("it takes %v", d)
		}
		if len(s) > maxSchedule+len(members) {
			t.Errorf("%d turns", len(s))
		}
		seen := map[*Endpoint]bool{}
		for _, e := range s {
			seen[e] = true
		}
		if len(seen) != len(members) {
			t.Errorf("%d of %d endpoints have a turn", len(seen), len(members))
		}
	})
	t.Run("the count may overflow", func(t *testing.T) {
		members := group(1, 1, 1)
		r := newRoundRobin(members)
		r.next.Store(math.MaxUint32 - 1)
		for range 5 {
			if r.pick(choice{}) == nil {
				t.Fatal("no endpoint")
			}
		}
	})
}

func sum(list []int) (n int) {
	for _, v := range list {
		n += v
	}
	return n
}

func TestLeastRequest(t *testing.T) {
	load := func(m member, n int64) { m.active.Store(n) }
	t.Run("of two the less busy one", func(t *testing.T) {
		members := group(1, 1)
		load(members[0], 3)
		load(members[1], 2)
		l := newLeastRequest(members)
		for range 1000 {
			if l.pick(choice{}) != members[1].Endpoint {
				t.Fatal("the busier one was picked")
			}
		}
	})
	t.Run("busy means requests over weight", func(t *testing.T) {
		members := group(10, 1)
		load(members[0], 19)
		load(members[1], 2)
		l := newLeastRequest(members)
		for range 1000 {
			if l.pick(choice{}) != members[0].Endpoint {
				t.Fatal("nineteen requests at ten times the weight are less than two")
			}
		}
	})
	t.Run("the busiest is never picked", func(t *testing.T) {
		members := group(1, 1, 1, 1, 1)
		load(members[2], 100)
		l := newLeastRequest(members)
		for range 10000 {
			if l.pick(choice{}) == members[2].Endpoint {
				t.Fatal("it was")
			}
		}
	})
	// Requests that stay: the loads follow the weights.
	t.Run("loads follow weights", func(t *testing.T) {
		members := group(1, 2, 3, 4)
		l := newLeastRequest(members)
		const n = 10000
		for range n {
			l.pick(choice{}).active.Add(1)
		}
		for i, m := range members {
			if want := float64(n*m.weight) / 10; math.Abs(float64(m.Active())-want) > want/20 {
				t.Errorf("endpoint %d has %d requests, want about %.0f", i, m.Active(), want)
			}
		}
	})
}

func BenchmarkPick(b *testing.B) {
	for name := range algorithms() {
		for _, kind := range []string{"equal", "weighted"} {
			weights := make([]int, 1000)
			for i := range weights {
				if weights[i] = 1; kind == "weighted" {
					weights[i] = 1 + i%10
				}
			}
			p, _ := newBalancer(name, group(weights...))
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				c := choice{now: time.Now(), hash: 1, hashed: true}
				for b.Loop() {
					c.hash *= 0x9e3779b97f4a7c15
					p.pick(c)
				}
			})
			b.Run(name+"/"+kind+"/parallel", func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					c := choice{now: time.Now(), hash: 1, hashed: true}
					for pb.Next() {
						c.hash *= 0x9e3779b97f4a7c15
						p.pick(c)
					}
				})
			})
		}
	}
}

// A reload makes every cluster anew.
func BenchmarkCluster(b *testing.B) {
	for _, balance := range []string{"round_robin", "least_request"} {
		r := NewRegistry(nil)
		c := Config{Name: "u", Balance: balance}
		for i := range 1000 {
			c.Endpoints = append(c.Endpoints, EndpointConfig{Address: fmt.Sprintf("10.0.0.1:%d", 1000+i), Weight: 1 + i%10})
		}
		first := r.Cluster(c)
		b.Run(balance, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Cluster(c).Close()
			}
		})
		first.Close()
		r.Close()
	}
}

// A further try goes to an endpoint that was not asked, as long as there is one.
func TestPickOther(t *testing.T) {
	each(t, func(t *testing.T, algorithm string) {
		r := registry(t)
		config := Config{Name: "u", Balance: algorithm, HashOn: func(*exchange.Exchange) (exchange.Value, error) { return exchange.Text("a"), nil }}
		for i := range 5 {
			config.Endpoints = append(config.Endpoints, EndpointConfig{Address: fmt.Sprintf("e%d:1", i), Weight: 1 + 9*(i%2)})
		}
		c := r.Cluster(config)
		defer c.Close()
		x := &exchange.Exchange{}
		for range 200 {
			var tried []*Endpoint
			for range 5 {
				e, err := c.PickOther(x, tried)
				if err != nil || slices.Contains(tried, e) {
					t.Fatalf("after %d others: %v", len(tried), err)
				}
				tried = append(tried, e)
			}
			if e, err := c.PickOther(x, tried); e == nil || err != nil {
				t.Fatal("there is no other, and so none", err)
			}
		}
	})
}
