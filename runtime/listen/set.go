package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
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
	// Address is host:port, :port, unix:/path, or fd:NAME for a socket of
	// systemd's.
	Address string
	// HTTP1 and H2C are the protocols. With both, ALPN or, in the clear, the
	// first bytes of a connection tell which it is.
	HTTP1, H2C bool
	// HTTP3 is spoken on UDP at the same port; it needs TLS.
	HTTP3 bool
	// ProxyProtocol expects a PROXY header from TrustedProxies, and from nobody
	// else.
	ProxyProtocol  bool
	TrustedProxies []netip.Prefix
	Limits         http1.Limits
	Timeouts       http1.Timeouts
	// TLS is nil for a listener in the clear.
	TLS *certs.Server
	// ForwardClientCert tells backends of the client's certificate.
	ForwardClientCert bool
	// GRPCWeb translates requests of gRPC-Web.
	GRPCWeb bool
	// Stream takes the connections of a TCP listener; nil: the listener speaks
	// HTTP.
	Stream Stream
}

// key is what a listener keeps its socket by: the address, and the name with it
// where the address is any free port.
func (s *Spec) key() string {
	if strings.HasSuffix(s.Address, ":0") {
		return s.Address + " " + s.Name
	}
	return s.Address
}

// Stream serves connections that are not HTTP, such as those of a TCP listener.
type Stream interface {
	// ServeConn serves nc, of which read was already taken, until the connection
	// ends, and closes it. server is the name that a TLS client asked for, ""
	// without one. It ends when ctx does. An error, exchange.ErrServerName among
	// others, says why nc was not served; it is then left to be closed.
	ServeConn(ctx context.Context, nc net.Conn, read []byte, server string, info *exchange.Conn) error
	// ReadsServerName reports whether server is wanted: the first bytes are then
	// read as a TLS ClientHello, and passed on as they are.
	ReadsServerName() bool
}

// Set is the sockets of a gateway. Changes are made by one goroutine at a time;
// everything else is safe for concurrent use.
type Set struct {
	handler exchange.Handler
	log     *slog.Logger
	source  *Sockets

	mu      sync.Mutex
	sockets map[string]*socket // by key
	gone    []*socket          // dropped, with connections left

	maxConns atomic.Int64
	conns    atomic.Int64
	shard    atomic.Uint32
	shedding atomic.Int64   // refused connections that still read their answer
	running  sync.WaitGroup // accept loops and connections
	reserve  reserve
}

// New makes an empty set whose exchanges go to h, with sockets from source; nil
// is one that was handed nothing.
func New(h exchange.Handler, source *Sockets, log *slog.Logger) *Set {
	if source == nil {
		source = &Sockets{}
	}
	return &Set{handler: h, log: log, source: source, sockets: map[string]*socket{}}
}

// SetMaxConnections bounds the open connections of all listeners; beyond it a
// connection gets 503 and is closed. 0 means no bound.
func (s *Set) SetMaxConnections(n int) { s.maxConns.Store(int64(n)) }

// Change is a set of listeners that is bound but not yet in force.
type Change struct {
	set   *Set
	specs map[string]Spec
	fresh map[string]net.Listener
	udp   map[string]*net.UDPConn
}

// Prepare binds the sockets that specs need and the set does not have. Nothing
// is accepted on them, and nothing else changes, until Commit. After an error
// nothing stays bound.
func (s *Set) Prepare(specs []Spec) (*Change, error) {
	c := &Change{set: s, specs: map[string]Spec{}, fresh: map[string]net.Listener{}, udp: map[string]*net.UDPConn{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, spec := range specs {
		key := spec.key()
		if _, twice := c.specs[key]; twice {
			c.Abort()
			return nil, fmt.Errorf("listener %q: another listener has the address %s", spec.Name, spec.Address)
		}
		c.specs[key] = spec
		if err := c.bind(key, &spec); err != nil {
			c.Abort()
			return nil, fmt.Errorf("listener %q: %w", spec.Name, err)
		}
	}
	return c, nil
}

// bind binds what spec needs and the set does not have.
func (c *Change) bind(key string, spec *Spec) error {
	if spec.HTTP3 && spec.TLS == nil {
		return errNoTLS
	}
	s := c.set
	k := s.sockets[key]
	if k != nil && (!spec.HTTP3 || k.quic != nil) {
		return nil
	}
	if k != nil {
		u, err := s.source.ListenUDP(key, k.l.Addr())
		if err == nil {
			c.udp[key] = u
		}
		return err
	}
	for tries := anyPortTries; ; tries-- {
		l, err := s.source.Listen(key, spec.Address)
		if err != nil {
			return err
		}
		if !spec.HTTP3 {
			c.fresh[key] = l
			return nil
		}
		u, err := s.source.ListenUDP(key, l.Addr())
		if err == nil {
			c.fresh[key], c.udp[key] = l, u
			return nil
		}
		l.Close()
		if !strings.HasSuffix(spec.Address, ":0") || tries == 0 {
			return err
		}
	}
}

// anyPortTries is how often a port that is free for TCP may turn out to be taken
// for UDP.
const anyPortTries = 16

// Abort closes what Prepare bound.
func (c *Change) Abort() {
	for _, l := range c.fresh {
		l.Close()
	}
	for _, u := range c.udp {
		u.Close()
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
			k.speakQUIC(c.udp[key], spec)
			k.configure(spec)
			continue
		}
		l := c.fresh[key]
		if u, ok := l.(*net.UnixListener); ok && strings.HasPrefix(key, "unix:") {
			u.SetUnlinkOnClose(true) // ours from now on, even if it was handed over
		}
		k := newSocket(s, l, c.udp[key], spec)
		s.sockets[key] = k
		s.reserve.hold()
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

// Stats is what happened at one listener.
type Stats struct {
	Listener string
	// Open is the connections of now, Accepted those since the socket is bound.
	Open, Accepted int64
	// Refused are those that got to no protocol, by reason.
	Refused map[string]int64
}

// Stats returns the counts of the listeners.
func (s *Set) Stats() []Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Stats
	for _, k := range s.sockets {
		st := Stats{Listener: k.spec.Load().Name, Open: k.conns.Load(), Accepted: k.counts.accepted.Load(), Refused: map[string]int64{}}
		for r := range refusals {
			st.Refused[r.String()] = k.counts.refused[r].Load()
		}
		list = append(list, st)
	}
	return list
}

// Files returns copies of all sockets by key, for another process to take over,
// systemd's included under fd:NAME#N. The caller closes them.
func (s *Set) Files() (map[string]*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, err := s.source.files()
	add := func(k *socket, key string, l any) {
		f, ok := l.(interface{ File() (*os.File, error) })
		if !ok {
			return
		}
		file, e := f.File()
		if e != nil {
			err = errors.Join(err, fmt.Errorf("listener %q: %w", k.spec.Load().Name, e))
			return
		}
		files[key] = file
	}
	for key, k := range s.sockets {
		if k.quic != nil {
			add(k, udpKey+key, k.quic.conn)
		}
		if !strings.HasPrefix(key, named) { // systemd's, which source has
			add(k, key, k.l)
		}
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return nil, err
	}
	return files, nil
}

// KeepFiles leaves the files of Unix sockets in place when these are closed:
// another process has taken the sockets over. What comes through UDP ends now:
// two processes can't share a socket without connections.
func (s *Set) KeepFiles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.sockets {
		if u, ok := k.l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		if k.quic != nil {
			k.quic.leave()
		}
	}
}

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
		s.reserve.free()
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
