package http1

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// Timeouts bound what a client may take. Zero fields take the defaults.
type Timeouts struct {
	// Header is from the first byte of a request to the end of its head; 10 s.
	Header time.Duration
	// Idle is the wait for the first byte of a request; 75 s.
	Idle time.Duration
	// StreamIdle is the wait for any byte of a body, read or written; 5 min.
	StreamIdle time.Duration
}

func (t Timeouts) withDefaults() Timeouts {
	if t.Header <= 0 {
		t.Header = 10 * time.Second
	}
	if t.Idle <= 0 {
		t.Idle = 75 * time.Second
	}
	if t.StreamIdle <= 0 {
		t.StreamIdle = 5 * time.Minute
	}
	return t
}

// Refuser is a Handler that also answers what never became an exchange, so that
// one place makes all error answers.
type Refuser interface {
	Refuse(x *exchange.Exchange, status int, reason string)
}

// Server serves connections with one goroutine each. It is safe for concurrent
// use.
type Server struct {
	handler  exchange.Handler
	settings atomic.Pointer[settings]
	draining atomic.Bool
	drainBy  atomic.Int64 // the end of the grace for idle connections, Unix nanoseconds
	pool     buffers
	clock    clock
	idle     sync.Pool // *exchange.Exchange between two requests

	mu     sync.Mutex
	open   map[*serverConn]struct{}
	closed bool
}

type settings struct {
	lim Limits
	to  Timeouts
}

// NewServer makes a server that hands exchanges to h.
func NewServer(h exchange.Handler, lim Limits, to Timeouts) *Server {
	s := &Server{handler: h, open: map[*serverConn]struct{}{}}
	s.Configure(lim, to)
	return s
}

// Configure replaces limits and timeouts; live connections follow with their
// next request.
func (s *Server) Configure(lim Limits, to Timeouts) {
	s.settings.Store(&settings{lim.withDefaults(), to.withDefaults()})
}

// Drain ends connections with their current response, and idle ones after grace
// or with the response to a request that arrives within it: one may be on its
// way.
func (s *Server) Drain(grace time.Duration) {
	by := time.Now().Add(grace)
	s.drainBy.Store(by.UnixNano())
	s.draining.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		// A connection that leaves this state right now finds its deadline passed
		// too early and sets it again.
		if c.idle.Load() {
			_ = c.nc.SetReadDeadline(by)
		}
	}
}

// Close cuts every connection, tunnels too.
func (s *Server) Close() {
	s.draining.Store(true) // without a grace
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.open {
		// It waits for an exchange that is served within a wait, see waiter.
		go func() { _ = below(c.nc).Close() }()
	}
}

// past is a deadline that wakes a waiting read.
var past = time.Unix(1, 0)

// ServeConn serves nc until the connection ends, and closes it, unless it
// became a tunnel.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn, info *exchange.Conn) {
	s.ServeRead(ctx, nc, info, nil)
}

// ServeRead is ServeConn for a connection of which read was already taken, for
// instance to find out its protocol. nc is best the plain connection or TLS over a
// Beneath: only sockets wait without a buffer and can tell that the peer left.
func (s *Server) ServeRead(ctx context.Context, nc net.Conn, info *exchange.Conn, read []byte) {
	c := &serverConn{s: s, ctx: ctx, nc: nc, info: info, raw: rawConn(nc)}
	if t, ok := nc.(*tls.Conn); ok {
		if b, ok := t.NetConn().(*Beneath); ok && b.raw != nil {
			c.raw, c.beneath = b.raw, b
		}
	}
	c.in.src, c.in.pool, c.out.pool = c, &s.pool, &s.pool
	c.out.begin(nc)
	if len(read) > 0 {
		c.in.buf = s.pool.get(max(headBuffer, len(read)))
		c.in.w = copy(c.in.buf, read)
	}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.open[c] = struct{}{}
	}
	s.mu.Unlock()
	if closed {
		nc.Close()
		return
	}
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		if !c.tunnel {
			nc.Close()
		}
		c.release()
		c.in.release()
	}()
	for c.serve() {
	}
}
