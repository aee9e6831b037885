package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
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
	pool     buffers
	clock    clock
	conns    sync.Pool // *serverConn

	mu   sync.Mutex
	open map[*serverConn]struct{}
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

// Drain ends idle connections now, and the others with their current response.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if c.idle.Load() {
			_ = c.nc.SetReadDeadline(past)
		}
	}
}

// Close cuts every connection.
func (s *Server) Close() {
	s.draining.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.nc.Close()
	}
}

// past is a deadline that wakes a waiting read.
var past = time.Unix(1, 0)

// ServeConn serves nc until the connection ends, and closes it, unless it
// became a tunnel.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn, info *exchange.Conn) {
	s.ServeRead(ctx, nc, info, nil)
}

// ServeRead is ServeConn for a connection of which some bytes were read.
func (s *Server) ServeRead(ctx context.Context, nc net.Conn, info *exchange.Conn, read []byte) {
	c, ok := s.conns.Get().(*serverConn)
	if !ok {
		c = &serverConn{s: s}
		c.in.pool = &s.pool
		c.peekFn = c.peek
	}
	c.begin(nc, info)
	if len(read) > 0 {
		c.in.buf = s.pool.get(len(read))
		c.in.w = copy(c.in.buf, read)
	}
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		c.end()
		s.conns.Put(c)
	}()
	for c.serve(ctx) {
	}
}

// serve takes one request through its life and reports whether the connection
// may carry another.
func (c *serverConn) serve(ctx context.Context) bool {
	set := c.s.settings.Load()
	c.set = set
	m, status, err := c.readHead(ctx, set)
	if err != nil {
		if status > 0 {
			c.refuse(ctx, status, err)
		}
		return false
	}
	x := &c.x
	c.start(m)
	c.s.handler.Serve(x)
	keep := c.finish()
	x.Reset(nil, nil, nil)
	return keep
}

// readHead reads a request head into c.x. A status with the error says how to
// answer; 0 means that nobody waits for an answer.
func (c *serverConn) readHead(ctx context.Context, set *settings) (m meta, status int, err error) {
	in := &c.in
	in.reset()
	c.x.Reset(ctx, c.info, c)
	for begun := false; ; {
		if in.w == 0 {
			c.idle.Store(true)
			c.idleDeadline(set.to.Idle)
			if c.s.draining.Load() {
				return m, 0, io.EOF
			}
		} else {
			n, m, err := parseRequest(in.buf[:in.w], &c.x.Request, set.lim)
			if err != nil {
				return m, statusOf(err), err
			}
			if n > 0 {
				in.r, in.base = n, n
				return m, 0, nil
			}
			if !begun {
				begun = true
				c.deadline(time.Now().Add(set.to.Header))
			}
		}
		err := in.more(set.lim.MaxHeaderBytes + 4)
		c.idle.Store(false)
		switch {
		case err == nil:
		case in.w > 0 && isTimeout(err):
			return m, 408, errors.New("the request head did not arrive in time")
		default:
			return m, 0, err
		}
	}
}

func statusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 400
}

// refuse answers a head that is no request.
func (c *serverConn) refuse(ctx context.Context, status int, err error) {
	c.x.Reset(ctx, c.info, c)
	c.x.Request.Method, c.x.Request.Proto, c.x.Request.Scheme = "GET", exchange.HTTP11, "http"
	c.start(meta{})
	c.closing = true
	if r, ok := c.s.handler.(Refuser); ok {
		r.Refuse(&c.x, status, err.Error())
	} else {
		c.x.Reply(status, "text/plain; charset=utf-8", []byte(err.Error()+"\n"))
		if c.WriteHead() == nil {
			_ = c.Write(c.x.Response.Buffered, true)
		}
	}
	c.linger()
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
