package upstream

import (
	"context"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"time"
)

// HealthCheck says how endpoints are asked whether they are well.
type HealthCheck struct {
	Type string // http, tcp or grpc
	// Path, which may have a query, Host, Expect and Contains are those of http.
	// Host "" is the address; Contains is looked for in the first 64 KiB.
	Path, Host string
	Headers    map[string]string
	Expect     []int
	Contains   string
	// Interval is the time between two checks, Timeout what one may take.
	Interval, Timeout time.Duration
	// Healthy good answers in a row bring an endpoint back, Unhealthy bad ones take
	// it out.
	Healthy, Unhealthy int
	// Panic is the percentage of usable endpoints below which all are used; 0:
	// never.
	Panic int
}

// same reports whether h and o ask the same, in the same way.
func (h *HealthCheck) same(o *HealthCheck) bool {
	a, b := *h, *o
	a.Panic, b.Panic = 0, 0
	return reflect.DeepEqual(a, b)
}

// checker asks one address. Everyone who has the address shares it.
type checker struct {
	check    *HealthCheck
	endpoint *Endpoint // how the address is reached
	standing *standing
	registry *Registry
	ask      func(context.Context) error
	stop     context.CancelFunc
}

// checkup is what checks have found out about an address. It stays when the way
// to check changes. It is guarded by the standing.
type checkup struct {
	checker   *checker // whose results count; nil: none
	checked   bool     // at least once
	good, bad int      // results in a row
	failed    atomic.Int64
	passed    atomic.Int64
}

// examine makes h, or nothing if it is nil, the check of the address of e. It
// reports whether the address may be asked again since nobody checks it any more.
func (r *Registry) examine(e *Endpoint, h *HealthCheck) (back bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := e.standing
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.health.checker
	if old != nil && h != nil && old.check.same(h) && old.endpoint.key == e.key {
		return false
	}
	if old != nil {
		old.stop()
		s.health.checker = nil
	}
	if h == nil {
		s.health.checked, s.health.good, s.health.bad = false, 0, 0
		return s.change(barredUnhealthy, false, "it is no longer checked")
	}
	if s.refs == 0 || r.over.Err() != nil {
		return false
	}
	ctx, stop := context.WithCancel(r.over)
	c := &checker{check: h, endpoint: e, standing: s, registry: r, stop: stop}
	c.ask = c.asker()
	s.health.checker = c
	r.checks.Go(func() { c.run(ctx) })
	return false
}

// run asks now and then at each interval, a little earlier or later so that many
// checkers don't ask at once.
func (c *checker) run(ctx context.Context) {
	defer c.stop()
	for {
		err := c.once(ctx)
		if ctx.Err() != nil {
			return
		}
		c.result(err)
		t := time.NewTimer(jitter(c.check.Interval))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// jitter is a tenth up or down.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// once makes one check.
func (c *checker) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.check.Timeout)
	defer cancel()
	err := c.ask(ctx)
	if err != nil && ctx.Err() != nil {
		return noAnswerWithin(c.check.Timeout)
	}
	return err
}

// result counts what a check found, and acts on it.
func (c *checker) result(err error) {
	s := c.standing
	s.mu.Lock()
	on, changed, why := s.health.judge(c, err, s.barred.Load()&barredUnhealthy != 0)
	if changed {
		s.change(barredUnhealthy, on, why)
	}
	s.mu.Unlock()
	if changed {
		c.registry.report(s, barredUnhealthy, on, why)
		c.registry.refresh(s.upstream)
	}
}

// judge counts a result of c, and says whether it takes the address out or brings
// it back. An address of which nothing is known may be asked, so that a start
// fails no request, until its very first check decides alone.
func (h *checkup) judge(c *checker, err error, out bool) (on, changed bool, why string) {
	if h.checker != c { // it was stopped meanwhile
		return false, false, ""
	}
	first := !h.checked
	h.checked = true
	if err != nil {
		h.failed.Add(1)
		h.good, h.bad = 0, h.bad+1
		return true, !out && (first || h.bad >= c.check.Unhealthy), "health check: " + err.Error()
	}
	h.passed.Add(1)
	h.good, h.bad = h.good+1, 0
	return false, out && h.good >= c.check.Healthy, "health checks pass"
}
