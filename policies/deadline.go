package policies

import (
	"sync/atomic"
	"time"
)

// timer ends an evaluation from outside: it is a topdown.Cancel that the
// evaluation polls, set by a runtime timer. There is no goroutine that waits, as
// there would be for a context.
type timer struct {
	fired atomic.Bool
	t     *time.Timer
}

// Cancel implements topdown.Cancel.
func (t *timer) Cancel() { t.fired.Store(true) }

// Cancelled implements topdown.Cancel.
func (t *timer) Cancelled() bool { return t.fired.Load() }

// start takes a timer that fires after the policy's deadline.
func (p *Policy) start() *timer {
	if t, ok := p.timers.Get().(*timer); ok {
		t.t.Reset(p.deadline)
		return t
	}
	t := &timer{}
	t.t = time.AfterFunc(p.deadline, t.Cancel)
	return t
}

// stop ends t and keeps it for the next evaluation. One that fired, or is about
// to, is dropped: its late Cancel must not meet somebody else's evaluation.
func (p *Policy) stop(t *timer) {
	if t.t.Stop() {
		p.timers.Put(t)
	}
}
