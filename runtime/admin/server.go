package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Source is what the API tells about and acts on.
type Source interface {
	// Ready returns nil if traffic may come, else why not.
	Ready() error
	Status() Status
	// Reload loads the configuration again; its error is meant for the user.
	Reload(context.Context) error
	// What is in force, as JSON would have it, without secrets.
	Config() any
	Routes() any
	Upstreams() any
	// Drain takes an endpoint out, or lets it back in. Its error, meant for the
	// user, is that there is none such.
	Drain(upstream, address string, on bool) error
	Plugins() any
	Policies() any
	// Explain tells where the request goes that question, as JSON, describes. Its
	// error is meant for the user.
	Explain(ctx context.Context, question []byte) (any, error)
}

// Status is the state of the configuration.
type Status struct {
	// State is "starting", "ok", or "refused" if the last configuration was not
	// taken and the one before it goes on.
	State string `json:"state"`
	// Generation counts the configurations taken since the start.
	Generation int       `json:"generation"`
	LoadedAt   time.Time `json:"loaded_at,omitzero"`
	// LastAttempt is when a load was last tried, LastError why it was refused.
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
}

// Options configure a Server.
type Options struct {
	Address string // host:port
	// Token, if not empty, is demanded as bearer token from every request but
	// probes. Required for an address that is not loopback.
	Token string
	// Listen makes the socket for an address; nil: net.Listen.
	Listen   func(address string) (net.Listener, error)
	Gatherer prometheus.Gatherer
	Source   Source
	Log      *slog.Logger
}

// Server is the admin API on one address.
type Server struct {
	opts    Options
	token   atomic.Pointer[digest] // nil: none
	own     string                 // the host of the address if it is a name or one address, else ""
	ln      net.Listener
	http    *http.Server
	serving chan struct{} // closed when Serve has returned
	loading atomic.Int32  // reloads that this server's own handlers wait for
}

// Timeouts of the API. A reload may compile plugins; all else is quick.
const (
	headTimeout   = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	reloadTimeout = 5 * time.Minute
	idleTimeout   = time.Minute
	closeTimeout  = time.Second
	maxHead       = 32 << 10
)

// New makes a server that does nothing until Start.
func New(o Options) *Server {
	s := &Server{opts: o, serving: make(chan struct{})}
	if o.Log == nil {
		s.opts.Log = slog.New(slog.DiscardHandler)
	}
	s.SetToken(o.Token)
	host, _, _ := net.SplitHostPort(o.Address)
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsUnspecified() {
		s.own = host
	}
	s.http = &http.Server{
		Handler:           s.guard(s.routes()),
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// Start binds the address and serves until Close.
func (s *Server) Start() error {
	if s.opts.Token == "" && !Loopback(s.opts.Address) {
		return fmt.Errorf("admin address %q is not loopback and needs a token", s.opts.Address)
	}
	bind := s.opts.Listen
	if bind == nil {
		bind = func(address string) (net.Listener, error) { return net.Listen("tcp", address) }
	}
	ln, err := bind(s.opts.Address)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	s.ln = ln
	go func() {
		defer close(s.serving)
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.opts.Log.Error("the admin API stopped", "error", err.Error())
		}
	}()
	return nil
}

// Addr returns the bound address of a started server.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// File returns a copy of a started server's socket, for another process.
func (s *Server) File() (*os.File, error) {
	f, ok := s.ln.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, errors.New("the socket of the admin API can't be handed over")
	}
	return f.File()
}

// Address returns the address as configured.
func (s *Server) Address() string { return s.opts.Address }

// Serves reports whether s, started, is at the address of o already, so that
// SetToken is all it takes to follow o.
func (s *Server) Serves(o Options) bool { return s.opts.Address == o.Address }

// SetToken replaces the token.
func (s *Server) SetToken(token string) {
	if token == "" {
		s.token.Store(nil)
		return
	}
	d := sum(token)
	s.token.Store(&d)
}

// Close ends a started server. Requests in flight get a moment to end. If one
// of them is the reload that replaces this server, it is finished after Close
// has returned.
func (s *Server) Close() {
	_ = s.ln.Close()
	end := func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			_ = s.http.Close()
		}
	}
	if s.loading.Load() > 0 {
		go end()
		return
	}
	end()
	<-s.serving
}

// Loopback reports whether address, host:port, can only be reached from this
// machine.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return loopbackName(host)
}
