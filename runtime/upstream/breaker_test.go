package upstream

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// clock is a time that only the test moves.
type clock struct{ now time.Duration }

func guarded(t *testing.T, c Config) (*Cluster, *clock, *[]string) {
	t.Helper()
	c.Name, c.Endpoints = "u", []EndpointConfig{{Address: "127.0.0.1:1"}}
	r := registry(t)
	cluster := r.Cluster(c)
	t.Cleanup(cluster.Close)
	k, turns := &clock{now: time.Hour}, &[]string{}
	cluster.circuit.breaker.now = func() time.Duration { return k.now }
	cluster.circuit.breaker.changed = func(from, to State, _ string) {
		*turns = append(*turns, from.String()+">"+to.String())
	}
	return cluster, k, turns
}

// ask makes a request that is answered with status; 0 is no answer.
func ask(c *Cluster, status int) error {
	p, err := c.Admit()
	if err != nil {
		return err
	}
	defer p.Leave()
	if status == 0 {
		p.Failed()
	} else {
		p.Answered(status, time.Millisecond)
	}
	return nil
}

func TestBreaker(t *testing.T) {
	c, k, turns := guarded(t, Config{Breaker: &Breaker{ErrorPercent: 50, MinRequests: 20, Window: 10 * time.Second, Open: 5 * time.Second}})
	for i := range 19 {
		if err := ask(c, 503*(i%2)); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	k.now += 11 * time.Second // all that is out of the window
	for i := range 19 {
		if err := ask(c, 500); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if len(*turns) > 0 {
		t.Fatalf("too few failures: %v", *turns)
	}
	_ = ask(c, 0)
	var refusal *Refusal
	if err := ask(c, 200); !errors.As(err, &refusal) || refusal.Reason != "open" || refusal.After != 5*time.Second {
		t.Fatalf("got %v %+v", err, refusal)
	}
	k.now += 4 * time.Second
	if err := ask(c, 200); !errors.As(err, &refusal) || refusal.After != time.Second {
		t.Fatalf("got %v %+v", err, refusal)
	}
	k.now += time.Second
	_ = ask(c, 200)
	_ = ask(c, 500) // a probe fails
	k.now += 5 * time.Second
	for range probesNeeded {
		if err := ask(c, 404); err != nil {
			t.Fatal(err)
		}
	}
	_ = ask(c, 500) // what was before doesn't count
	want := "closed>open open>half_open half_open>open open>half_open half_open>closed"
	if got := strings.Join(*turns, " "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if i := c.circuit.info(nil); i.State != "closed" || i.Opened != 2 || i.Shed != 2 || i.Active != 0 {
		t.Errorf("got %+v", *i)
	}
}

// A client that leaves says nothing of the upstream, and a result that comes late
// nothing of how it is now.
func TestBreakerProbes(t *testing.T) {
	c, k, _ := guarded(t, Config{Breaker: &Breaker{ErrorPercent: 50, MinRequests: 1, Window: time.Second, Open: time.Second}})
	late, _ := c.Admit()
	_ = ask(c, 500)
	k.now += time.Second
	first, err := c.Admit()
	if err != nil {
		t.Fatal(err)
	}
	late.Answered(500, 0)
	late.Leave()
	passed := 0
	for range 10 {
		if p, err := c.Admit(); err == nil {
			passed++
			defer p.Leave()
		}
	}
	if passed != 2 { // one in probeEvery
		t.Errorf("%d requests beside the first probe", passed)
	}
	first.Leave() // aborted
	if s := State(c.circuit.breaker.state.Load()); s != HalfOpen {
		t.Errorf("the breaker is %v", s)
	}
	if p, err := c.Admit(); err == nil {
		p.Leave()
	}
}

func TestMaxRequests(t *testing.T) {
	c, _, _ := guarded(t, Config{Breaker: &Breaker{ErrorPercent: 50, MinRequests: 1, Window: time.Second, Open: time.Second, MaxRequests: 2}})
	a, _ := c.Admit()
	b, _ := c.Admit()
	var refusal *Refusal
	if _, err := c.Admit(); !errors.As(err, &refusal) || refusal.Reason != "limit" {
		t.Errorf("got %v", err)
	}
	a.Leave()
	a.Leave()
	if err := ask(c, 200); err != nil {
		t.Error(err)
	}
	b.Leave()
	if n := c.circuit.active.Load(); n != 0 {
		t.Errorf("%d are active", n)
	}
}

// The state of a breaker outlives a reload that changes its settings.
func TestBreakerReload(t *testing.T) {
	r := registry(t)
	config := Config{Name: "u", Endpoints: []EndpointConfig{{Address: "127.0.0.1:1"}}, Breaker: &Breaker{ErrorPercent: 50, MinRequests: 1, Window: time.Hour, Open: time.Hour}}
	old := r.Cluster(config)
	_ = ask(old, 500)
	config.Breaker = &Breaker{ErrorPercent: 90, MinRequests: 9, Window: time.Hour, Open: time.Hour}
	next := r.Cluster(config)
	old.Close()
	if err := ask(next, 200); err == nil {
		t.Error("the breaker is closed after a reload")
	}
	if s := r.Snapshot()[0]; s.Circuit == nil || s.Circuit.State != "open" {
		t.Errorf("got %+v", s)
	}
	next.Close()
	if n := len(r.Circuits()); n != 0 {
		t.Errorf("%d circuits are left", n)
	}
}

// An upstream that answers 10 requests at once in 10 ms and queues the rest: the
// limit ends near to what it can do, and grows when it can do more.
func TestGradient(t *testing.T) {
	g := newGradient()
	run := func(capacity float64, n int) {
		for range n {
			active := float64(g.limit.Load())
			g.sample(time.Duration(float64(10*time.Millisecond)*max(1, active/capacity)), int64(active))
		}
	}
	run(1000, 600)
	if n := g.limit.Load(); n < 200 {
		t.Errorf("the limit of an upstream that is never full is %d", n)
	}
	run(50, 300)
	if n := g.limit.Load(); n > 200 {
		t.Errorf("the limit of a full upstream is %d", n)
	}
	idle := g.limit.Load()
	for range 100 {
		g.sample(10*time.Millisecond, 1)
	}
	if n := g.limit.Load(); n != idle {
		t.Errorf("the limit of an idle upstream went from %d to %d", idle, n)
	}
}
