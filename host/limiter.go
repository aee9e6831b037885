package host

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/headgate/headgate/host/fuel"
)

// This file is the only place that knows how a running guest is stopped. Every
// module is rewritten when it is compiled: its code uses fuel, and calls refill
// when a slice of it is used up. There, in the goroutine of the guest, its time
// is read and it goes on or ends. So a call costs no timer, no allocation and no
// second goroutine, and no guest keeps the scheduler or the garbage collector
// waiting for longer than a slice.

const (
	// sliceTime is what a slice of fuel is meant to last. Guests differ in how far
	// their fuel goes; the size of a slice follows.
	sliceTime = 250 * time.Microsecond
	sliceLow  = 1 << 13
	sliceMid  = 1 << 19
	sliceHigh = 1 << 22
	// sliceMost is what a slice counts for when the processor time is not known
	// because the guest changed threads: it may have stood still in between.
	sliceMost = 4 * time.Millisecond
	// tickTime is about what a tick itself takes.
	tickTime = time.Microsecond

	// maxStack bounds how deep the calls of a guest nest, in bytes.
	maxStack = 4 << 20
)

var (
	errLimit = errors.New("the call was stopped at its limit")
	errStack = errors.New("the call stack is exhausted: too many nested calls")
)

// instantiateRefill makes the function that rewritten modules import.
func instantiateRefill(ctx context.Context, rt wazero.Runtime) error {
	_, err := rt.NewHostModuleBuilder(fuel.Module).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(refill),
			[]api.ValueType{api.ValueTypeI32, api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).
		Export(fuel.Refill).Instantiate(ctx)
	return err
}

// refill gives a guest its next slice, or ends the call.
func refill(ctx context.Context, _ api.Module, stack []uint64) {
	if api.DecodeI32(stack[0]) == fuel.WhyStack {
		panic(errStack)
	}
	m, ok := ctx.Value(meterKey{}).(*meter)
	if !ok || !m.tick() {
		panic(errLimit)
	}
	m.spent += m.held - int64(stack[1])
	m.held = m.slice
	stack[0] = uint64(m.slice)
}

// meterKey is the key of a context's meter.
type meterKey struct{}

// meter measures the calls into one instance, one at a time, and is their
// context.
type meter struct {
	context.Context // values only

	// state is even between calls and odd in one; the top bits say that the call
	// ran out.
	state atomic.Uint64
	done  chan struct{} // closed when a call ran out; the instance is of no use then

	// Of the goroutine that is in the instance.
	cpu, used   time.Duration // what the running call may use, and has used
	deadline    time.Time
	last        time.Time // when the time was read last
	thread      int       // then, and its time; 0: unknown
	threadTime  time.Duration
	paused      time.Time // when the running wait began
	slice       int64
	began       time.Time
	spent, held int64             // fuel that the running call used, and had at the last look
	fuel, stack api.MutableGlobal // the guest's; nil before it is instantiated

	mu       sync.Mutex
	stopWait func() // ends what the paused call waits for
	waitOver *time.Timer
}

const (
	outOfCPU      = 1 << 63
	outOfDeadline = 1 << 62
	expiredBits   = outOfCPU | outOfDeadline
)

func newMeter(ctx context.Context) *meter {
	return &meter{Context: ctx, done: make(chan struct{}), slice: sliceMid}
}

// attach finds what the rewriting added to a module.
func (m *meter) attach(mod api.Module) {
	m.fuel, _ = mod.ExportedGlobal(fuel.Fuel).(api.MutableGlobal)
	m.stack, _ = mod.ExportedGlobal(fuel.Stack).(api.MutableGlobal)
}

// Value implements context.Context.
func (m *meter) Value(key any) any {
	if key == (meterKey{}) {
		return m
	}
	return m.Context.Value(key)
}

// begin starts the time of a call.
func (m *meter) begin(cpu, wall time.Duration) {
	m.last = time.Now()
	m.began, m.deadline = m.last, m.last.Add(wall)
	m.cpu, m.used, m.thread = cpu, 0, 0
	m.spent, m.held = 0, m.left()
	m.state.Add(1)
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

// left is the fuel that the guest has; below zero it has overdrawn.
func (m *meter) left() int64 {
	if m.fuel == nil {
		return 0
	}
	return int64(m.fuel.Get())
}

// unwound is called when a host function ended a call of an instance that lives
// on: the guest could not give back what its calls took of the stack.
func (m *meter) unwound() {
	if m.stack != nil {
		m.stack.Set(maxStack)
	}
}

// tick counts the time since the last tick and lets others run. It reports
// whether the call may go on.
func (m *meter) tick() bool {
	now := time.Now()
	thread, cpu := threadCPU()
	passed := now.Sub(m.last)
	if thread != 0 && thread == m.thread {
		passed = min(passed, cpu-m.threadTime)
	} else {
		passed = min(passed, sliceMost)
	}
	m.used += max(0, passed) + tickTime
	switch {
	case passed < sliceTime/2:
		m.slice = min(2*m.slice, sliceHigh)
	case passed > 2*sliceTime:
		m.slice = max(m.slice/2, sliceLow)
	}
	s := m.state.Load()
	switch {
	case s&expiredBits != 0:
		return false
	case m.used > m.cpu:
		m.expire(s, outOfCPU)
		return false
	case now.After(m.deadline):
		m.expire(s, outOfDeadline)
		return false
	}
	runtime.Gosched()
	m.thread, m.threadTime = threadCPU()
	m.last = time.Now()
	return true
}

// expire ends the call that state s stands for, if it still runs.
func (m *meter) expire(s, why uint64) {
	if s&1 == 0 || s&expiredBits != 0 || !m.state.CompareAndSwap(s, s|why) {
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
func (m *meter) cut() { m.expire(m.state.Load(), outOfDeadline) }

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
	m.paused = time.Now()
	s := m.state.Load()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopWait = stop
	if s&1 == 1 {
		m.waitOver = time.AfterFunc(m.deadline.Sub(m.paused), func() { m.expire(s, outOfDeadline) })
	}
	if stop != nil && m.state.Load()&expiredBits != 0 {
		stop() // it ran out just before
	}
}

// Resume implements native.Limiter. What the guest waited for may have taken it
// to its deadline: its slice ends here.
func (m *meter) Resume() {
	m.mu.Lock()
	m.stopWait = nil
	if m.waitOver != nil {
		m.waitOver.Stop()
		m.waitOver = nil
	}
	m.mu.Unlock()
	m.last = m.last.Add(time.Since(m.paused))
	m.thread = 0
	if m.fuel != nil {
		m.spent += m.held - m.left()
		m.held = 0
		m.fuel.Set(0)
	}
}

// Spend implements abi.Limiter. The guest overdraws, and its time is looked at when
// it next uses fuel.
func (m *meter) Spend(fuel int64) {
	if m.fuel != nil {
		m.fuel.Set(uint64(max(m.left()-2*fuel, -1<<40)))
	}
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
