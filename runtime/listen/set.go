package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/headgate/headgate/runtime/certs"
	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// Spec says what a listener is.
type Spec struct {
	Name string
	// Address is host:port, :port or unix:/path.
	Address string
	// HTTP1 and H2C are the protocols. With both, the first bytes of a
	// connection tell which it is.
	HTTP1, H2C bool
	Limits     http1.Limits
	Timeouts   http1.Timeouts
	// TLS is nil for a listener in the clear.
	TLS *certs.Server
	// Stream takes the connections of a TCP listener; nil: the listener speaks
	// HTTP.
	Stream Stream
}

// Stream serves connections that are not HTTP, such as those of a TCP listener.
type Stream interface {
	// ServeConn serves nc, of which read was already taken, until the connection
	// ends, and closes it. server is the name that a TLS client asked for, ""
	// without one. It ends when ctx does.
	ServeConn(ctx context.Context, nc net.Conn, read []byte, server string, info *exchange.Conn)
	// ReadsServerName reports whether server is wanted: the first bytes are then
	// read as a TLS ClientHello, and passed on as they are.
	ReadsServerName() bool
}

// Set is the sockets of a gateway. Changes are made by one goroutine at a time;
// everything else is safe for concurrent use.
type Set struct {
	handler exchange.Handler
	log     *slog.Logger

	mu      sync.Mutex
	sockets map[string]*socket // by network and address
	gone    []*socket          // dropped, with connections left

	maxConns atomic.Int64
	conns    atomic.Int64
	shard    atomic.Uint32
	running  sync.WaitGroup // accept loops and connections
}

// New makes an empty set whose exchanges go to h.
func New(h exchange.Handler, log *slog.Logger) *Set {
	return &Set{handler: h, log: log, sockets: map[string]*socket{}}
}

// SetMaxConnections bounds the open connections of all listeners; beyond it a
// connection gets 503 and is closed. 0 means no bound.
func (s *Set) SetMaxConnections(n int) { s.maxConns.Store(int64(n)) }

// Change is a set of listeners that is bound but not yet in force.
type Change struct {
	set   *Set
	specs map[string]Spec
	fresh map[string]net.Listener
}

// Prepare binds the sockets that specs need and the set does not have. Nothing
// is accepted on them, and nothing else changes, until Commit. After an error
// nothing stays bound.
func (s *Set) Prepare(specs []Spec) (*Change, error) {
	c := &Change{set: s, specs: map[string]Spec{}, fresh: map[string]net.Listener{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, spec := range specs {
		network, address := split(spec.Address)
		key := network + " " + address
		if _, twice := c.specs[key]; twice {
			c.Abort()
			return nil, fmt.Errorf("listener %q: another listener has the address %s", spec.Name, spec.Address)
		}
		c.specs[key] = spec
		if s.sockets[key] != nil {
			continue
		}
		l, err := bind(network, address)
		if err != nil {
			c.Abort()
			return nil, fmt.Errorf("listener %q: %w", spec.Name, err)
		}
		c.fresh[key] = l
	}
	return c, nil
}

func split(address string) (network, rest string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

func bind(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if err == nil || network != "unix" {
		return l, err
	}
	// A socket file that nobody listens on is left from a process that died.
	if c, dialErr := net.Dial(network, address); dialErr == nil {
		c.Close()
		return nil, err
	}
	if info, statErr := os.Lstat(address); statErr != nil || info.Mode()&os.ModeSocket == 0 {
		return nil, err
	}
	if rmErr := os.Remove(address); rmErr != nil {
		return nil, errors.Join(err, rmErr)
	}
	return net.Listen(network, address)
}

// Abort closes what Prepare bound.
func (c *Change) Abort() {
	for _, l := range c.fresh {
		l.Close()
	}
}

// Commit puts the change in force: new sockets accept, kept ones take their new
// settings for what comes next, dropped ones stop accepting and drain.
func (c *Change) Commit() {
	s := c.set
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, k := range s.sockets {
		if _, keep := c.specs[key]; !keep {
			delete(s.sockets, key)
			k.drain()
			s.gone = append(s.gone, k)
		}
	}
	for key, spec := range c.specs {
		if k := s.sockets[key]; k != nil {
			k.configure(spec)
			continue
		}
		k := newSocket(s, c.fresh[key], spec)
		s.sockets[key] = k
		s.running.Go(k.accept)
	}
	s.forget()
}

// forget lets dropped sockets go whose last connection ended.
func (s *Set) forget() {
	left := s.gone[:0]
	for _, k := range s.gone {
		if k.conns.Load() > 0 {
			left = append(left, k)
		}
	}
	clear(s.gone[len(left):])
	s.gone = left
}

// Addrs returns the bound addresses by listener name.
func (s *Set) Addrs() map[string]net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[string]net.Addr{}
	for _, k := range s.sockets {
		m[k.spec.Load().Name] = k.l.Addr()
	}
	return m
}

// Connections returns the number of open connections.
func (s *Set) Connections() int { return int(s.conns.Load()) }

// Shutdown stops accepting, lets exchanges finish until ctx ends, then cuts
// what is left. It returns when no goroutine of the set is left, and ctx's
// error if connections were cut.
func (s *Set) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	all := s.gone
	for _, k := range s.sockets {
		all = append(all, k)
	}
	s.sockets, s.gone = map[string]*socket{}, nil
	s.mu.Unlock()
	for _, k := range all {
		k.drain()
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	left := s.Connections()
	for _, k := range all {
		k.cut()
	}
	<-done
	if left == 0 {
		return nil
	}
	return fmt.Errorf("%d connections were cut: %w", left, ctx.Err())
}
