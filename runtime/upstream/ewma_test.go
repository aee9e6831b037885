package upstream

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// reply is a request of a simulation that ends at a time.
type reply struct {
	at, took time.Duration
	by       *Endpoint
}

type replies []reply

func (a replies) Len() int           { return len(a) }
func (a replies) Less(i, j int) bool { return a[i].at < a[j].at }
func (a replies) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *replies) Push(x any)        { *a = append(*a, x.(reply)) }
func (a *replies) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// simulate sends 2,000 requests a second to five endpoints that take about 10 ms,
// of which the first takes 20 times as long from slowAt on. It returns the 99th
// percentile of the latency of those that began within each second.
func simulate(name string, seconds int, slowAt time.Duration) []time.Duration {
	r := rand.New(rand.NewPCG(1, 2))
	members := group(1, 1, 1, 1, 1)
	b, _ := newBalancer(name, members)
	base := members[0].made
	var busy replies
	took := make([][]time.Duration, seconds)
	for now := time.Duration(0); now < time.Duration(seconds)*time.Second; now += time.Second / 2000 {
		for len(busy) > 0 && busy[0].at <= now {
			a := heap.Pop(&busy).(reply)
			a.by.active.Add(-1)
			a.by.peak.observe(a.took, a.at)
		}
		e := b.pick(choice{now: base.Add(now)})
		e.active.Add(1)
		d := time.Duration(float64(10*time.Millisecond) * (0.8 + 0.4*r.Float64()))
		if e == members[0].Endpoint && now >= slowAt {
			d *= 20
		}
		heap.Push(&busy, reply{now + d, d, e})
		took[int(now/time.Second)] = append(took[int(now/time.Second)], d)
	}
	p99 := make([]time.Duration, seconds)
	for i, list := range took {
		slices.Sort(list)
		p99[i] = list[len(list)*99/100]
	}
	return p99
}

// An endpoint that turns slow is left alone by ewma.
func TestEWMASlowEndpoint(t *testing.T) {
	p99 := simulate("ewma", 20, 10*time.Second)
	for i, p := range p99 {
		if i >= 13 && p > p99[9]*3/2 {
			t.Errorf("second %d: p99 is %s, before it was %s", i, p, p99[9])
		}
	}
	if p := simulate("round_robin", 15, 10*time.Second)[14]; p < 100*time.Millisecond {
		t.Errorf("the simulation is too easy: round robin has %s", p)
	}
}

// A peak counts at once and is forgotten with time.
func TestPeak(t *testing.T) {
	var p peak
	p.observe(10*time.Millisecond, 0)
	p.observe(100*time.Millisecond, time.Millisecond)
	if v := time.Duration(p.value(time.Millisecond)); v != 100*time.Millisecond {
		t.Errorf("after a peak it is %s", v)
	}
	p.observe(10*time.Millisecond, 2*time.Millisecond)
	if v := time.Duration(p.value(2 * time.Millisecond)); v < 99*time.Millisecond {
		t.Errorf("one answer makes it forgotten: %s", v)
	}
	if v := time.Duration(p.value(6 * time.Second)); v > 10*time.Millisecond {
		t.Errorf("after 6 s it is %s", v)
	}
}

// Those who fail quickly are not the quick ones, until they have recovered: with
// time, or at once when they come back from being out.
func TestEWMAErrors(t *testing.T) {
	r := registry(t)
	c := r.Cluster(Config{Name: "u", Balance: "ewma", Endpoints: []EndpointConfig{{Address: "192.0.2.1:80"}, {Address: "192.0.2.2:80"}}})
	defer c.Close()
	bad, good := c.members.Load().all[0].Endpoint, c.members.Load().all[1].Endpoint
	picked := func(at time.Duration) bool {
		for range 100 {
			e := c.members.Load().balancer.pick(choice{now: time.Now().Add(at)})
			if e == bad {
				return true
			}
		}
		return false
	}
	for range 5000 {
		bad.Failed("reset")
		bad.Answered(500, time.Microsecond)
	}
	good.Answered(200, 5*time.Millisecond)
	if picked(0) {
		t.Error("the one that fails was picked")
	}
	if v := time.Duration(bad.peak.value(time.Since(bad.made))); v > failureMost {
		t.Errorf("failures count as %s", v)
	}
	if !picked(20 * time.Second) {
		t.Error("failures are never forgotten")
	}
	for _, on := range []bool{true, false} {
		if err := r.Drain("u", "192.0.2.1:80", on); err != nil {
			t.Fatal(err)
		}
	}
	if !picked(0) {
		t.Error("it is back, and not picked")
	}
}
