package upstream

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// The preferred endpoints get all as long as 1.4 times their share is enough.
func TestPrefer(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		r := registry(t)
		config := Config{Name: "u", Balance: name, Prefer: map[string]string{"zone": "a"}}
		for i := range 10 {
			config.Endpoints = append(config.Endpoints, EndpointConfig{Address: fmt.Sprintf("a%d:1", i), Labels: map[string]string{"zone": "a", "x": "y"}})
		}
		for i := range 3 {
			config.Endpoints = append(config.Endpoints, EndpointConfig{Address: fmt.Sprintf("b%d:1", i), Labels: map[string]string{"zone": "b"}})
		}
		c := r.Cluster(config)
		defer c.Close()
		for out, want := range []float64{1, 1, 1, 0.98, 0.84, 0.7, 0.56, 0.42, 0.28, 0.14, 0} {
			if out > 0 {
				if err := r.Drain("u", fmt.Sprintf("a%d:1", out-1), true); err != nil {
					t.Fatal(err)
				}
			}
			const n = 20000
			near := 0
			m := c.members.Load()
			for i := range n {
				if m.balancer.pick(keyed(i)).Address()[0] == 'a' {
					near++
				}
			}
			if got := float64(near) / n; math.Abs(got-want) > 0.02 {
				t.Errorf("with %d of 10 out they get %.2f, want %.2f", out, got, want)
			}
		}
		for i := range 3 {
			if err := r.Drain("u", fmt.Sprintf("b%d:1", i), true); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Pick(nil, nil); err == nil {
			t.Error("everything is out")
		}
	})
}

// An endpoint that is new, or back, gets its share little by little.
func TestSlowStart(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		if Hashes(name) {
			t.Skip("a hash knows no pause")
		}
		r := registry(t)
		config := Config{Name: "u", Balance: name, SlowStart: 10 * time.Second, Endpoints: []EndpointConfig{{Address: "a:1"}, {Address: "b:1", Weight: 2}, {Address: "c:1"}}}
		c := r.Cluster(config)
		defer func() { c.Close() }()
		shares := func(at time.Duration) map[string]float64 {
			const n = 30000
			got := map[string]float64{}
			m := c.members.Load()
			for range n {
				got[m.balancer.pick(choice{now: r.made.Add(at)}).Address()] += 1.0 / n
			}
			return got
		}
		near := func(what string, got, want float64) {
			t.Helper()
			if math.Abs(got-want) > 0.03 {
				t.Errorf("%s: a share of %.3f, want %.3f", what, got, want)
			}
		}
		got := shares(0)
		near("at the beginning", got["a:1"], 0.25)
		near("at the beginning", got["b:1"], 0.5)
		config.Endpoints = append(config.Endpoints, EndpointConfig{Address: "d:1"})
		next := r.Cluster(config)
		c.Close()
		c = next
		joined := time.Since(r.made)
		near("just joined", shares(joined)["d:1"], 0.02)
		near("half way", shares(joined + 5*time.Second)["d:1"], 0.11)
		near("after that", shares(joined + 10*time.Second)["d:1"], 0.2)
		if err := r.Drain("u", "b:1", true); err != nil {
			t.Fatal(err)
		}
		if err := r.Drain("u", "b:1", false); err != nil {
			t.Fatal(err)
		}
		back := time.Since(r.made) + 10*time.Second
		near("long back", shares(back)["b:1"], 0.4)
		if now := shares(time.Since(r.made))["b:1"]; now > 0.14 { // of 0.4, with another one that starts slowly
			t.Errorf("just back: a share of %.3f", now)
		}
	})
}
