package proxy

import (
	"testing"
	"time"
)

func TestWarningsAreBounded(t *testing.T) {
	var w warnings
	now := time.Unix(1000, 0)
	written := 0
	for range 5 * warnBurst {
		if ok, _ := w.take(now); ok {
			written++
		}
	}
	if written != warnBurst {
		t.Errorf("%d lines at once", written)
	}
	ok, dropped := w.take(now.Add(time.Second))
	if !ok || dropped != 4*warnBurst {
		t.Errorf("a second later: %t, %d dropped", ok, dropped)
	}
	for range warnsPerSecond - 1 {
		if ok, dropped = w.take(now.Add(time.Second)); !ok || dropped != 0 {
			t.Fatalf("%t, %d dropped", ok, dropped)
		}
	}
	if ok, _ = w.take(now.Add(time.Second)); ok {
		t.Error("one too many")
	}
}
