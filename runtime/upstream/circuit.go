package upstream

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/runtime/telemetry"
)

// circuit is what is kept of an upstream by its name, whatever its generation:
// the state of its breaker and what is in flight.
type circuit struct {
	name    string
	breaker breaker
	active  atomic.Int64 // requests
	budget  budget
	limit   *gradient
	refused refusals
	retries [reasons]retries
	refs    int // guarded by the registry
}

// refusals counts requests and tries that were not made.
type refusals struct{ open, limit, budget atomic.Int64 }

// retries counts further tries by what became of them.
type retries struct{ answered, failed atomic.Int64 }

// Reason is why a try is followed by another.
type Reason uint8

// The reasons.
const (
	FailedConnect Reason = iota
	FailedReset
	FailedTimeout
	FailedStatus // an answer that says so
	Late         // it goes on, and another is made beside it
	reasons
)

func (r Reason) String() string {
	switch r {
	case FailedConnect:
		return "connect"
	case FailedTimeout:
		return "timeout"
	case FailedStatus:
		return "status"
	case Late:
		return "hedge"
	}
	return "reset"
}

func newCircuit(name string, log *slog.Logger) *circuit {
	made := time.Now()
	c := &circuit{name: name, limit: newGradient()}
	c.budget.start()
	c.breaker.now = func() time.Duration { return time.Since(made) }
	c.breaker.changed = func(from, to State, why string) {
		if log != nil {
			log.Warn("circuit breaker changed", "upstream", name, "from", from.String(), "to", to.String(), "reason", why)
		}
	}
	return c
}

// Refusal is the error of a request that an upstream is not asked.
type Refusal struct {
	Reason string        // open, limit or pending
	After  time.Duration // when it is worth another try
}

func (r *Refusal) Error() string {
	switch r.Reason {
	case "open":
		return "the circuit breaker is open"
	case "pending":
		return "the upstream has as many connections as it may, and too many requests wait for one"
	}
	return "the upstream has as many requests as it may"
}

// Pass lets one request ask an upstream. Its zero value counts nothing. Leave
// ends it.
type Pass struct {
	cluster *Cluster
	circuit *circuit // nil: nothing is counted
	phase   uint64   // of the breaker; not 0 for a probe without a result yet
	begun   int64    // further tries
	reason  Reason   // of the latest
}

// Guarded reports whether requests need a Pass.
func (c *Cluster) Guarded() bool { return c.circuit != nil }

// Admit returns a Pass, or a *Refusal.
func (c *Cluster) Admit() (Pass, error) {
	if c.circuit == nil {
		return Pass{}, nil
	}
	p := Pass{cluster: c, circuit: c.circuit}
	active := c.circuit.active.Add(1)
	if b := c.config.Breaker; b != nil {
		limit := int64(b.MaxRequests)
		if adaptive := c.circuit.limit.limit.Load(); b.Adaptive && (limit == 0 || adaptive < limit) {
			limit = adaptive
		}
		if limit > 0 && active > limit {
			c.circuit.active.Add(-1)
			c.circuit.refused.limit.Add(1)
			return Pass{}, &Refusal{Reason: "limit", After: time.Second}
		}
		phase, wait, ok := c.circuit.breaker.admit()
		if !ok {
			c.circuit.active.Add(-1)
			c.circuit.refused.open.Add(1)
			return Pass{}, &Refusal{Reason: "open", After: wait}
		}
		p.phase = phase
	}
	if r := c.config.Retry; r != nil {
		c.circuit.budget.earn(r.BudgetPercent)
	}
	return p, nil
}

// Answered counts a response head that took d.
func (p *Pass) Answered(status int, d time.Duration) {
	if p.circuit == nil {
		return
	}
	if p.begun > 0 {
		p.circuit.retries[p.reason].answered.Add(1)
	}
	p.result(status < 500)
	if b := p.cluster.config.Breaker; b != nil && b.Adaptive {
		p.circuit.limit.sample(d, p.circuit.active.Load())
	}
}

// Failed counts a try without an answer.
func (p *Pass) Failed() {
	if p.circuit == nil {
		return
	}
	if p.begun > 0 {
		p.circuit.retries[p.reason].failed.Add(1)
	}
	p.result(false)
}

func (p *Pass) result(good bool) {
	b := p.cluster.config.Breaker
	if b == nil {
		return
	}
	p.circuit.breaker.result(b, p.phase, good)
	p.phase = 0
}

// TryAgain asks for a further try after one that ended for reason. A try that is
// free, since the one before cost the upstream nothing, takes nothing of the
// budget.
func (p *Pass) TryAgain(reason Reason, free bool) bool {
	c := p.circuit
	if p.cluster.config.Breaker != nil && State(c.breaker.state.Load()) != Closed {
		return false
	}
	if free {
		c.budget.tries.Add(1)
	} else if !c.budget.take(p.cluster.config.Retry.BudgetPercent, c.active.Load()) {
		c.refused.budget.Add(1)
		return false
	}
	p.begun++
	p.reason = reason
	return true
}

// Repeated counts a request that was sent again since its connection was closed
// while idle. It needs no leave, but others have less.
func (p *Pass) Repeated() { p.circuit.budget.charge() }

// Leave ends the request. Leaving again does nothing.
func (p *Pass) Leave() {
	c := p.circuit
	if c == nil {
		return
	}
	p.circuit = nil
	if p.phase != 0 {
		c.breaker.forget(p.phase)
	}
	c.budget.give(p.begun)
	c.active.Add(-1)
}

// CircuitInfo is what the admin API shows of a breaker and of further tries.
type CircuitInfo struct {
	State   string `json:"state"`
	Active  int64  `json:"active"`
	Opened  int64  `json:"opened"`
	Shed    int64  `json:"shed"`
	Limit   int64  `json:"adaptive_limit"`
	Retries int64  `json:"retries"`
	// Connections are those that max_connections bounds, Pending the requests that
	// wait for one.
	Connections int64 `json:"connections"`
	Pending     int64 `json:"pending"`
}

func (c *circuit) info(p *connections) *CircuitInfo {
	s := c.stats(p)
	i := &CircuitInfo{
		State: State(c.breaker.state.Load()).String(), Active: c.active.Load(), Opened: s.Opened,
		Shed: s.ShedOpen + s.ShedLimit + s.ShedPending, Limit: c.limit.limit.Load(),
		Connections: s.Connections, Pending: s.Pending,
	}
	for _, r := range s.Retries {
		i.Retries += r.Count
	}
	return i
}

func (c *circuit) stats(p *connections) telemetry.Circuit {
	s := telemetry.Circuit{
		Upstream: c.name, State: int(c.breaker.state.Load()), Opened: c.breaker.opened.Load(),
		ShedOpen: c.refused.open.Load(), ShedLimit: c.refused.limit.Load(), Exhausted: c.refused.budget.Load(),
	}
	if p != nil {
		s.Connections, s.Pending, s.ShedPending = p.made(), p.waiting.Load(), p.refused.Load()
	}
	for r := range reasons {
		n := &c.retries[r]
		s.Retries = append(s.Retries,
			telemetry.Retries{Reason: r.String(), Outcome: "answered", Count: n.answered.Load()},
			telemetry.Retries{Reason: r.String(), Outcome: "failed", Count: n.failed.Load()})
	}
	return s
}

// LogTo makes the clusters to come write changes of state to log.
func (r *Registry) LogTo(log *slog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = log
}

// Circuits lists the upstreams that have a breaker or make further tries.
func (r *Registry) Circuits() []telemetry.Circuit {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]telemetry.Circuit, 0, len(r.circuits))
	for _, c := range r.circuits {
		list = append(list, c.stats(r.pools[c.name]))
	}
	return list
}

// circuit returns the one of c with one more reference, or nil. r.mu is held.
func (r *Registry) circuit(c Config) *circuit {
	if c.Breaker == nil && c.Retry == nil {
		return nil
	}
	u := r.circuits[c.Name]
	if u == nil {
		u = newCircuit(c.Name, r.log)
		r.circuits[c.Name] = u
	}
	u.refs++
	return u
}

func (r *Registry) releaseCircuit(c *circuit) {
	if c == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.refs--; c.refs == 0 {
		delete(r.circuits, c.name)
	}
}

func (r *Registry) circuitInfo(name string) *CircuitInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.circuits[name]; c != nil {
		return c.info(r.pools[name])
	}
	return nil
}
