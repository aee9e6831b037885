package proxywasm

import (
	"sync/atomic"
	"time"
)

// timer calls proxy_on_tick of a root context until it is stopped.
type timer struct {
	period  time.Duration
	stopped atomic.Bool
	t       *time.Timer
}

// minTick keeps a guest from being called without a break.
const minTick = time.Millisecond

func setTickPeriod(g *Guest, a []uint64) status {
	r := g.root
	if r == nil {
		return badArgument
	}
	r.stop()
	if period := milliseconds(a[0]); period > 0 && g.on.tick != nil {
		t := &timer{period: max(period, minTick)}
		r.timer = t
		t.t = time.AfterFunc(t.period, func() { g.tick(r, t) })
	}
	return ok
}

func (r *root) stop() {
	if r.timer != nil {
		r.timer.stopped.Store(true)
		r.timer.t.Stop()
		r.timer = nil
	}
}

func (g *Guest) tick(r *root, t *timer) {
	if t.stopped.Load() || !g.enter() {
		return
	}
	if t.stopped.Load() {
		_ = g.entry.Leave(nil)
		return
	}
	g.about(r, nil, stageNone)
	_, err := g.call(g.on.tick, uint64(r.id))
	if g.entry.Leave(err) == nil && !t.stopped.Load() {
		t.t.Reset(t.period)
	}
}
