package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// refusal is why a connection was ended before it got to a protocol.
type refusal uint8

const (
	refusedLimit      refusal = iota // limits.max_connections
	refusedFiles                     // no descriptors left
	refusedOrigin                    // the PROXY header
	refusedHandshake                 // TLS
	refusedServerName                // the ClientHello of a TCP listener
	refusedUpstream                  // no endpoint took a connection
	refusals
)

// String returns the reason as metrics have it.
func (r refusal) String() string {
	return [...]string{"limit", "descriptors", "proxy_header", "handshake", "server_name", "upstream"}[r]
}

// serve takes a connection through what comes ahead of its protocol, each only
// where the listener asks for it: the PROXY header, then TLS, or the first bytes
// that tell protocols or servers apart.
func (k *socket) serve(nc net.Conn) {
	spec := k.spec.Load()
	peer, local := nc.RemoteAddr(), nc.LocalAddr()
	guarded := false
	if spec.ProxyProtocol {
		if guarded = !spec.trusts(peer); !guarded {
			o, err := k.readOrigin(nc, spec)
			if err != nil {
				k.refused(nc, refusedOrigin, err)
				return
			}
			if o.src.IsValid() {
				peer, local = net.TCPAddrFromAddrPort(o.src), net.TCPAddrFromAddrPort(o.dst)
			}
		}
	}
	info := exchange.NewConn(k.info.Load(), peer, local, nil, k.set.shard.Add(1))
	switch {
	case spec.Stream != nil:
		if guarded {
			nc = &guard{Conn: nc}
		}
		k.serveStream(nc, spec, info)
	case spec.TLS != nil:
		k.serveTLS(nc, spec, info)
	case !spec.H2C:
		k.http1.ServeConn(k.ctx, nc, info)
	default:
		read, isH2, err := k.sniff(nc, spec)
		switch {
		case err != nil || !isH2 && !spec.HTTP1:
			nc.Close()
		case isH2:
			k.http2.ServeConn(k.ctx, &prefixed{Conn: nc, read: read}, info)
		default:
			k.http1.ServeRead(k.ctx, nc, info, read)
		}
	}
}

// trusts reports whether peer may say who its clients are. Whoever may open a
// Unix socket may.
func (s *Spec) trusts(peer net.Addr) bool {
	t, ok := peer.(*net.TCPAddr)
	if !ok {
		return true
	}
	a := t.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(s.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// readOrigin reads the PROXY header, and not a byte more: the connection goes on
// as a plain socket.
func (k *socket) readOrigin(nc net.Conn, spec *Spec) (origin, error) {
	if !k.openings.bound(nc, spec.Timeouts.Header, handshakeGrace) {
		return origin{}, net.ErrClosed
	}
	defer k.openings.release(nc)
	buf := make([]byte, 0, 128)
	for {
		o, n, more, err := parseOrigin(buf)
		if err != nil || n > 0 {
			return o, err
		}
		buf = slices.Grow(buf, more)
		got, err := nc.Read(buf[len(buf) : len(buf)+more])
		if got == 0 {
			return origin{}, err
		}
		buf = buf[:len(buf)+got]
	}
}

// serveStream finds out which server is asked for, if that matters, and hands
// the connection on.
func (k *socket) serveStream(nc net.Conn, spec *Spec, info *exchange.Conn) {
	var read []byte
	server := ""
	if spec.Stream.ReadsServerName() {
		var err error
		if read, server, err = k.readHello(nc, spec); err != nil {
			k.refused(nc, refusedServerName, err)
			return
		}
	}
	switch err := spec.Stream.ServeConn(k.ctx, nc, read, server, info); {
	case err == nil:
	case errors.Is(err, exchange.ErrServerName):
		k.refused(nc, refusedServerName, fmt.Errorf("%w: %q", err, server))
	default:
		k.refused(nc, refusedUpstream, err)
	}
}

// readHello reads the ClientHello. What is no TLS asks for no server.
func (k *socket) readHello(nc net.Conn, spec *Spec) (read []byte, server string, err error) {
	if !k.openings.bound(nc, spec.Timeouts.Header, handshakeGrace) {
		return nil, "", net.ErrClosed
	}
	defer k.openings.release(nc)
	buf := make([]byte, 0, 2<<10)
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, len(buf))
		}
		n, err := nc.Read(buf[len(buf):cap(buf)])
		if n == 0 {
			return nil, "", err
		}
		buf = buf[:len(buf)+n]
		server, done, err := parseHello(buf)
		switch {
		case err == errNotTLS:
			return buf, "", nil
		case err != nil || done:
			return buf, server, err
		}
	}
}

// preface opens an HTTP/2 connection (RFC 9113 section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// sniff reads until the first bytes tell HTTP/2 from HTTP/1.1: commonly one
// read that the protocol then need not make.
func (k *socket) sniff(nc net.Conn, spec *Spec) (read []byte, isH2 bool, err error) {
	if !k.openings.bound(nc, spec.Timeouts.Idle, silentGrace) {
		return nil, false, net.ErrClosed
	}
	defer k.openings.release(nc)
	buf := make([]byte, 0, 2048)
	for {
		begun := len(buf) > 0
		n, err := nc.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n == 0 && err != nil {
			return nil, false, err
		}
		m := min(len(buf), len(preface))
		if string(buf[:m]) != preface[:m] {
			return buf, false, nil
		}
		if m == len(preface) {
			return buf, true, nil
		}
		// Who has begun is not idle any more.
		if !begun && !k.openings.bound(nc, spec.Timeouts.Header, handshakeGrace) {
			return nil, false, net.ErrClosed
		}
	}
}

// prefixed is a connection whose first bytes were read already.
type prefixed struct {
	net.Conn
	read []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.read) > 0 {
		n := copy(b, p.read)
		p.read = p.read[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// guard is the connection of a peer that must not say who its clients are: it
// breaks when the first bytes are a PROXY header, which a backend might believe.
// HTTP and TLS refuse one by themselves.
type guard struct {
	net.Conn
	seen []byte
	past bool
}

func (g *guard) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if g.past || n == 0 {
		return n, err
	}
	g.seen = append(g.seen, b[:min(n, len(signatureV2)-len(g.seen))]...)
	for _, s := range []string{signatureV1, signatureV2} {
		if len(g.seen) >= len(s) && string(g.seen[:len(s)]) == s {
			return 0, errOrigin
		}
	}
	g.past = len(g.seen) == len(signatureV2) || string(g.seen) != signatureV2[:len(g.seen)] && !hasPart(signatureV1, g.seen)
	return n, err
}

// CloseWrite ends the direction to the client.
func (g *guard) CloseWrite() error {
	if c, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

func hasPart(s string, p []byte) bool { return len(p) < len(s) && s[:len(p)] == string(p) }

var errOrigin = errors.New("a PROXY header of a peer that is not in trusted_proxies")

func (s Spec) withDefaults() Spec {
	if s.Timeouts.Header <= 0 {
		s.Timeouts.Header = 10 * time.Second
	}
	if s.Timeouts.Idle <= 0 {
		s.Timeouts.Idle = 75 * time.Second
	}
	return s
}
