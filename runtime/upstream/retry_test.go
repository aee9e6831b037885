package upstream

import (
	"testing"
	"time"
)

func TestPause(t *testing.T) {
	r := &Retry{Backoff: 20 * time.Millisecond}
	for n, most := range map[int]time.Duration{1: 20 * time.Millisecond, 2: 40 * time.Millisecond, 3: 80 * time.Millisecond, 100: maxBackoff} {
		var longest time.Duration
		for range 1000 {
			d := r.Pause(n)
			if d < 0 || d >= most {
				t.Fatalf("pause %d is %v", n, d)
			}
			longest = max(longest, d)
		}
		if longest < most/2 {
			t.Errorf("pause %d is %v at the most", n, longest)
		}
	}
	if d := (&Retry{}).Pause(3); d != 0 {
		t.Errorf("got %v", d)
	}
}

// All requests fail at once: few are in flight, and still no more than a share of
// all gets another try.
func TestBudgetOutage(t *testing.T) {
	c, _, _ := guarded(t, Config{Retry: &Retry{Attempts: 3, Reset: true, BudgetPercent: 20}})
	const offered = 10000
	tries := 0
	for range offered {
		p, err := c.Admit()
		if err != nil {
			t.Fatal(err)
		}
		tries++
		for p.Failed(); p.TryAgain(FailedReset, false); p.Failed() {
			tries++
		}
		p.Leave()
	}
	if tries > offered*12/10+budgetBurst || tries < offered*119/100 {
		t.Errorf("%d tries for %d requests", tries, offered)
	}
	s := c.circuit.stats(nil)
	if s.Exhausted == 0 || s.Retries[2].Reason != "reset" || s.Retries[3].Count != int64(tries-offered) {
		t.Errorf("got %+v", s)
	}
}

func TestBudgetInFlight(t *testing.T) {
	var b budget
	b.start()
	for range budgetLeast {
		if !b.take(20, 1) {
			t.Fatal("too few")
		}
	}
	if b.take(20, 15) {
		t.Error("too many")
	}
	if !b.take(20, 20) {
		t.Error("the share is not kept to")
	}
	b.give(budgetLeast + 1)
	if n := b.tries.Load(); n != 0 {
		t.Errorf("%d tries are in flight", n)
	}
}
