package upstream

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestReloads(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	r := registry(t)
	base := Config{Name: "u", Endpoints: []EndpointConfig{{Address: s.address()}}}
	pick := func(c *Cluster) *Endpoint {
		e, err := c.Pick(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := r.Cluster(base)
	e := pick(first)
	kept, _ := acquire(t, e, false)
	use(t, kept, "/")
	e.Release(kept)

	for _, c := range []struct {
		name   string
		change func(*Config)
		same   bool
	}{
		{"nothing", func(*Config) {}, true},
		{"weights, labels, balance and timeout", func(c *Config) {
			c.Endpoints = []EndpointConfig{{Address: s.address(), Weight: 5, Labels: map[string]string{"a": "b"}}}
			c.Balance, c.Timeout = "round_robin", time.Minute
		}, true},
		{"another endpoint beside it", func(c *Config) {
			c.Endpoints = []EndpointConfig{{Address: s.address()}, {Address: s.address()}}
		}, true},
		{"defaults written out", func(c *Config) { c.ConnectTimeout, c.IdleTimeout, c.MaxIdle = 5*time.Second, time.Minute, 512 }, true},
		{"name", func(c *Config) { c.Name = "v" }, false},
		{"connect timeout", func(c *Config) { c.ConnectTimeout = time.Second }, false},
		{"idle timeout", func(c *Config) { c.IdleTimeout = time.Second }, false},
		{"max idle", func(c *Config) { c.MaxIdle = 1 }, false},
	} {
		config := base
		c.change(&config)
		next := r.Cluster(config)
		if (pick(next) == e) != c.same {
			t.Errorf("%s changed: endpoint shared %v", c.name, !c.same)
		}
		next.Close()
	}

	second := r.Cluster(base)
	first.Close()
	first.Close() // gives back only what it has
	c, reused := acquire(t, pick(second), false)
	if c != kept || !reused {
		t.Error("the pooled connection did not survive the reload")
	}
	use(t, c, "/")
	pooled, _ := acquire(t, e, true)
	use(t, pooled, "/")
	e.Release(pooled)
	s.settles(2)

	// The last reference: idle ones go now, busy ones when they are done.
	second.Close()
	s.settles(1)
	use(t, c, "/")
	e.Release(c)
	s.settles(0)
	if list := r.Snapshot(); len(list) != 0 {
		t.Errorf("still known: %v", list)
	}
	// One who picked it before it was closed is served, and leaves nothing.
	late, _ := acquire(t, e, false)
	use(t, late, "/")
	e.Release(late)
	s.settles(0)
}

func TestRegistryClose(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	r := NewRegistry(nil)
	cluster, e := endpoint(t, r, Config{}, s.address())
	a, _ := acquire(t, e, false)
	b, _ := acquire(t, e, false)
	use(t, a, "/")
	use(t, b, "/")
	e.Release(a)
	r.Close()
	r.Close()
	s.settles(1)
	use(t, b, "/")
	e.Release(b)
	s.settles(0)
	cluster.Close()
}

func TestSnapshot(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	r := registry(t)
	_, e := endpoint(t, r, Config{Name: "orders"}, s.address())
	endpoint(t, r, Config{Name: "orders", MaxIdle: 1}, s.address()) // a generation on its way out
	endpoint(t, r, Config{Name: "billing"}, "10.0.0.1:1")
	c, _ := acquire(t, e, false)
	use(t, c, "/")
	e.Release(c)
	acquireAgain, _ := acquire(t, e, true)
	defer e.Discard(acquireAgain)
	e.Answered(200, 20*time.Millisecond)
	for range 2 {
		e.Failed("timeout")
	}
	e.Failed("reset")
	got, err := json.Marshal(r.Snapshot())
	want := fmt.Sprintf(`[{"name":"billing","endpoints":[{"address":"10.0.0.1:1","active":0,"idle":0,"requests":0,"failures":0,"errors":{"connect":0,"reset":0,"timeout":0},"latency_ms":0}]},`+
		`{"name":"orders","endpoints":[{"address":%q,"active":1,"idle":1,"requests":2,"failures":3,"errors":{"connect":0,"reset":1,"timeout":2},"latency_ms":20}]}]`, s.address())
	if string(got) != want || err != nil {
		t.Errorf("got\n%s\nwant\n%s\n%v", got, want, err)
	}
}

// Requests go on while generations come and go, and in the end nothing is left.
func TestReloadsUnderLoad(t *testing.T) {
	a, b := serve(t, "tcp", "127.0.0.1:0"), serve(t, "tcp", "127.0.0.1:0")
	r := NewRegistry(nil)
	configs := []Config{
		{Name: "u", Endpoints: []EndpointConfig{{Address: a.address()}}},
		{Name: "u", Endpoints: []EndpointConfig{{Address: a.address(), Weight: 3}, {Address: b.address()}}, Balance: "round_robin"},
		{Name: "u", Endpoints: []EndpointConfig{{Address: b.address()}}, MaxIdle: 3},
	}
	// A generation is closed when the last who took it has left.
	type generation struct {
		*Cluster
		users sync.WaitGroup
	}
	var mu sync.Mutex
	current := &generation{Cluster: r.Cluster(configs[0])}
	take := func() *generation {
		mu.Lock()
		defer mu.Unlock()
		current.users.Add(1)
		return current
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var served atomic.Int64
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				g := take()
				e, err := g.Pick(nil, nil)
				if err != nil {
					t.Error(err)
				}
				c, _, err := e.Acquire(t.Context(), false)
				if err != nil {
					t.Error(err)
					g.users.Done()
					return
				}
				if err := exchangeOn(c, "/"); err != nil {
					t.Error(err)
				}
				served.Add(1)
				if n%16 == i {
					e.Discard(c)
				} else {
					e.Release(c)
				}
				g.users.Done()
			}
		})
	}
	for i := range 100 {
		next := &generation{Cluster: r.Cluster(configs[i%len(configs)])}
		mu.Lock()
		old := current
		current = next
		mu.Unlock()
		wg.Go(func() {
			old.users.Wait()
			old.Close()
		})
		time.Sleep(2 * time.Millisecond)
		_ = r.Snapshot()
	}
	close(stop)
	wg.Wait()
	for _, c := range r.Snapshot() {
		for _, e := range c.Endpoints {
			if e.Active != 0 {
				t.Errorf("%+v", e)
			}
		}
	}
	current.Close()
	if list := r.Snapshot(); len(list) > 0 {
		t.Errorf("still known: %+v", list)
	}
	a.settles(0)
	b.settles(0)
	r.Close()
	if served.Load() < 100 {
		t.Errorf("%d requests", served.Load())
	}
}
