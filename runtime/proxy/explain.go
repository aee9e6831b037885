package proxy

import (
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// Trace is what became of an exchange that was explained.
type Trace struct {
	// Route is nil if none matched.
	Route *Route
	// Steps are those of the route's chain, in its order.
	Steps []StepTrace
	// Forwarded is set if the request would go to one of the route's targets;
	// x.Request is what would be sent then. Otherwise x.Response is the answer.
	Forwarded bool
}

// StepTrace is what one step did on the request side.
type StepTrace struct {
	Name   string
	Shadow bool
	// Outcome is "continue", "reply", "fail", "skipped" because of when, or "not
	// reached". With Shadow it is what would have happened.
	Outcome string
	Status  int    // of a reply
	Error   string // of a failure
	Took    time.Duration
	// Why are the reasons that the filter gives, one a line.
	Why []string
}

// explainer is a filter that can tell how it will decide about an exchange.
type explainer interface {
	Why(*exchange.Exchange) []string
}

// Explain takes x through the request side of its route, and stops where it
// would be forwarded. The filters run as for any request: a rate limit counts
// it. Metrics of requests and the access log leave it out.
func (e *Engine) Explain(x *exchange.Exchange) *Trace {
	f := e.flow(x)
	t := &Trace{}
	f.trace = t
	defer f.finish()
	x.Memory = f.t.Memory
	err := f.run()
	if err != nil {
		answer(x, err)
	}
	t.Route = f.route
	if !t.Forwarded {
		f.responseSide()
		f.editResponse()
	}
	return t
}

// enter prepares the trace for a chain.
func (t *Trace) enter(c *Chain) {
	t.Steps = make([]StepTrace, len(c.steps))
	for i := range c.steps {
		t.Steps[i] = StepTrace{Name: c.steps[i].Name, Shadow: c.steps[i].Shadow, Outcome: "not reached"}
	}
}

// ask asks a filter that is about to run for its reasons.
func (t *Trace) ask(i int, f exchange.Filter, x *exchange.Exchange) {
	if t == nil {
		return
	}
	if e, ok := f.(explainer); ok {
		t.Steps[i].Why = e.Why(x)
	}
}

func (t *Trace) skipped(i int) {
	if t != nil {
		t.Steps[i].Outcome = "skipped"
	}
}

func (t *Trace) ran(i int, v exchange.Verdict, x *exchange.Exchange, d time.Duration) {
	if t == nil {
		return
	}
	s := &t.Steps[i]
	s.Outcome, s.Took = [...]string{"continue", "reply", "fail"}[v], d
	if v == exchange.Reply && !s.Shadow {
		s.Status = x.Response.Status
	}
	if v == exchange.Fail && x.Failure != nil {
		s.Error = x.Failure.Error()
	}
}

func (t *Trace) broke(i int, err error) {
	if t != nil {
		t.Steps[i].Outcome, t.Steps[i].Error = "fail", err.Error()
	}
}
