package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http2"
)

// maxOpening is how many handshakes may run before those who begin more have to
// prove their address first, which costs them a round trip (RFC 9000 section
// 8.1.2).
const maxOpening = 64

// quicSide is the UDP side of a socket, which HTTP/3 comes through.
type quicSide struct {
	k         *socket
	conn      *net.UDPConn
	transport *quic.Transport
	listener  *quic.Listener
	h3        *http2.H3Server
	opening   atomic.Int64 // handshakes
	ended     atomic.Bool
}

// openedKey is what the context of a QUIC connection has the func() under that
// says that its handshake is done.
type openedKey struct{}

// startQUIC serves HTTP/3 on conn, which then is its own.
func startQUIC(k *socket, conn *net.UDPConn, spec *Spec) (*quicSide, error) {
	q := &quicSide{k: k, conn: conn, h3: http2.NewH3Server(k.set.handler, spec.Limits, spec.Timeouts)}
	q.transport = &quic.Transport{
		Conn: conn, ConnContext: q.admit,
		VerifySourceAddress: func(net.Addr) bool { return q.opening.Load() >= maxOpening },
	}
	l, err := q.transport.Listen(
		&tls.Config{NextProtos: []string{http3.NextProtoH3}, MinVersion: tls.VersionTLS13, GetConfigForClient: q.tlsConfig},
		&quic.Config{GetConfigForClient: func(*quic.ClientInfo) (*quic.Config, error) { return q.h3.H3Config(), nil }},
	)
	if err != nil {
		q.h3.Close()
		_ = q.transport.Close()
		conn.Close()
		return nil, err
	}
	q.listener = l
	k.set.running.Go(q.run)
	return q, nil
}

var errNoTLS = errors.New("HTTP/3 needs TLS")

// tlsConfig is what a handshake runs with that begins now.
func (q *quicSide) tlsConfig(*tls.ClientHelloInfo) (*tls.Config, error) {
	server := q.k.spec.Load().TLS
	if server == nil {
		return nil, errNoTLS
	}
	return http3.ConfigureTLSConfig(server.Config()), nil
}

var errBusy = errors.New("there are too many connections")

// admit counts a connection whose handshake begins, or refuses it.
func (q *quicSide) admit(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	k, s := q.k, q.k.set
	k.counts.accepted.Add(1)
	n := s.conns.Add(1)
	if limit := s.maxConns.Load(); limit > 0 && n > limit {
		s.conns.Add(-1)
		k.counts.refused[refusedLimit].Add(1)
		return nil, errBusy
	}
	k.conns.Add(1)
	q.opening.Add(1)
	var done atomic.Bool
	opened := sync.OnceFunc(func() { q.opening.Add(-1) })
	context.AfterFunc(ctx, func() {
		s.conns.Add(-1)
		k.conns.Add(-1)
		opened()
		if !done.Load() {
			k.counts.refused[refusedHandshake].Add(1)
		}
	})
	return context.WithValue(http2.WithH3Conn(ctx), openedKey{}, func() {
		done.Store(true)
		opened()
	}), nil
}

// run accepts until the listener is closed, and ends with the last connection.
func (q *quicSide) run() {
	for {
		c, err := q.listener.Accept(context.Background())
		if err != nil {
			break
		}
		q.k.set.running.Go(func() { q.serve(c) })
	}
	q.h3.Drain()
	q.h3.Wait()
	q.h3.Close()
	q.free()
	q.ended.Store(true)
}

func (q *quicSide) serve(c *quic.Conn) {
	if opened, ok := c.Context().Value(openedKey{}).(func()); ok {
		opened()
	}
	state := c.ConnectionState().TLS
	info := exchange.NewConn(q.k.info.Load(), tcpAddr(c.RemoteAddr()), tcpAddr(c.LocalAddr()), &state, q.k.set.shard.Add(1))
	if server := q.k.spec.Load().TLS; server != nil {
		info.Covers = func(host string) bool { return server.Covers(state.ServerName, host) }
	}
	q.h3.ServeConn(c, info)
}

// tcpAddr returns a as the engine knows addresses: an IP and a port.
func tcpAddr(a net.Addr) net.Addr {
	if u, ok := a.(*net.UDPAddr); ok {
		return net.TCPAddrFromAddrPort(u.AddrPort())
	}
	return a
}

// drain takes in nobody and asks every client to leave.
func (q *quicSide) drain() {
	q.h3.Drain()
	_ = q.listener.Close()
}

// cut ends everything, telling the clients.
func (q *quicSide) cut() {
	q.h3.Close()
	_ = q.listener.Close()
}

// leave ends everything at once, so that another process has the socket alone:
// two that read from it would each get half of the packets.
func (q *quicSide) leave() {
	q.cut()
	q.free()
}

func (q *quicSide) free() {
	_ = q.transport.Close()
	q.conn.Close()
}

// altSvc tells clients of TCP that HTTP/3 is spoken at the same port (RFC 7838,
// RFC 9114 section 3.1.1).
func (q *quicSide) altSvc() string {
	a, ok := q.conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return ""
	}
	return `h3=":` + strconv.Itoa(a.Port) + `"; ma=86400`
}

// udpKey begins the keys of UDP sockets among Set.Files; the key of the TCP
// socket with the same port follows.
const udpKey = "udp:"

// ListenUDP returns the UDP socket that was handed over for the listener key, or
// binds the port of tcp, the address of its TCP socket.
func (s *Sockets) ListenUDP(key string, tcp net.Addr) (*net.UDPConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.handedUDP[key]; c != nil {
		delete(s.handedUDP, key)
		return c, nil
	}
	a, ok := tcp.(*net.TCPAddr)
	if !ok {
		return nil, errors.New("HTTP/3 needs a port, and " + tcp.String() + " has none")
	}
	return net.ListenUDP("udp", &net.UDPAddr{IP: a.IP, Port: a.Port, Zone: a.Zone})
}

// handUDP adds the UDP socket f of the process before us. mu is held.
func (s *Sockets) handUDP(key string, f *os.File) error {
	c, err := net.FilePacketConn(f)
	if err != nil {
		return err
	}
	u, ok := c.(*net.UDPConn)
	if !ok {
		c.Close()
		return errors.New("it is not a UDP socket")
	}
	if s.handedUDP == nil {
		s.handedUDP = map[string]*net.UDPConn{}
	}
	s.handedUDP[key] = u
	return nil
}
