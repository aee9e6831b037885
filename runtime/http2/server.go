package http2

//lint:file-ignore SA1019 net/http serves no single connection that somebody else accepted

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
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
	h2   *http2.Server
	base *http.Server // carries limits, and the drain to the library

	draining atomic.Bool

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// NewServer makes a server that hands exchanges to h.
func NewServer(h exchange.Handler, lim http1.Limits, to http1.Timeouts) *Server {
	s := &Server{front: front{handler: h}, open: map[net.Conn]struct{}{}}
	s.Configure(lim, to)
	s.h2 = &http2.Server{
		MaxConcurrentStreams: maxStreams, IdleTimeout: idle(to), MaxReadFrameSize: 16 << 10,
		MaxUploadBufferPerStream: uploadWindow, MaxUploadBufferPerConnection: uploadWindows, WriteByteTimeout: streamIdle(to),
	}
	s.base = &http.Server{MaxHeaderBytes: lim.MaxHeaderBytes, ErrorLog: log.New(io.Discard, "", 0)}
	if s.base.MaxHeaderBytes <= 0 {
		s.base.MaxHeaderBytes = 64 << 10
	}
	if err := http2.ConfigureServer(s.base, s.h2); err != nil {
		// It refuses only TLS settings, and there are none.
		panic(err)
	}
	return s
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
	s.mu.Lock()
	s.open[nc] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, nc)
		s.mu.Unlock()
		nc.Close()
	}()
	if s.draining.Load() {
		defer time.AfterFunc(lateGrace, s.tell).Stop()
	}
	s.h2.ServeConn(newMeter(nc, s.timeouts.Load()), &http2.ServeConnOpts{
		Context: ctx, BaseConfig: s.base,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.draining.Load() {
				w.Header().Set("Connection", "close") // the library sends GOAWAY in its place
			}
			s.serve(info, w, r)
		}),
	})
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
	_ = s.base.Shutdown(ended) // tells the library; there is nothing to wait for
}

// Close cuts every connection.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.open {
		nc.Close()
	}
}
