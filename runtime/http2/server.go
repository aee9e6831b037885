package http2

//lint:file-ignore SA1019 net/http serves no single connection that somebody else accepted

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// maxStreams bounds the concurrent streams of one connection.
const maxStreams = 250

// A request body that nobody reads may take uploadWindow bytes of memory, all of
// a connection uploadWindows. A few that stall leave room for the others.
const (
	uploadWindow  = 256 << 10
	uploadWindows = 2 << 20
)

// Server serves HTTP/2 connections with prior knowledge. It is safe for
// concurrent use.
type Server struct {
	front
	draining atomic.Bool

	mu       sync.Mutex
	open     map[net.Conn]*library
	settings settings
	current  *library
	former   []*library // that still have connections
}

// settings are what the library takes for a connection as a whole.
type settings struct {
	maxHeaderBytes   int
	idle, streamIdle time.Duration
}

// library serves connections with the same settings.
type library struct {
	h2    *http2.Server
	base  *http.Server // carries limits, and the drain to the library
	conns int
}

// NewServer makes a server that hands exchanges to h.
func NewServer(h exchange.Handler, lim http1.Limits, to http1.Timeouts) *Server {
	s := &Server{front: front{handler: h}, open: map[net.Conn]*library{}}
	s.Configure(lim, to)
	return s
}

// Configure replaces limits and timeouts. Those of a connection as a whole, the
// size of a head and the idle time, hold for connections to come.
func (s *Server) Configure(lim http1.Limits, to http1.Timeouts) {
	s.front.Configure(lim, to)
	next := settings{lim.MaxHeaderBytes, idle(to), streamIdle(to)}
	if next.maxHeaderBytes <= 0 {
		next.maxHeaderBytes = 64 << 10
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		if next == s.settings {
			return
		}
		if s.current.conns > 0 {
			s.former = append(s.former, s.current)
		}
	}
	s.settings, s.current = next, newLibrary(next)
}

func newLibrary(c settings) *library {
	l := &library{
		h2: &http2.Server{
			MaxConcurrentStreams: maxStreams, IdleTimeout: c.idle, MaxReadFrameSize: 16 << 10,
			MaxUploadBufferPerStream: uploadWindow, MaxUploadBufferPerConnection: uploadWindows, WriteByteTimeout: c.streamIdle,
		},
		base: &http.Server{MaxHeaderBytes: c.maxHeaderBytes, ErrorLog: log.New(io.Discard, "", 0)},
	}
	if err := http2.ConfigureServer(l.base, l.h2); err != nil {
		// It refuses only TLS settings, and there are none.
		panic(err)
	}
	return l
}

func idle(to http1.Timeouts) time.Duration {
	if to.Idle > 0 {
		return to.Idle
	}
	return 75 * time.Second
}

func streamIdle(to http1.Timeouts) time.Duration {
	if to.StreamIdle > 0 {
		return to.StreamIdle
	}
	return 5 * time.Minute
}

// ServeConn serves nc, whose preface was not read, until the connection ends,
// and closes it.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn, info *exchange.Conn) {
	l := s.enter(nc)
	defer s.leave(nc)
	if s.draining.Load() {
		defer time.AfterFunc(lateGrace, s.tell).Stop()
	}
	l.h2.ServeConn(newMeter(nc, s.timeouts.Load()), &http2.ServeConnOpts{
		Context: ctx, BaseConfig: l.base,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.draining.Load() {
				w.Header().Set("Connection", "close") // the library sends GOAWAY in its place
			}
			s.serve(info, w, r)
		}),
	})
}

func (s *Server) enter(nc net.Conn) *library {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.current
	l.conns++
	s.open[nc] = l
	return l
}

func (s *Server) leave(nc net.Conn) {
	s.mu.Lock()
	l := s.open[nc]
	delete(s.open, nc)
	if l.conns--; l.conns == 0 {
		s.former = slices.DeleteFunc(s.former, func(f *library) bool { return f == l })
	}
	s.mu.Unlock()
	nc.Close()
}

// lateGrace is the time that a connection which got here while the server drains
// has for its first request, before it is asked to leave.
const lateGrace = 250 * time.Millisecond

// Drain asks every client to leave (GOAWAY) and lets streams finish.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.tell()
	time.AfterFunc(lateGrace, s.tell) // those that were about to be known
}

func (s *Server) tell() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	s.mu.Lock()
	all := append(slices.Clone(s.former), s.current)
	s.mu.Unlock()
	for _, l := range all {
		_ = l.base.Shutdown(ended) // tells the library; there is nothing to wait for
	}
}

// Close cuts every connection.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.open {
		nc.Close()
	}
}
