package upstream

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// Retry says which requests get further tries.
type Retry struct {
	// Attempts are the tries after the first.
	Attempts int
	// Connect, Reset and Timeout are the failures that are tried again, Statuses
	// the answers.
	Connect, Reset, Timeout bool
	Statuses                []int
	// Methods are those of requests that may be sent twice.
	Methods []string
	// PerTry bounds one try; 0: only the request's timeout does.
	PerTry time.Duration
	// Backoff is the longest pause before the first further try.
	Backoff time.Duration
	// BudgetPercent is the share of requests that may be further tries.
	BudgetPercent int
	// Hedge is how long the first try may take before another is made beside it;
	// 0: none is.
	Hedge time.Duration
}

// Retries reports whether a try that failed for that reason is followed by
// another.
func (r *Retry) Retries(reason Reason) bool {
	switch reason {
	case FailedConnect:
		return r.Connect
	case FailedTimeout:
		return r.Timeout
	case FailedReset:
		return r.Reset
	}
	return false
}

// RetriesStatus does the same for an answer.
func (r *Retry) RetriesStatus(status int) bool { return slices.Contains(r.Statuses, status) }

// RetriesMethod reports whether a request may be sent twice.
func (r *Retry) RetriesMethod(method string) bool { return slices.Contains(r.Methods, method) }

// maxBackoff bounds the pause whatever its number.
const maxBackoff = 5 * time.Second

// Pause returns how long to wait before the nth further try, counted from 1: a
// random part of a time that doubles, so that those who failed together don't
// come back together.
func (r *Retry) Pause(n int) time.Duration {
	d := min(r.Backoff, maxBackoff)
	for i := 1; i < n && d < maxBackoff; i++ {
		d = min(2*d, maxBackoff)
	}
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

const (
	// budgetLeast further tries at once are allowed however few requests there
	// are.
	budgetLeast = 3
	// budgetBurst is what can be saved: further tries beyond the share.
	budgetBurst = 10
	// credit is one further try, in the unit that requests earn.
	credit = 100
)

// budget bounds further tries twice: those in flight to a share of the requests
// in flight, and all of them to the same share of all requests. The first alone
// would not hold while requests fail at once, for then few are in flight.
type budget struct {
	tries   atomic.Int64 // in flight
	credits atomic.Int64 // of requests that passed
}

func (b *budget) start() { b.credits.Store(budgetBurst * credit) }

// earn counts a request.
func (b *budget) earn(percent int) {
	for {
		old := b.credits.Load()
		next := min(old+int64(percent), budgetBurst*credit)
		if old == next || b.credits.CompareAndSwap(old, next) {
			return
		}
	}
}

// take asks for a further try, which give ends.
func (b *budget) take(percent int, active int64) bool {
	if n := b.tries.Add(1); n > max(budgetLeast, active*int64(percent)/100) {
		b.tries.Add(-1)
		return false
	}
	if b.credits.Add(-credit) < 0 {
		b.credits.Add(credit)
		b.tries.Add(-1)
		return false
	}
	return true
}

// charge counts a try that is made whatever is left; its debt has a bound, for a
// server that restarts ends many idle connections at once.
func (b *budget) charge() {
	if b.credits.Load() > -budgetBurst*credit {
		b.credits.Add(-credit)
	}
}

func (b *budget) give(n int64) { b.tries.Add(-n) }
