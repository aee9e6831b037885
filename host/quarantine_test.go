package host

import (
	"testing"
	"time"
)

func TestQuarantineTimes(t *testing.T) {
	var q quarantine
	now := time.Unix(0, 0)
	for range 1000 { // one failure in four is no reason
		for range 3 {
			q.count()
		}
		if q.failed(now) {
			t.Fatal("a plugin that mostly works is in quarantine")
		}
	}
	q = quarantine{}
	fails := func() (n int) {
		for n = 1; !q.failed(now); n++ {
			if n > 100 {
				t.Fatal("no quarantine")
			}
		}
		return n
	}
	if n := fails(); n != quarantineLeast {
		t.Errorf("quarantine after %d failures", n)
	}
	for want := quarantineFirst; want <= quarantineMost; want *= 2 {
		if q.lasted != want || q.admit(now.Add(want-1)) {
			t.Fatalf("lasts %s, want %s", q.lasted, want)
		}
		now = now.Add(want)
		if !q.admit(now) || q.admit(now) {
			t.Error("not just one is let in to see")
		}
		if !q.failed(now) {
			t.Error("a failure of the one does not go on with the quarantine")
		}
	}
	if q.lasted != quarantineMost {
		t.Errorf("lasts %s", q.lasted)
	}
	// Soon after it ended it is longer than the first, long after it is not.
	for _, c := range []struct{ after, want time.Duration }{{time.Second, 8 * time.Second}, {time.Hour, quarantineFirst}} {
		q = quarantine{lasted: 4 * time.Second, ended: now}
		now = now.Add(c.after)
		if fails(); q.lasted != c.want {
			t.Errorf("%s after the last one it lasts %s, want %s", c.after, q.lasted, c.want)
		}
	}
}
