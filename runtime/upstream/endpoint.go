package upstream

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/http2"
	"github.com/headgate/headgate/runtime/telemetry"
)

// Conn carries one request to an endpoint at a time: a connection over HTTP/1.1,
// one stream of a shared connection over HTTP/2. One goroutine uses it, or two:
// one that writes the request and one that reads the response. http1.Client
// documents each method.
type Conn interface {
	WriteRequest(r *exchange.Request, first []byte, last bool) error
	WriteBody(p []byte) error
	EndBody(trailer *exchange.Head) error
	Wrote() bool
	ReadResponse(method string, r *exchange.Response) error
	// AwaitResponse waits until ReadResponse has something to begin with, or for
	// the error that it would return.
	AwaitResponse() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	Reusable() bool
	Park()
	Tunnel() (nc net.Conn, read []byte)
	Close() error
}

// ErrNoAnswer is what a Conn returns when it ended before an answer.
var ErrNoAnswer = http1.ErrNoAnswer

// Endpoint is one address of an upstream, its idle connections and its counts.
// It is safe for concurrent use.
type Endpoint struct {
	key     key
	network string
	address string
	dialer  net.Dialer
	buffers *http1.Buffers
	metrics *telemetry.Endpoint // nil: none
	tls     *originator         // nil: in the clear
	made    time.Time

	standing *standing    // set by the registry
	pool     *connections // of the upstream, set by the registry

	active   atomic.Int64
	requests atomic.Int64
	connects atomic.Int64 // failed ones
	resets   atomic.Int64
	timeouts atomic.Int64
	latency  atomic.Int64 // a moving average in nanoseconds
	peak     peak

	dialing chan struct{} // holds a token while a shared connection is made

	mu     sync.Mutex
	idle   []idleConn // the most recently used last
	shared []*http2.ClientConn
	closed bool
	solo   bool // "auto" was answered with HTTP/1.1 last
	refs   int  // guarded by the registry
}

type idleConn struct {
	conn  Conn
	since time.Duration // after Endpoint.made
}

func newEndpoint(k key, b *http1.Buffers, m *telemetry.Endpoint) *Endpoint {
	e := &Endpoint{
		key: k, network: "tcp", address: k.address, buffers: b, metrics: m, made: time.Now(), dialing: make(chan struct{}, 1),
		dialer: net.Dialer{Timeout: k.connect, KeepAlive: 30 * time.Second},
	}
	if path, ok := strings.CutPrefix(k.address, "unix:"); ok {
		e.network, e.address = "unix", path
	}
	if k.secure {
		e.tls = newOriginator(k.tls, k.address, k.offers())
	}
	return e
}

// Address returns the address as configured.
func (e *Endpoint) Address() string { return e.key.address }

// Active returns the number of requests at the endpoint.
func (e *Endpoint) Active() int64 { return e.active.Load() }

// Acquire returns a connection for one request, idle or new; fresh asks for a
// new one. The request counts as active until Release or Discard. A dial that
// fails is counted as Failed("connect"), unless ctx ended it.
func (e *Endpoint) Acquire(ctx context.Context, fresh bool) (conn Conn, reused bool, err error) {
	return e.AcquireFor(ctx, nil, fresh)
}

// AcquireFor is Acquire for a request of client, whose addresses an endpoint with
// a PROXY header is told; nil stands for the gateway itself.
func (e *Endpoint) AcquireFor(ctx context.Context, client *exchange.Conn, fresh bool) (conn Conn, reused bool, err error) {
	e.requests.Add(1)
	e.begin()
	if e.shares() {
		return e.acquireStream(ctx, fresh)
	}
	return e.acquireOwn(ctx, client, fresh)
}

func (e *Endpoint) acquireOwn(ctx context.Context, client *exchange.Conn, fresh bool) (conn Conn, reused bool, err error) {
	if !fresh && e.pool.waiting.Load() == 0 {
		if conn = e.takeIdle(); conn != nil {
			return conn, true, nil
		}
	}
	return e.acquireNew(ctx, client)
}

// acquireNew makes a connection as soon as one more may be, unless it gets one that
// is left by another request meanwhile.
func (e *Endpoint) acquireNew(ctx context.Context, client *exchange.Conn) (conn Conn, reused bool, err error) {
	conn, counts, err := e.pool.acquire(ctx, e, e.key.connect)
	if err != nil {
		e.end()
		return nil, false, err
	}
	if conn != nil {
		return conn, true, nil
	}
	conn, err = e.open(ctx, client, counts)
	return conn, false, err
}

// open makes a connection for a request that is active, and ends the request if
// that fails.
func (e *Endpoint) open(ctx context.Context, client *exchange.Conn, counts bool) (Conn, error) {
	nc, err := e.dial(ctx, client, counts)
	if err != nil {
		return nil, err
	}
	if e.agreed(nc) {
		return e.share(nc)
	}
	return http1.NewClient(nc, http1.Limits{}, e.buffers), nil
}

// dial connects for a request that is active, and ends it if that fails.
func (e *Endpoint) dial(ctx context.Context, client *exchange.Conn, counts bool) (net.Conn, error) {
	nc, err := e.connect(ctx, client, false, counts)
	if err != nil {
		if ctx.Err() == nil {
			e.Failed("connect")
		}
		e.end()
	}
	return nc, err
}

// connect dials and makes the handshake, both within connect_timeout. A stream is
// of a protocol that is not ours to name. What counts gives leave back when it is
// closed.
func (e *Endpoint) connect(ctx context.Context, client *exchange.Conn, stream, counts bool) (net.Conn, error) {
	if e.tls == nil {
		return e.dialFor(ctx, client, counts)
	}
	ctx, cancel := context.WithTimeout(ctx, e.key.connect)
	defer cancel()
	nc, err := e.dialFor(ctx, client, counts)
	if err != nil {
		return nil, err
	}
	return e.tls.handshake(ctx, nc, stream)
}

func (e *Endpoint) begin() {
	e.active.Add(1)
	if e.metrics != nil {
		e.metrics.Start()
	}
}

func (e *Endpoint) end() {
	e.active.Add(-1)
	if e.metrics != nil {
		e.metrics.End()
	}
}

// takeIdle takes the connection that was used last: its peer is the least likely
// to have closed it, and those that are not needed get old. One that idled too
// long is left to the reaper, which looks only now and then.
func (e *Endpoint) takeIdle() Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.idle)
	if n == 0 || e.expired(e.idle[n-1], time.Since(e.made)) {
		return nil
	}
	c := e.idle[n-1].conn
	e.idle[n-1] = idleConn{}
	e.idle = e.idle[:n-1]
	return c
}

func (e *Endpoint) expired(c idleConn, now time.Duration) bool { return now-c.since >= e.key.idle }

// Release ends a request. Its connection is kept for the next one if it can
// carry one.
func (e *Endpoint) Release(c Conn) {
	if !c.Reusable() {
		e.Discard(c)
		return
	}
	e.end()
	c.Park()
	e.mu.Lock()
	keep := !e.closed && len(e.idle) < e.key.maxIdle
	if keep {
		e.idle = append(e.idle, idleConn{c, time.Since(e.made)})
	}
	e.mu.Unlock()
	if !keep {
		c.Close()
	}
	e.left()
}

// Discard ends a request whose connection is of no further use.
func (e *Endpoint) Discard(c Conn) {
	e.end()
	c.Close()
	c.Park()
	e.left()
}

// left lets those have what a request left behind who wait for it.
func (e *Endpoint) left() {
	if e.pool.waiting.Load() > 0 {
		e.pool.left(e)
	}
}

// spare takes a connection that may carry a request, nil if there is none.
func (e *Endpoint) spare() Conn {
	if c := e.takeIdle(); c != nil {
		return c
	}
	if s := e.openStream(); s != nil {
		return s
	}
	return nil
}

// sacrifice takes a connection that no request uses and returns what closes it, nil
// if there is none.
func (e *Endpoint) sacrifice() (end func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.idle) > 0 {
		c := e.idle[0].conn
		e.idle = slices.Delete(e.idle, 0, 1)
		return func() { c.Close() }
	}
	for i, c := range e.shared {
		if _, idle := c.Idle(); idle {
			e.shared = slices.Delete(e.shared, i, i+1)
			return c.Leave
		}
	}
	return nil
}

// Hold counts a tunnel as active until release is called. It is no request of
// its own: that was counted when its connection was acquired.
func (e *Endpoint) Hold() (release func()) {
	e.begin()
	return sync.OnceFunc(e.end)
}

// Answered records a response head that took d.
func (e *Endpoint) Answered(status int, d time.Duration) {
	// An update that is lost to another at the same time is no loss.
	if old := e.latency.Load(); old == 0 {
		e.latency.Store(int64(d))
	} else {
		e.latency.Store(old + (int64(d)-old)/16)
	}
	if e.metrics != nil {
		e.metrics.Done(status, d)
	}
	if e.peak.wanted.Load() {
		if status >= 500 {
			e.penalize()
		} else {
			e.learn(d)
		}
	}
	if o := e.standing.detector.Load(); o != nil {
		o.answered(e.standing, status, d)
	}
}

// Failed records a request without an answer; kind is connect, reset or
// timeout.
func (e *Endpoint) Failed(kind string) {
	switch kind {
	case "connect":
		e.connects.Add(1)
	case "timeout":
		e.timeouts.Add(1)
	default:
		e.resets.Add(1)
	}
	if e.metrics != nil {
		e.metrics.Error(kind)
	}
	e.penalize()
	if o := e.standing.detector.Load(); o != nil {
		o.failed(e.standing, kind, 0)
	}
}

// reap closes connections that idled too long, which are the first ones.
func (e *Endpoint) reap() {
	now := time.Since(e.made)
	e.mu.Lock()
	n := 0
	for n < len(e.idle) && e.expired(e.idle[n], now) {
		n++
	}
	var old []idleConn
	if n > 0 {
		old = append(old, e.idle[:n]...)
		kept := copy(e.idle, e.idle[n:])
		clear(e.idle[kept:])
		e.idle = e.idle[:kept]
	}
	e.mu.Unlock()
	e.reapShared()
	for _, c := range old {
		c.conn.Close()
	}
}

// close closes idle connections now and the others when they are released.
func (e *Endpoint) close() {
	e.mu.Lock()
	idle, shared := e.idle, e.shared
	e.idle, e.shared, e.closed = nil, nil, true
	e.mu.Unlock()
	for _, c := range shared {
		c.Leave()
	}
	for _, c := range idle {
		c.conn.Close()
	}
}

func (e *Endpoint) info() EndpointInfo {
	e.mu.Lock()
	idle := len(e.idle)
	for _, c := range e.shared {
		if _, ok := c.Idle(); ok {
			idle++
		}
	}
	e.mu.Unlock()
	errs := ErrorsInfo{e.connects.Load(), e.resets.Load(), e.timeouts.Load()}
	return EndpointInfo{
		Address: e.Address(), Active: e.Active(), Idle: idle, Requests: e.requests.Load(),
		Failures: errs.Connect + errs.Reset + errs.Timeout, Errors: errs,
		LatencyMS: float64(e.latency.Load()) / float64(time.Millisecond), Barred: e.standing.reasons(),
	}
}
