package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/router"
	"github.com/headgate/headgate/runtime/telemetry"
	"github.com/headgate/headgate/runtime/upstream"
)

// Engine serves exchanges by the current table. It is safe for concurrent use;
// one engine outlives every generation.
type Engine struct {
	table   atomic.Pointer[Table]
	metrics *telemetry.Metrics
	nowhere *telemetry.Route // for requests that no route takes
	log     *slog.Logger
	active  atomic.Int64 // kept only while a table bounds it
	shed    atomic.Int64 // turned away for that bound
	flows   sync.Pool    // *flow
	warned  warnings

	life    context.Context // of what outlives exchanges
	kill    context.CancelFunc
	mirrors tasks
}

// NewEngine makes an engine that answers with t's routes.
func NewEngine(t *Table, m *telemetry.Metrics, log *slog.Logger) *Engine {
	e := &Engine{metrics: m, nowhere: m.Route(""), log: log}
	e.life, e.kill = context.WithCancel(context.Background())
	e.table.Store(t)
	return e
}

// Close ends what outlives exchanges, when there are none any more.
func (e *Engine) Close() {
	e.kill()
	e.mirrors.close()
}

// Swap makes t the table of every exchange that starts from now on. Exchanges
// under way go on with the route they have.
func (e *Engine) Swap(t *Table) { e.table.Store(t) }

// Shed returns how many requests were turned away for limits.max_requests.
func (e *Engine) Shed() int64 { return e.shed.Load() }

// Table returns the current table.
func (e *Engine) Table() *Table { return e.table.Load() }

// flow is the engine's work on one exchange.
type flow struct {
	e     *Engine
	t     *Table
	x     *exchange.Exchange
	route *Route // nil: none matched
	chain *Chain // acquired; nil after release

	cluster         *upstream.Cluster
	try             try             // the upstream side
	pass            upstream.Pass   // of the upstream, if it bounds requests
	replay          *replay         // the request body, to send it again; nil: it isn't kept
	copy            *copied         // of the request body for a mirror; nil without one
	started, passed uint64          // steps whose Request ran; and returned Continue
	times           []time.Duration // by step, then the upstream's; nil unless asked for
	trace           *Trace          // nil unless the exchange is only explained
	sent            int64           // body bytes to the client
	status          int             // sent to the client
}

// flow begins the work on x, which starts now.
func (e *Engine) flow(x *exchange.Exchange) *flow {
	x.Start = time.Now()
	x.Now = x.Start
	f, ok := e.flows.Get().(*flow)
	if !ok {
		f = &flow{}
	}
	*f = flow{e: e, t: e.table.Load(), x: x}
	return f
}

// Serve implements exchange.Handler.
func (e *Engine) Serve(x *exchange.Exchange) {
	f := e.flow(x)
	defer f.finish()
	x.Memory = f.t.Memory
	if x.Conn.Listener.GRPCWeb {
		translateWeb(x)
	}
	if limit := f.t.MaxRequests; limit > 0 {
		if e.active.Add(1) > int64(limit) {
			e.active.Add(-1)
			f.turnAway()
			return
		}
		defer e.active.Add(-1)
	}
	f.send(f.run())
}

// Refuse answers what never became an exchange: a head that a front end could
// not parse. It passes no filter.
func (e *Engine) Refuse(x *exchange.Exchange, status int, reason string) {
	f := e.flow(x)
	if f.t.RequestID != "" {
		x.ID = newID(&x.Arena, x.Start)
	}
	answer(x, &failure{status: status, detail: reason})
	f.editResponse()
	x.Response.Close = true
	if f.write() == nil {
		f.record()
	}
}

// finish ends the exchange whatever happened, a panic included: that is a bug
// of ours, and costs this exchange only.
func (f *flow) finish() {
	if r := recover(); r != nil {
		f.e.metrics.Panic()
		f.x.Failure = fmt.Errorf("panic: %v", r)
		f.e.log.Error("panic while serving a request", "request_id", f.x.ID, "route", f.x.Route,
			"panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		f.x.Front.Reset(exchange.ResetInternal)
	}
	f.leave()
	f.settle()
	f.pass.Leave()
	f.replay.forget()
	f.copy.abandon()
	f.record()
	f.x.Forget()
	e := f.e
	*f = flow{}
	e.flows.Put(f)
}

// leave tells the filters that the exchange is over and lets the chain go. It
// runs before the end for a tunnel, which outlives filters.
func (f *flow) leave() {
	if f.chain == nil {
		return
	}
	c := f.chain
	f.chain = nil
	defer c.release(f.x.Conn.Shard)
	for i := range c.steps {
		if f.started&(1<<i) != 0 {
			f.x.Enter(i, len(c.steps))
			c.steps[i].done(f.x)
		}
	}
}

func (f *flow) record() {
	if f.trace != nil {
		return
	}
	d := time.Since(f.x.Start)
	m := f.e.nowhere
	if f.route != nil {
		m = f.route.Metrics
	} else {
		m.Start() // unknown until now
	}
	m.Done(f.status, d)
	if f.t.AccessLog != nil {
		f.t.AccessLog.Record(telemetry.Entry{X: f.x, Status: f.status, Sent: f.sent, Duration: d})
	}
	if f.x.Failure != nil && f.status >= 500 {
		f.e.warn("request failed", "request_id", f.x.ID, "route", f.x.Route, "status", f.status, "error", f.x.Failure.Error())
	}
}

// run is the request side: everything until there is a response, which is
// already sent if sent is returned.
func (f *flow) run() error {
	x := f.x
	identify(x, &f.t.Settings)
	forwardClientCert(x)
	if f.t.Challenge != nil && f.challenged() {
		return nil
	}
	if err := f.match(); err != nil {
		return err
	}
	x.Route = f.route.Name
	if f.t.DebugHeader != "" {
		if _, ok := x.Request.Get(f.t.DebugHeader); ok {
			f.times = make([]time.Duration, len(f.chain.steps)+1)
		}
	}
	if err := f.boundBody(); err != nil {
		return err
	}
	if replied, err := f.requestSide(); replied || err != nil {
		return err
	}
	r := f.route
	if err := editHeaders(x, &x.Request.Head, r.RequestHeaders); err != nil {
		return f.exprFailed(err)
	}
	switch {
	case r.Redirect != nil:
		return f.redirect(r.Redirect)
	case r.Respond != nil:
		return f.respond(r.Respond)
	}
	if r.Rewrite != nil {
		if err := rewrite(x, r.Rewrite); err != nil {
			return f.exprFailed(err)
		}
	}
	if f.trace != nil {
		f.trace.Forwarded = true
		return nil
	}
	if r.Mirror != nil {
		f.mirror(r.Mirror)
	}
	if err := f.forward(); err != nil {
		return err
	}
	if cookie := f.cluster.Cookie(x, f.try.endpoint); cookie != "" {
		x.Response.Head.Add("set-cookie", cookie)
	}
	return nil
}

// challenged answers an HTTP-01 challenge, before any route or filter could get
// in its way. The server that checks a name asks in the clear, on port 80.
func (f *flow) challenged() bool {
	x := f.x
	if x.Conn.TLS != nil || f.trace != nil || x.Request.Method != "GET" {
		return false
	}
	body, ok := f.t.Challenge(x.Request.Authority, x.Request.Path)
	if ok {
		x.Reply(200, "application/octet-stream", []byte(body))
	}
	return ok
}

// match normalises what routing looks at, finds the route and enters its chain.
func (f *flow) match() error {
	x := f.x
	var err error
	if x.Host, err = router.NormalizeHost(x.Request.Authority, &x.Arena); err != nil {
		return badRequest(err)
	}
	if c := x.Conn.Covers; c != nil && !c(x.Host) {
		return misdirected()
	}
	if x.Request.Path != "*" { // OPTIONS *
		if x.Request.Path, err = router.NormalizePath(nil, x.Request.Path); err != nil {
			return badRequest(err)
		}
	}
	for {
		res := f.t.Router.Lookup(x)
		if x.Starved() { // another route may be less guarded than the one that could not be asked
			return overloaded(exchange.ErrMemory)
		}
		if res.Route < 0 {
			return noRoute(res.Allow)
		}
		r := f.t.Routes[res.Route]
		if r.Chain.acquire(x.Conn.Shard) {
			f.route, f.chain = r, r.Chain
			if f.trace != nil {
				f.trace.enter(r.Chain)
				return nil
			}
			r.Metrics.Start()
			return nil
		}
		// This generation was replaced between the two lines: take the new one.
		f.t = f.e.table.Load()
		x.Forget() // to the budget that it is of
		x.Memory = f.t.Memory
	}
}

// redirect answers with a location.
func (f *flow) redirect(r *Redirect) error {
	s, ok, err := text(f.x, r.URL)
	if err != nil {
		return f.exprFailed(fmt.Errorf("redirect.url: %w", err))
	}
	if !ok || !exchange.ValidValue(s) || s == "" {
		return f.exprFailed(fmt.Errorf("redirect.url: the result is no URL"))
	}
	f.x.Reply(r.Status, "", nil)
	f.x.Response.Head.Add("Location", s)
	return nil
}

// respond answers with the route's own response.
func (f *flow) respond(r *Respond) error {
	var body []byte
	if r.Body != nil {
		s, _, err := text(f.x, r.Body)
		if err != nil {
			return f.exprFailed(fmt.Errorf("respond.body: %w", err))
		}
		body = []byte(s)
	}
	f.x.Reply(r.Status, "", body)
	h := &f.x.Response.Head
	if err := editHeaders(f.x, h, r.Headers); err != nil {
		return f.exprFailed(fmt.Errorf("respond.%w", err))
	}
	if _, ok := h.Known(exchange.NameContentType); !ok && len(body) > 0 {
		h.Add("content-type", "text/plain; charset=utf-8")
	}
	return nil
}
