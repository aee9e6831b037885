package host

import (
	"log/slog"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// quarantine keeps exchanges away from a plugin that fails more often than not:
// each failure costs an instance and up to the whole limit of processor time. It
// is a circuit breaker over the calls of a pool; its methods are called with the
// pool's lock held.
type quarantine struct {
	calls, bad int           // recently
	until      time.Time     // zero: not in quarantine
	lasted     time.Duration // the last one
	ended      time.Time     // the last one
	probing    bool          // one exchange is let in to see
	times      uint64
}

const (
	// quarantineLeast is how many failures it takes.
	quarantineLeast = 10
	// quarantineMemory is how many calls are looked back at, about.
	quarantineMemory = 64
	quarantineFirst  = time.Second
	quarantineMost   = time.Minute
	// quarantineSoon is how many times as long as the last one a plugin has to
	// do well, for the next one not to be longer.
	quarantineSoon = 10
)

// admit reports whether an exchange may enter.
func (q *quarantine) admit(now time.Time) bool {
	if q.until.IsZero() {
		return true
	}
	if q.probing || now.Before(q.until) {
		return false
	}
	q.probing = true
	return true
}

// failed counts a failure, and reports whether that begins a quarantine.
func (q *quarantine) failed(now time.Time) (begun bool) {
	q.count()
	q.bad++
	switch {
	case q.probing:
		q.lasted = min(2*q.lasted, quarantineMost)
	case !q.until.IsZero(), q.bad < quarantineLeast, 2*q.bad < q.calls:
		return false
	case now.Sub(q.ended) < quarantineSoon*q.lasted:
		q.lasted = min(2*q.lasted, quarantineMost)
	default:
		q.lasted = quarantineFirst
	}
	q.until, q.probing = now.Add(q.lasted), false
	q.times++
	return true
}

// count counts a call.
func (q *quarantine) count() {
	if q.calls++; q.calls > quarantineMemory {
		q.calls, q.bad = q.calls/2, q.bad/2
	}
}

// requester runs the request side of an exchange.
type requester interface {
	request(x *exchange.Exchange) (exchange.Verdict, error)
}

// admitted runs the request side unless the plugin is in quarantine.
func (p *pool) admitted(x *exchange.Exchange, r requester) exchange.Verdict {
	if err := p.admit(); err != nil {
		return x.Fail(err)
	}
	v, err := r.request(x)
	if err != nil {
		p.sentAway()
		return x.Fail(err)
	}
	p.entered()
	return v
}

// admit lets an exchange in unless the plugin is in quarantine. The caller tells
// how it went: entered, or sent away.
func (p *pool) admit() error {
	if !p.suspect.Load() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quarantine.admit(time.Now()) {
		return nil
	}
	return ErrQuarantined
}

// entered is told of a request side that went well, which ends a quarantine.
func (p *pool) entered() {
	if !p.suspect.Load() {
		return
	}
	p.mu.Lock()
	over := p.quarantine.probing
	if over {
		p.quarantine = quarantine{times: p.quarantine.times, lasted: p.quarantine.lasted, ended: time.Now()}
		p.suspect.Store(false)
	}
	p.mu.Unlock()
	if over {
		p.log.log.Info("plugin is out of quarantine")
	}
}

// sentAway is told of one that ended in another way: the next one may try.
func (p *pool) sentAway() {
	if p.suspect.Load() {
		p.mu.Lock()
		p.quarantine.probing = false
		p.mu.Unlock()
	}
}

// failed is told of a call that ended badly.
func (p *pool) failed() {
	p.mu.Lock()
	begun := p.quarantine.failed(time.Now())
	lasts := p.quarantine.lasted
	if begun {
		p.suspect.Store(true)
	}
	p.mu.Unlock()
	if begun {
		p.log.log.Warn("plugin is in quarantine: it fails too often", slog.Duration("for", lasts))
	}
}
