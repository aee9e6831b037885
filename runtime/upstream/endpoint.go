package upstream

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/telemetry"
)

// Conn is a connection to an endpoint.
type Conn = http1.Client

// ErrNoAnswer is what a Conn returns when it ended before an answer.
var ErrNoAnswer = http1.ErrNoAnswer

// Endpoint is one address of an upstream, its idle connections and its counts.
// It is safe for concurrent use.
type Endpoint struct {
	key     key
	network string
	address string
	dialer  net.Dialer
	idleFor time.Duration
	buffers *http1.Buffers
	metrics *telemetry.Endpoint // nil: none

	active   atomic.Int64
	requests atomic.Int64
	failures atomic.Int64

	mu      sync.Mutex
	idle    []idleConn // the most recently used last
	maxIdle int
	closed  bool
	refs    int // guarded by the registry
}

type idleConn struct {
	conn  *Conn
	since time.Time
}

func newEndpoint(k key, c Config, b *http1.Buffers, m *telemetry.Metrics) *Endpoint {
	e := &Endpoint{
		key: k, network: "tcp", address: k.address, idleFor: c.IdleTimeout, maxIdle: c.MaxIdle, buffers: b,
		dialer: net.Dialer{Timeout: c.ConnectTimeout, KeepAlive: 30 * time.Second},
	}
	if path, ok := strings.CutPrefix(k.address, "unix:"); ok {
		e.network, e.address = "unix", path
	}
	if m != nil {
		e.metrics = m.Endpoint(k.upstream, k.address)
	}
	return e
}

// Address returns the address as configured.
func (e *Endpoint) Address() string { return e.key.address }

// Active returns the number of requests at the endpoint.
func (e *Endpoint) Active() int64 { return e.active.Load() }

// Acquire returns a connection for one request, idle or new; fresh asks for a
// new one. The request counts as active until Release or Discard.
func (e *Endpoint) Acquire(ctx context.Context, fresh bool) (conn *Conn, reused bool, err error) {
	e.begin()
	if !fresh {
		if conn = e.takeIdle(); conn != nil {
			return conn, true, nil
		}
	}
	nc, err := e.dialer.DialContext(ctx, e.network, e.address)
	if err != nil {
		e.Failed("connect")
		e.end()
		return nil, false, err
	}
	return http1.NewClient(nc, http1.Limits{}, e.buffers), false, nil
}

func (e *Endpoint) begin() {
	e.active.Add(1)
	e.requests.Add(1)
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

func (e *Endpoint) takeIdle() *Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.idle)
	if n == 0 {
		return nil
	}
	c := e.idle[n-1].conn
	e.idle[n-1] = idleConn{}
	e.idle = e.idle[:n-1]
	return c
}

// Release ends a request. Its connection is kept for the next one if it can
// carry one.
func (e *Endpoint) Release(c *Conn) {
	e.end()
	if !c.Reusable() {
		c.Close()
		return
	}
	c.Park()
	now := time.Now()
	e.mu.Lock()
	keep := !e.closed && len(e.idle) < e.maxIdle
	if keep {
		e.idle = append(e.idle, idleConn{c, now})
	}
	e.mu.Unlock()
	if !keep {
		c.Close()
	}
}

// Discard ends a request whose connection is of no further use.
func (e *Endpoint) Discard(c *Conn) {
	e.end()
	c.Close()
	c.Park()
}

// Hold counts a tunnel as active until release is called.
func (e *Endpoint) Hold() (release func()) {
	e.begin()
	return sync.OnceFunc(e.end)
}

// Answered records a response head that took d.
func (e *Endpoint) Answered(status int, d time.Duration) {
	if e.metrics != nil {
		e.metrics.Done(status, d)
	}
}

// Failed records a request without an answer; kind is connect, reset or
// timeout.
func (e *Endpoint) Failed(kind string) {
	e.failures.Add(1)
	if e.metrics != nil {
		e.metrics.Error(kind)
	}
}

// reap closes connections that idled too long, oldest first.
func (e *Endpoint) reap(now time.Time) {
	e.mu.Lock()
	n := 0
	for n < len(e.idle) && now.Sub(e.idle[n].since) > e.idleFor {
		n++
	}
	old := append([]idleConn(nil), e.idle[:n]...)
	e.idle = append(e.idle[:0], e.idle[n:]...)
	clear(e.idle[len(e.idle):cap(e.idle)])
	e.mu.Unlock()
	for _, c := range old {
		c.conn.Close()
	}
}

// close closes idle connections now and the others when they are released.
func (e *Endpoint) close() {
	e.mu.Lock()
	idle := e.idle
	e.idle, e.closed = nil, true
	e.mu.Unlock()
	for _, c := range idle {
		c.conn.Close()
	}
}

func (e *Endpoint) idleCount() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.idle)
}
