package upstream

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// OutlierDetection says which endpoints are ejected, which is to be left alone
// for a while, since their answers are worse than those of others.
type OutlierDetection struct {
	// ConsecutiveErrors are 5xx, failed connects, resets and timeouts in a row.
	ConsecutiveErrors int
	// SuccessRate is a percentage: endpoints below it go. LatencyFactor is times
	// the median of the others: slower ones go. 0 is off. Both are looked at after
	// each Interval.
	SuccessRate   int
	LatencyFactor float64
	Interval      time.Duration
	// Eject is for how long, times the number of ejections in a row, which counts
	// to maxEjections.
	Eject time.Duration
	// MaxEjectedPercent of the endpoints may be out, but one always, if there are
	// others.
	MaxEjectedPercent int
}

const (
	maxEjections = 10
	// enoughToRate requests in an interval say something about a success rate,
	// enoughToTime about latency: a slow endpoint gets few.
	enoughToRate = 20
	enoughToTime = 5
	// leastSlow is what latency has to differ by: quicker than that is quick.
	leastSlow = time.Millisecond
)

// outcomes are what requests to an address came to. Requests write the atomics.
type outcomes struct {
	streak           atomic.Int64 // errors in a row
	good, bad, nanos atomic.Int64 // since the last look; nanos of good ones
	ejections        atomic.Int64

	// Guarded by the detector.
	inRow int       // ejections
	until time.Time // zero: not ejected
}

// detector finds the outliers of an upstream. It outlives generations.
type detector struct {
	registry *Registry
	stop     context.CancelFunc
	now      func() time.Time
	wake     chan struct{}

	limit atomic.Int64 // ConsecutiveErrors

	mu       sync.Mutex
	settings OutlierDetection
	members  []*standing
	look     time.Time // the next
}

// watchOutliers makes o, or nothing if it is nil, the detection of the endpoints
// of c, the latest cluster of w. w.directing is held.
func (r *Registry) watchOutliers(w *watch, o *OutlierDetection, c *Cluster) {
	var members []*standing
	if m := c.members.Load(); m != nil {
		for _, e := range m.all {
			members = append(members, e.standing)
		}
	}
	r.mu.Lock()
	if r.watches[w.name] != w || r.over.Err() != nil {
		r.mu.Unlock()
		return
	}
	d := w.detector
	if d == nil && o != nil {
		ctx, stop := context.WithCancel(r.over)
		d = &detector{registry: r, stop: stop, now: time.Now, wake: make(chan struct{}, 1)}
		w.detector = d
		r.checks.Go(func() { d.run(ctx) })
	}
	if o == nil {
		w.detector = nil
	}
	r.mu.Unlock()
	switch {
	case d == nil:
	case o == nil:
		d.stop()
		d.set(OutlierDetection{}, nil)
	default:
		d.set(*o, members)
	}
}

// set changes the settings and whom they are about. Who is not among them any
// more is let back.
func (d *detector) set(o OutlierDetection, members []*standing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o.Interval != d.settings.Interval {
		d.look = d.now().Add(o.Interval)
	}
	d.settings = o
	d.limit.Store(int64(o.ConsecutiveErrors))
	for _, s := range d.members {
		if !slices.Contains(members, s) {
			s.detector.CompareAndSwap(d, nil)
			d.let(s, "its outcomes are no longer watched")
		}
	}
	d.members = members
	for _, s := range members {
		s.detector.Store(d)
	}
	d.nudge()
}

func (d *detector) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// answered counts an answer of s, and failed a request without one.
func (d *detector) answered(s *standing, status int, took time.Duration) {
	if status >= 500 {
		d.failed(s, "status", status)
		return
	}
	o := &s.outcomes
	if o.streak.Load() != 0 {
		o.streak.Store(0)
	}
	o.good.Add(1)
	o.nanos.Add(int64(took))
}

func (d *detector) failed(s *standing, what string, status int) {
	o := &s.outcomes
	o.bad.Add(1)
	limit := d.limit.Load()
	if n := o.streak.Add(1); limit == 0 || n < limit {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if status > 0 {
		what = fmt.Sprintf("status %d", status)
	}
	if o.until.IsZero() && d.eject(s, fmt.Sprintf("%d errors in a row, the last: %s", o.streak.Load(), what)) {
		d.nudge()
	}
}

// eject takes s out, unless too many are. d.mu is held.
func (d *detector) eject(s *standing, why string) bool {
	if !slices.Contains(d.members, s) {
		return false
	}
	out := 0
	for _, m := range d.members {
		if !m.outcomes.until.IsZero() {
			out++
		}
	}
	n := len(d.members)
	if (out+1)*100 > d.settings.MaxEjectedPercent*n && (out > 0 || n < 2 || d.settings.MaxEjectedPercent == 0) {
		s.outcomes.streak.Store(0)
		return false
	}
	o := &s.outcomes
	o.inRow = min(o.inRow+1, maxEjections)
	took := time.Duration(o.inRow) * d.settings.Eject
	o.until = d.now().Add(took)
	o.streak.Store(0)
	o.ejections.Add(1)
	d.registry.bar(s, barredEjected, true, why)
	d.registry.report(s, barredEjected, true, fmt.Sprintf("%s; for %s", why, took))
	return true
}

// let brings s back. d.mu is held.
func (d *detector) let(s *standing, why string) {
	if s.outcomes.until.IsZero() {
		return
	}
	s.outcomes.until = time.Time{}
	s.outcomes.streak.Store(0)
	d.registry.bar(s, barredEjected, false, why)
	d.registry.report(s, barredEjected, false, why)
}

// run looks at the endpoints after each interval, and lets those back whose time
// is over.
func (d *detector) run(ctx context.Context) {
	defer d.stop()
	for {
		t := time.NewTimer(d.turn())
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		case <-d.wake:
			t.Stop()
		}
	}
}

// turn does what is due and returns how long there is nothing more to do.
func (d *detector) turn() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	for _, s := range d.members {
		if until := s.outcomes.until; !until.IsZero() && !now.Before(until) {
			d.let(s, "its time is over")
		}
	}
	if !now.Before(d.look) {
		d.judge()
		d.look = now.Add(d.settings.Interval)
	}
	next := d.look
	for _, s := range d.members {
		if until := s.outcomes.until; !until.IsZero() && until.Before(next) {
			next = until
		}
	}
	return max(next.Sub(now), time.Millisecond)
}

// rating is what an endpoint did in an interval.
type rating struct {
	s         *standing
	good, bad int64
	latency   time.Duration // the mean; 0: too few answers
}

// judge compares the endpoints by what they did since the last time. d.mu is held.
func (d *detector) judge() {
	var all []rating
	for _, s := range d.members {
		o := &s.outcomes
		r := rating{s: s, good: o.good.Swap(0), bad: o.bad.Swap(0)}
		if nanos := o.nanos.Swap(0); r.good >= enoughToTime {
			r.latency = time.Duration(nanos / r.good)
		}
		if o.until.IsZero() {
			all = append(all, r)
		}
	}
	for _, r := range all {
		if why := d.verdict(r, all); why != "" {
			d.eject(r.s, why)
		} else if o := &r.s.outcomes; o.inRow > 0 && r.good > 0 {
			o.inRow-- // an interval that went well
		}
	}
}

// verdict is why an endpoint has to go, or "".
func (d *detector) verdict(r rating, all []rating) string {
	n := r.good + r.bad
	if rate := d.settings.SuccessRate; rate > 0 && n >= enoughToRate && r.good*100 < int64(rate)*n {
		return fmt.Sprintf("%d of %d requests succeeded", r.good, n)
	}
	if d.settings.LatencyFactor == 0 || r.latency == 0 {
		return ""
	}
	median := medianOfOthers(r.s, all)
	if median > 0 && float64(r.latency) > d.settings.LatencyFactor*float64(median) && r.latency-median > leastSlow {
		return fmt.Sprintf("it answers within %s, the median of the others is %s", r.latency.Round(10*time.Microsecond), median.Round(10*time.Microsecond))
	}
	return ""
}

// medianOfOthers returns the median of the latencies of all but s, 0 if none is
// known.
func medianOfOthers(s *standing, all []rating) time.Duration {
	var list []time.Duration
	for _, r := range all {
		if r.s != s && r.latency > 0 {
			list = append(list, r.latency)
		}
	}
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}
