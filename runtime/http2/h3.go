package http2

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// leaveGrace is the time that a client of HTTP/3 has to close its connection
// after it was asked to and its last request is done, before we do. What it has
// not got of the last response is lost then.
const leaveGrace = 500 * time.Millisecond

// H3Server serves HTTP/3 connections (RFC 9114). It is safe for concurrent use.
type H3Server struct {
	front
	h3 *http3.Server

	mu       sync.Mutex
	open     map[*h3Conn]struct{}
	draining bool
	entering sync.WaitGroup // connections that the library does not know yet
	running  sync.WaitGroup
	ctx      context.Context // ends when connections are cut
	cancel   context.CancelFunc
}

// h3Conn is one connection.
type h3Conn struct {
	quic    *quic.Conn
	info    *exchange.Conn
	enter   func()
	running atomic.Int64
	leave   *time.Timer // set when the server drains
}

// h3Key is what a connection's context has its *h3Conn under.
type h3Key struct{}

// NewH3Server makes a server that hands exchanges to h. It has to be closed.
func NewH3Server(h exchange.Handler, lim http1.Limits, to http1.Timeouts) *H3Server {
	s := &H3Server{front: front{handler: h}, open: map[*h3Conn]struct{}{}}
	s.Configure(lim, to)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if lim.MaxHeaderBytes <= 0 {
		lim.MaxHeaderBytes = 64 << 10
	}
	s.h3 = &http3.Server{
		Handler: http.HandlerFunc(s.request), MaxHeaderBytes: lim.MaxHeaderBytes, IdleTimeout: idle(to),
		Logger: slog.New(slog.DiscardHandler), ConnContext: entered,
	}
	return s
}

// entered is called when the library has counted a connection.
func entered(ctx context.Context, _ *quic.Conn) context.Context {
	if c, ok := ctx.Value(h3Key{}).(*h3Conn); ok {
		c.enter()
	}
	return ctx
}

// H3Config returns how to speak QUIC to a client, with the settings of now.
func (s *H3Server) H3Config() *quic.Config {
	to := s.timeouts.Load()
	i := idle(*to)
	return &quic.Config{
		// The library allows for twice the time in all.
		HandshakeIdleTimeout: max(to.Header/2, time.Second),
		// A request may be silent for longer than a connection without one. What
		// asks a client for a sign of life tells it from one that is gone.
		MaxIdleTimeout: i, KeepAlivePeriod: min(i/3, 20*time.Second),
		// A stream that a client gave up counts until its handler ends, so this
		// bounds what a rapid reset can do.
		MaxIncomingStreams:             maxStreams,
		MaxIncomingUniStreams:          8, // control, QPACK, and some to grease
		InitialStreamReceiveWindow:     256 << 10,
		MaxStreamReceiveWindow:         1 << 20,
		InitialConnectionReceiveWindow: 512 << 10,
		MaxConnectionReceiveWindow:     2 << 20,
	}
}

// WithH3Conn returns the context of a QUIC connection to be, which its client is
// described by once ServeConn has it.
func WithH3Conn(ctx context.Context) context.Context {
	return context.WithValue(ctx, h3Key{}, &h3Conn{})
}

// ServeConn serves q, whose context WithH3Conn made, until it ends and all its
// requests are done.
func (s *H3Server) ServeConn(q *quic.Conn, info *exchange.Conn) {
	c, ok := q.Context().Value(h3Key{}).(*h3Conn)
	s.mu.Lock()
	if !ok || s.draining {
		s.mu.Unlock()
		_ = q.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
		return
	}
	s.entering.Add(1)
	s.running.Add(1)
	c.quic, c.info, c.enter = q, info, sync.OnceFunc(s.entering.Done)
	s.open[c] = struct{}{}
	s.mu.Unlock()
	defer func() {
		c.enter()
		s.mu.Lock()
		delete(s.open, c)
		if c.leave != nil {
			c.leave.Stop()
		}
		s.mu.Unlock()
		s.running.Done()
	}()
	_ = s.h3.ServeQUICConn(q) // an error is the client's, and it was told
	_ = q.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// request is the library's handler.
func (s *H3Server) request(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(h3Key{}).(*h3Conn)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	c.running.Add(1)
	defer func() {
		if c.running.Add(-1) == 0 {
			s.mu.Lock()
			s.mayLeave(c)
			s.mu.Unlock()
		}
	}()
	s.serve(c.info, w, r)
}

// mayLeave ends a connection in a while that was asked to leave. mu is held.
func (s *H3Server) mayLeave(c *h3Conn) {
	if !s.draining {
		return
	}
	if c.leave != nil {
		c.leave.Reset(leaveGrace)
		return
	}
	c.leave = time.AfterFunc(leaveGrace, func() {
		if c.running.Load() == 0 {
			_ = c.quic.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
		}
	})
}

// Drain asks every client to leave (GOAWAY) and lets requests finish.
func (s *H3Server) Drain() {
	s.mu.Lock()
	was := s.draining
	s.draining = true
	s.mu.Unlock()
	if was {
		return
	}
	s.entering.Wait() // the library can't be told to stop while it takes one in
	s.running.Go(func() { _ = s.h3.Shutdown(s.ctx) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		s.mayLeave(c)
	}
}

// Wait returns when the last connection of a server that drains has ended.
func (s *H3Server) Wait() { s.running.Wait() }

// Close cuts every connection.
func (s *H3Server) Close() {
	s.cancel()
	s.Drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.quic.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
	}
}

// cancelled resets a stream with a code, which can be done only as long as there
// is nothing of a body.
func cancelled(w http.ResponseWriter, code exchange.ResetCode) bool {
	h, ok := w.(http3.HTTPStreamer)
	if !ok {
		return false
	}
	str, err := h.HTTPStream()
	if err != nil {
		return false
	}
	c := quic.StreamErrorCode(http3.ErrCodeInternalError)
	switch code {
	case exchange.ResetCancel:
		c = quic.StreamErrorCode(http3.ErrCodeRequestCanceled)
	case exchange.ResetRefused:
		c = quic.StreamErrorCode(http3.ErrCodeRequestRejected)
	}
	str.CancelRead(c)
	str.CancelWrite(c)
	return true
}

// peek waits for the first bytes of a request that most likely has no body: the
// library does not tell whether one follows, and a body that is none would make
// the request chunked for the upstream.
func (t *stream) peek() error {
	if t.buf == nil {
		t.buf = make([]byte, bufferSize)
	}
	d := t.timeouts.Header
	if d <= 0 {
		d = 10 * time.Second
	}
	_ = t.control.SetReadDeadline(time.Now().Add(d))
	for {
		n, err := t.r.Body.Read(t.buf)
		switch {
		case n > 0:
			t.ahead, t.aheadErr = n, err
			return nil
		case errors.Is(err, io.EOF):
			t.x.Request.Length = 0
			t.trailer()
			return nil
		case err != nil:
			return err
		}
	}
}

// bodiless reports whether requests of a method commonly have no body.
func bodiless(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "DELETE", "TRACE":
		return true
	}
	return false
}
