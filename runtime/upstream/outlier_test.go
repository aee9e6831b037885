package upstream

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// ward is five endpoints and a detector with a clock of its own.
type ward struct {
	*detector
	t       *testing.T
	cluster *Cluster
	clock   time.Time
}

func newWard(t *testing.T, o OutlierDetection) *ward {
	r := registry(t)
	c := Config{Name: "u", Balance: "round_robin"}
	for i := range 5 {
		c.Endpoints = append(c.Endpoints, EndpointConfig{Address: fmt.Sprintf("192.0.2.%d:80", i)})
	}
	w := &ward{t: t, cluster: r.Cluster(c), clock: time.Unix(1000, 0)}
	t.Cleanup(w.cluster.Close)
	w.detector = &detector{registry: r, now: func() time.Time { return w.clock }, wake: make(chan struct{}, 1)}
	var members []*standing
	for _, m := range w.cluster.members.Load().all {
		members = append(members, m.standing)
	}
	w.set(o, members)
	return w
}

// serves lets endpoint i answer n requests with a status.
func (w *ward) serves(i, n, status int, took time.Duration) {
	for range n {
		w.cluster.members.Load().all[i].Answered(status, took)
	}
}

// pass lets time pass.
func (w *ward) pass(d time.Duration) {
	for end := w.clock.Add(d); w.clock.Before(end); {
		w.clock = w.clock.Add(100 * time.Millisecond)
		w.turn()
	}
}

// out wants these endpoints ejected and no others, by what is picked, too.
func (w *ward) out(want string) {
	w.t.Helper()
	seen := map[*Endpoint]bool{}
	for range 20 {
		e, err := w.cluster.Pick(nil, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		seen[e] = true
	}
	got := ""
	for i, m := range w.cluster.members.Load().all {
		if m.standing.reasons()["ejected"] != "" {
			got += fmt.Sprint(i)
			if seen[m.Endpoint] {
				w.t.Errorf("%d is ejected and picked", i)
			}
		}
	}
	if got != want {
		w.t.Errorf("at %ds: ejected %q, want %q", w.clock.Unix()-1000, got, want)
	}
}

func usual() OutlierDetection {
	return OutlierDetection{ConsecutiveErrors: 5, Interval: 10 * time.Second, Eject: 30 * time.Second, MaxEjectedPercent: 50}
}

func TestConsecutiveErrors(t *testing.T) {
	w := newWard(t, usual())
	w.serves(0, 4, 500, 0)
	w.serves(0, 1, 404, 0)
	w.serves(0, 4, 503, 0)
	w.out("")
	w.serves(0, 1, 500, 0)
	w.out("0")
	if why := w.cluster.members.Load().all[0].standing.reasons()["ejected"]; !strings.Contains(why, "5 errors in a row, the last: status 500") {
		t.Errorf("got %q", why)
	}
	for _, kind := range []string{"connect", "reset", "timeout", "timeout", "connect"} {
		w.cluster.members.Load().all[1].Failed(kind)
	}
	w.out("01")
	w.serves(2, 50, 500, 0) // a third would be more than half
	w.out("01")
	w.pass(29 * time.Second)
	w.out("01")
	w.pass(time.Second)
	w.out("")
}

// Each ejection in a row lasts longer, and intervals that go well are forgiven.
func TestEjectionTimes(t *testing.T) {
	o := usual()
	o.Eject = time.Second
	w := newWard(t, o)
	for i := range 12 {
		want := time.Duration(min(i+1, 10)) * time.Second
		w.serves(3, 5, 500, 0)
		w.out("3")
		w.pass(want - 100*time.Millisecond)
		w.out("3")
		w.pass(100 * time.Millisecond)
		w.out("")
	}
	for range 9 {
		w.serves(3, 1, 200, 0)
		w.pass(10 * time.Second)
	}
	w.serves(3, 5, 500, 0)
	w.pass(2 * time.Second)
	w.out("")
}

func TestSuccessRate(t *testing.T) {
	o := usual()
	o.ConsecutiveErrors, o.SuccessRate = 0, 90
	w := newWard(t, o)
	for i := range 5 {
		w.serves(i, 90, 200, time.Millisecond)
		w.serves(i, 10, 500, 0)
	}
	w.pass(10 * time.Second)
	w.out("")
	w.serves(2, 89, 200, time.Millisecond)
	w.serves(2, 11, 500, 0)
	w.serves(4, 19, 500, 0) // too few to tell
	w.pass(10 * time.Second)
	w.out("2")
	w.pass(30 * time.Second)
	w.out("")
}

func TestLatencyFactor(t *testing.T) {
	o := usual()
	o.LatencyFactor = 3
	w := newWard(t, o)
	for i := range 5 {
		w.serves(i, 20, 200, time.Duration(10+i)*time.Millisecond)
	}
	w.pass(10 * time.Second)
	w.out("")
	for i := range 4 {
		w.serves(i, 20, 200, 10*time.Millisecond)
	}
	w.serves(4, 5, 200, 200*time.Millisecond)
	w.pass(10 * time.Second)
	w.out("4")
	w.pass(30 * time.Second)
	for i := range 5 { // microseconds are no reason
		w.serves(i, 20, 200, 100*time.Microsecond)
	}
	w.serves(0, 20, 200, 900*time.Microsecond)
	w.pass(10 * time.Second)
	w.out("")
}

func TestOutlierBounds(t *testing.T) {
	for _, c := range []struct {
		percent int
		want    string
	}{{0, ""}, {1, "0"}, {20, "0"}, {40, "01"}, {59, "01"}, {100, "01234"}} {
		o := usual()
		o.MaxEjectedPercent = c.percent
		w := newWard(t, o)
		for i := range 5 {
			w.serves(i, 5, 500, 0)
		}
		if c.percent < 100 { // or all are used, since there are no others
			w.out(c.want)
		}
	}
}

// Settings and members change under a detector; what is known stays.
func TestOutlierReload(t *testing.T) {
	r := registry(t)
	config := Config{Name: "u", Endpoints: []EndpointConfig{{Address: "192.0.2.1:80"}, {Address: "192.0.2.2:80"}}}
	o := usual()
	config.Outliers = &o
	first := r.Cluster(config)
	fails := func(c *Cluster) {
		for range 5 {
			c.members.Load().all[0].Failed("reset")
		}
	}
	fails(first)
	if barred(r, "192.0.2.1:80")["ejected"] == "" {
		t.Fatal("not ejected")
	}
	second := r.Cluster(config)
	first.Close()
	if barred(r, "192.0.2.1:80")["ejected"] == "" {
		t.Error("a reload let it back")
	}
	config.Outliers = nil
	third := r.Cluster(config)
	second.Close()
	if why := barred(r, "192.0.2.1:80"); why != nil {
		t.Errorf("without detection: %v", why)
	}
	fails(third)
	if why := barred(r, "192.0.2.1:80"); why != nil {
		t.Errorf("without detection: %v", why)
	}
	third.Close()
}

// To watch outcomes costs requests no memory.
func TestOutcomesAllocateNothing(t *testing.T) {
	w := newWard(t, usual())
	e := w.cluster.members.Load().all[0]
	if n := testing.AllocsPerRun(1000, func() {
		e.Answered(200, time.Millisecond)
		e.Answered(500, time.Millisecond)
		e.Answered(200, time.Millisecond)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
