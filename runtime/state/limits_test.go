package state

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0).Truncate(10 * time.Second)
	type event struct {
		at, cost  int64 // seconds
		allowed   bool
		remaining int64
		wait      int64 // seconds
	}
	for name, tt := range map[string]struct {
		limit  Limit
		events []event
	}{
		"gcra": {Limit{Events: 10, Window: 10 * time.Second, Burst: 3}, []event{
			{0, 1, true, 2, 0}, {0, 1, true, 1, 0}, {0, 1, true, 0, 0}, {0, 1, false, 0, 1}, {0, 2, false, 0, 2},
			{1, 1, true, 0, 0}, {1, 1, false, 0, 1}, {100, 3, true, 0, 0}, {100, 4, false, 0, 3},
		}},
		"gcra whose burst is its rate": {Limit{Events: 2, Window: 10 * time.Second}, []event{
			{0, 2, true, 0, 0}, {0, 1, false, 0, 5}, {5, 1, true, 0, 0}, {5, 0, true, 0, 0},
		}},
		"fixed window": {Limit{Algorithm: FixedWindow, Events: 3, Window: 10 * time.Second}, []event{
			{1, 2, true, 1, 0}, {2, 2, false, 1, 8}, {9, 1, true, 0, 0}, {10, 3, true, 0, 0}, {11, 1, false, 0, 9}, {40, 1, true, 2, 0},
		}},
		"sliding window": {Limit{Algorithm: SlidingWindow, Events: 10, Window: 10 * time.Second}, []event{
			{0, 10, true, 0, 0}, {9, 1, false, 0, 2}, {10, 1, false, 0, 1}, {11, 1, true, 0, 0}, {15, 5, false, 4, 1}, {15, 4, true, 0, 0}, {40, 10, true, 0, 0},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLimits()
			for i, e := range tt.events {
				r := l.Take("s", "k", tt.limit, e.cost, begin.Add(time.Duration(e.at)*time.Second))
				if r.Allowed != e.allowed || r.Remaining != e.remaining || r.Wait.Round(time.Second) != time.Duration(e.wait)*time.Second {
					t.Errorf("event %d: %+v, want %+v", i, r, e)
				}
			}
		})
	}
}

// TestLimitsNeverExceeded: in no span of a window are there more events than the
// algorithm promises, and whoever waits as long as told is let through.
func TestLimitsNeverExceeded(t *testing.T) {
	type taken struct {
		at   time.Time
		cost int64
	}
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 0))
		limit := Limit{Algorithm: Algorithm(r.IntN(3)), Events: 1 + r.Int64N(20), Window: time.Duration(1+r.IntN(10)) * time.Second}
		promise := limit.Events * 2 // in any span of a window
		l := NewLimits()
		now := time.Unix(1_700_000_000, 0)
		var log []taken
		for range 60 {
			now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
			cost := r.Int64N(limit.Events + 1)
			if got := l.Take("", "k", limit, cost, now); !got.Allowed {
				now = now.Add(got.Wait + time.Millisecond)
				if got = l.Take("", "k", limit, cost, now); !got.Allowed {
					t.Fatalf("seed %d: refused after the wait that was told: %+v", seed, got)
				}
			}
			log = append(log, taken{now, cost})
			sum := int64(0)
			for i := len(log) - 1; i >= 0 && now.Sub(log[i].at) < limit.Window; i-- {
				sum += log[i].cost
			}
			if sum > promise {
				t.Fatalf("seed %d: %d events in %v, of %d", seed, sum, limit.Window, limit.Events)
			}
		}
	}
}

func TestLimitsAreApartAndBounded(t *testing.T) {
	l := NewLimits()
	now := time.Unix(1_700_000_000, 0)
	one := Limit{Events: 1, Window: time.Hour}
	for _, k := range [][2]string{{"a", "b"}, {"a", "c"}, {"ab", ""}, {"", "ab"}} {
		if !l.Take(k[0], k[1], one, 1, now).Allowed || l.Take(k[0], k[1], one, 1, now).Allowed {
			t.Errorf("%q is not counted by itself", k)
		}
	}
	if !l.Take("a", "b", Limit{Events: 2, Window: time.Hour}, 1, now).Allowed {
		t.Error("another limit shares the counter")
	}
	for i := range limitKeys + limitKeys/2 {
		l.Take("flood", fmt.Sprint(i), one, 1, now)
	}
	n := 0
	for i := range l.shards {
		n += len(l.shards[i].counters)
	}
	if n > limitKeys {
		t.Errorf("%d counters", n)
	}
	if n := testing.AllocsPerRun(100, func() { l.Take("a", "b", one, 1, now) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParseAlgorithm(t *testing.T) {
	for name, want := range map[string]Algorithm{"": GCRA, "gcra": GCRA, "fixed_window": FixedWindow, "sliding_window": SlidingWindow} {
		if got, err := ParseAlgorithm(name); err != nil || got != want {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if _, err := ParseAlgorithm("leaky"); err == nil {
		t.Error("an unknown algorithm was accepted")
	}
}
