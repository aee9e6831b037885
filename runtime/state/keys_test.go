package state

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestKeys(t *testing.T) {
	k := NewKeys()
	now := time.Unix(1000, 0)
	get := func(ns, key, want string, at time.Duration) {
		t.Helper()
		v, ok := k.Get(ns, key, now.Add(at))
		if string(v) != want || ok != (want != "") {
			t.Errorf("%s/%s is %q %t, want %q", ns, key, v, ok, want)
		}
	}
	get("a", "x", "", 0)
	k.Set("a", "x", []byte("1"), time.Second, now)
	k.Set("b", "x", []byte("2"), 0, now)
	get("a", "x", "1", time.Second-1)
	get("a", "x", "", time.Second)
	get("b", "x", "2", 1000*time.Hour)
	if k.Delete("a", "x", now.Add(time.Second)) || !k.Delete("b", "x", now) || k.Delete("b", "x", now) {
		t.Error("wrong deletions")
	}
	swap := func(old string, absent bool, value string, done bool) {
		t.Helper()
		if got, ok := k.Swap("a", "y", []byte(old), absent, []byte(value), 0, now); got != done || !ok {
			t.Errorf("swap %q for %q: %t %t", old, value, got, ok)
		}
	}
	swap("", false, "1", false)
	swap("", true, "1", true)
	swap("", true, "2", false)
	swap("0", false, "2", false)
	swap("1", false, "2", true)
	get("a", "y", "2", 0)
	if k.Set("a", "z", make([]byte, MaxValue+1), 0, now) || k.Set("a", string(make([]byte, MaxKey+1)), nil, 0, now) {
		t.Error("too large, and taken")
	}
}

// However many keys there are, memory is bounded, and what lasts longest stays.
func TestKeysAreBounded(t *testing.T) {
	k := NewKeys()
	now := time.Unix(1000, 0)
	k.Set("a", "kept", []byte("x"), 0, now)
	value := make([]byte, 10_000)
	for i := range 20_000 {
		k.Set("a", fmt.Sprint(i), value, time.Second+time.Duration(i), now)
	}
	sum := 0
	for i := range k.shards {
		sum += k.shards[i].bytes
		have := 0
		for n, v := range k.shards[i].kept {
			have += n.cost(v.value)
		}
		if have != k.shards[i].bytes {
			t.Errorf("shard %d counts %d bytes and has %d", i, k.shards[i].bytes, have)
		}
	}
	if sum > keyBytes {
		t.Errorf("%d bytes", sum)
	}
	if _, ok := k.Get("a", "kept", now); !ok {
		t.Error("what never expires went first")
	}
}

// One of many that swap at once wins each round.
func TestKeysSwapAtOnce(t *testing.T) {
	k := NewKeys()
	now := time.Unix(1000, 0)
	var wg sync.WaitGroup
	var wins [8]int
	for i := range wins {
		wg.Go(func() {
			for n := range 500 {
				if done, _ := k.Swap("a", fmt.Sprint(n), nil, true, []byte("x"), 0, now); done {
					wins[i]++
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range wins {
		sum += n
	}
	if sum != 500 {
		t.Errorf("%d of 500 keys were taken", sum)
	}
}
