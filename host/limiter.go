package host

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// This file is the only place that knows how a running guest is stopped. wazero
// compiles a check into every loop that ends the call once its context is done;
// the context is a meter, and one goroutine for all meters finds the calls that
// ran too long. So a call costs a few atomic operations here, no timer and no
// allocation. (wazero itself starts a goroutine for every call to watch the
// context.) Time is counted in samples: a call ends between its limit and one
// sample after it, never before.

const (
	sampleMin = time.Millisecond
	sampleMax = 5 * time.Millisecond
	// settle is how many samples without a call end the sampling until the next.
	settle = 40
	// housekeep is the period of what else the goroutine does.
	housekeep = 15 * time.Second
)

// limiter samples the calls of all instances of a host.
type limiter struct {
	mu     sync.Mutex
	meters map[*meter]struct{}

	asleep  atomic.Bool
	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
}

// newLimiter starts the goroutine; house is called now and then. Close ends it.
func newLimiter(house func()) *limiter {
	l := &limiter{
		meters: map[*meter]struct{}{}, wake: make(chan struct{}, 1),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go l.run(house)
	return l
}

func (l *limiter) close() {
	close(l.stop)
	<-l.stopped
}

func (l *limiter) run(house func()) {
	defer close(l.stopped)
	timer := time.NewTimer(housekeep)
	defer timer.Stop()
	last, cleaned := time.Now(), time.Now()
	burnt := processCPU()
	quiet := 0
	for {
		every, busy := l.sample(0, 0)
		if busy {
			quiet = 0
		} else {
			quiet++
		}
		wait := every
		if quiet > settle {
			// A call that began before it could see asleep is seen here.
			l.asleep.Store(true)
			if _, busy = l.sample(0, 0); busy {
				l.asleep.Store(false)
				quiet = 0
			} else {
				wait = housekeep
			}
		}
		timer.Reset(wait)
		select {
		case <-l.stop:
			return
		case <-l.wake:
			quiet, last, burnt = 0, time.Now(), processCPU()
			continue
		case <-timer.C:
		}
		l.asleep.Store(false)
		now := time.Now()
		// A sample that comes late says that the machine is busy with something
		// else, or that the process stood still: the guests are not to blame. Nor
		// can one have used more than the whole process did.
		cpu := processCPU()
		l.sample(min(now.Sub(last), 2*every), cpu-burnt)
		last, burnt = now, cpu
		if now.Sub(cleaned) >= housekeep {
			cleaned = now
			house()
		}
	}
}

// sample adds the time since the last one to every call that was running then.
// burnt is what the process computed meanwhile. It returns when to come again,
// and whether a call is running.
func (l *limiter) sample(passed, burnt time.Duration) (every time.Duration, busy bool) {
	every = sampleMax
	l.mu.Lock()
	defer l.mu.Unlock()
	for m := range l.meters {
		if m.sample(passed, min(passed, burnt)) {
			busy = true
			every = min(every, max(sampleMin, time.Duration(m.cpu.Load())/4))
		}
	}
	return every, busy
}

// meter measures the calls into one instance, one at a time, and is their
// context: it is done when the running call must end, and stays so; the
// instance is of no use then.
type meter struct {
	context.Context // values only
	l               *limiter
	done            chan struct{}

	// state is even between calls and odd in one; the top bits say that the call
	// ran out.
	state     atomic.Uint64
	cpu, wall atomic.Int64 // what the running call may use
	paused    atomic.Bool

	mu       sync.Mutex
	stopWait func() // ends what the paused call waits for

	// Of the limiter's goroutine.
	seen         uint64
	used, passed time.Duration
}

const (
	outOfCPU      = 1 << 63
	outOfDeadline = 1 << 62
	expiredBits   = outOfCPU | outOfDeadline
)

func (l *limiter) meter(ctx context.Context) *meter {
	m := &meter{Context: ctx, l: l, done: make(chan struct{})}
	l.mu.Lock()
	l.meters[m] = struct{}{}
	l.mu.Unlock()
	return m
}

// forget stops measuring; the instance is gone.
func (l *limiter) forget(m *meter) {
	l.mu.Lock()
	delete(l.meters, m)
	l.mu.Unlock()
}

// begin starts the time of a call.
func (m *meter) begin(cpu, wall time.Duration) {
	m.cpu.Store(int64(cpu))
	m.wall.Store(int64(wall))
	m.state.Add(1)
	if m.l.asleep.Load() && m.l.asleep.CompareAndSwap(true, false) {
		select {
		case m.l.wake <- struct{}{}:
		default:
		}
	}
}

// end stops it and returns why the call had to end, or "".
func (m *meter) end() Reason {
	s := m.state.Load()
	if s&expiredBits == 0 && m.state.CompareAndSwap(s, s+1) {
		return ""
	}
	if m.state.Load()&outOfCPU != 0 {
		return ReasonCPU
	}
	return ReasonDeadline
}

// sample runs in the limiter's goroutine.
func (m *meter) sample(passed, used time.Duration) (running bool) {
	s := m.state.Load()
	if s&1 == 0 || s&expiredBits != 0 {
		return false
	}
	if s != m.seen {
		m.seen, m.used, m.passed = s, 0, 0
		return true
	}
	m.passed += passed
	if !m.paused.Load() {
		m.used += used
	}
	switch {
	case m.used > time.Duration(m.cpu.Load()):
		m.expire(s, outOfCPU)
	case m.passed > time.Duration(m.wall.Load()):
		m.expire(s, outOfDeadline)
	}
	return true
}

// expire ends the call that state s stands for, if it still runs.
func (m *meter) expire(s, why uint64) {
	if !m.state.CompareAndSwap(s, s|why) {
		return
	}
	close(m.done)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopWait != nil {
		m.stopWait()
	}
}

// cut ends the running call, if there is one.
func (m *meter) cut() {
	if s := m.state.Load(); s&1 == 1 && s&expiredBits == 0 {
		m.expire(s, outOfDeadline)
	}
}

// Done implements context.Context.
func (m *meter) Done() <-chan struct{} { return m.done }

// Err implements context.Context.
func (m *meter) Err() error {
	if m.state.Load()&expiredBits != 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// Pause implements native.Limiter.
func (m *meter) Pause(stop func()) {
	m.mu.Lock()
	m.stopWait = stop
	if stop != nil && m.state.Load()&expiredBits != 0 {
		stop() // it ran out just before
	}
	m.mu.Unlock()
	m.paused.Store(true)
}

// Resume implements native.Limiter.
func (m *meter) Resume() {
	m.paused.Store(false)
	m.mu.Lock()
	m.stopWait = nil
	m.mu.Unlock()
}

// sleep is the guest's nanosleep: not its time, and it ends with the call.
func (m *meter) sleep(ns int64) {
	if ns <= 0 {
		return
	}
	m.Pause(nil)
	defer m.Resume()
	t := time.NewTimer(time.Duration(ns))
	defer t.Stop()
	select {
	case <-t.C:
	case <-m.done:
	}
}
