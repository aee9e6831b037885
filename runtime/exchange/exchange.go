package exchange

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// Conn is what is known about a client's connection. It is shared by the
// connection's exchanges and immutable.
type Conn struct {
	Listener *ListenerInfo
	// Peer and Local are the two ends; invalid for a Unix socket.
	Peer, Local netip.AddrPort
	// PeerIP and LocalPort are their texts, made once; "" for a Unix socket.
	PeerIP, LocalPort string
	// TLS is nil for a connection in the clear.
	TLS *tls.ConnectionState
	// Covers reports whether the certificate that the client was shown is the
	// one that host, as in Exchange.Host, would have got; nil: any host is fine.
	Covers func(host string) bool
	// Shard spreads counters that every request touches.
	Shard uint32

	clientOnce sync.Once
	client     *ClientCert
}

// NewConn describes a connection between peer and local.
func NewConn(l *ListenerInfo, peer, local net.Addr, state *tls.ConnectionState, shard uint32) *Conn {
	c := &Conn{Listener: l, TLS: state, Shard: shard}
	if c.Peer = addrPort(peer); c.Peer.IsValid() {
		c.PeerIP = c.Peer.Addr().String()
	}
	if c.Local = addrPort(local); c.Local.IsValid() {
		c.LocalPort = strconv.Itoa(int(c.Local.Port()))
	}
	return c
}

// addrPort returns the address without an IPv4-in-IPv6 wrapping or a zone.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// ListenerInfo is what exchanges know of the listener they came through.
type ListenerInfo struct {
	Name string
	// StreamIdle ends an exchange in which no byte moves for this long; 0: the
	// default of five minutes.
	StreamIdle time.Duration
	// AltSvc is the value of the alt-svc header of every response; "" for none
	// (RFC 7838).
	AltSvc string
	// ForwardClientCert sends x-forwarded-client-cert to upstreams.
	ForwardClientCert bool
	// GRPCWeb translates requests of gRPC-Web.
	GRPCWeb bool
}

// Idle returns StreamIdle or its default.
func (l *ListenerInfo) Idle() time.Duration {
	if l.StreamIdle > 0 {
		return l.StreamIdle
	}
	return 5 * time.Minute
}

// Proto is the protocol version of a request.
type Proto uint8

// The versions.
const (
	HTTP10 Proto = iota
	HTTP11
	HTTP2
	HTTP3
)

// String returns the version as in "HTTP/1.1".
func (p Proto) String() string {
	return [...]string{"HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3"}[p]
}

// Request is the request side of an exchange.
type Request struct {
	Message
	Proto  Proto
	Method string // as sent; methods are case-sensitive
	Scheme string // "http" or "https"
	// Authority is the host as sent, with its port.
	Authority string
	// Target is the path and query as sent. Path is the path of it; the engine
	// normalises it before anything looks at it. RawQuery has no "?".
	Target, Path, RawQuery string
	// Upgrade is the protocol that an HTTP/1.1 client offers to switch to, ""
	// for none.
	Upgrade string
}

// Response is the response side of an exchange.
type Response struct {
	Message
	Status int
	// Upgrade is the protocol of a 101 answer.
	Upgrade string
	// Close is set if the sender ends its connection after the message.
	Close bool
}

// Param is a variable of the route's path template, decoded.
type Param struct{ Name, Value string }

// Auth is what the filters established about the caller.
type Auth struct {
	Subject, Consumer string
	Claims            map[string]any
}

// Exchange is one request and its response. Strings and bytes reachable from
// it may alias its buffers: they are valid until it ends. It is used by one
// goroutine at a time.
type Exchange struct {
	Request  Request
	Response Response

	Conn  *Conn
	Front Front
	Start time.Time
	// Now is a recent reading of the clock, for what need not be exact: reading
	// it costs as much as parsing a header field. Whoever waited sets it again.
	Now time.Time

	// ID is the request id; RemoteIP the address of the client behind trusted
	// proxies; Host the authority in lower case without port and trailing dot.
	ID       string
	RemoteIP netip.Addr
	Host     string

	// Route is the name of the route that won; Params are its path variables.
	Route  string
	Params []Param
	Auth   Auth
	// Metadata is what policies and plugins publish for later filters and the
	// log, by filter name. Nil until used.
	Metadata map[string]any

	// Upstream is the one of the route's that a filter chose; "" leaves it to the
	// route.
	Upstream string
	// Fields are what filters add to the access log.
	Fields []Param
	// Properties are what Wasm filters tell each other; nil until one may.
	Properties *Properties
	// Attached says that a filter is part of the response's body: it is told that
	// the exchange is over only when that was sent.
	Attached bool

	// Failure says why the exchange failed; never shown to the client.
	Failure error

	Arena Arena

	// Memory is the ceiling that read-ahead bodies of all exchanges share; nil
	// for none.
	Memory  *Budget
	held    int64
	starved bool // of memory; until Forget

	ctx    context.Context
	states []any
	step   int
}

// Begin makes x, which is new or was Reset, ready for a request.
func (x *Exchange) Begin(ctx context.Context, conn *Conn, front Front) {
	x.Conn, x.Front, x.ctx = conn, front, ctx
}

// Reset forgets the last request and makes x ready for another.
func (x *Exchange) Reset(ctx context.Context, conn *Conn, front Front) {
	x.Request.Message.reset()
	x.Response.Message.reset()
	r := &x.Request
	r.Proto, r.Method, r.Scheme, r.Authority, r.Target, r.Path, r.RawQuery, r.Upgrade = 0, "", "", "", "", "", "", ""
	x.Response.Status, x.Response.Upgrade, x.Response.Close = 0, "", false
	x.Begin(ctx, conn, front)
	x.Start, x.Now = time.Time{}, time.Time{}
	x.ID, x.RemoteIP, x.Host, x.Route = "", netip.Addr{}, "", ""
	clear(x.Params)
	x.Params = x.Params[:0]
	x.Auth, x.Metadata, x.Failure = Auth{}, nil, nil
	x.Upstream, x.Fields = "", nil
	x.Properties, x.Attached = nil, false
	clear(x.states)
	x.states, x.step = x.states[:0], 0
	x.Arena.reset()
	x.Forget()
	x.Memory = nil
}

// Context is the base for calls that filters make. It carries no deadline of
// its own and ends when the process gives the exchange up.
func (x *Exchange) Context() context.Context { return x.ctx }

// Enter makes step the filter whose State is meant, of n in the chain. The
// engine calls it before each filter.
func (x *Exchange) Enter(step, n int) {
	for len(x.states) < n {
		x.states = append(x.states, nil)
	}
	x.step = step
}

// State returns what the current filter kept for this exchange.
func (x *Exchange) State() any { return x.states[x.step] }

// SetState keeps v for the current filter until the exchange ends.
func (x *Exchange) SetState(v any) { x.states[x.step] = v }

// Fail records why the current filter failed.
func (x *Exchange) Fail(err error) Verdict {
	x.Failure = err
	return Fail
}

// Reply makes an answer of this exchange's own: status, a content type ("" for
// none) and a body, which the exchange then owns.
func (x *Exchange) Reply(status int, contentType string, body []byte) Verdict {
	x.Response.Message.reset()
	x.Response.Upgrade, x.Response.Close = "", false
	x.Response.Status = status
	if contentType != "" {
		x.Response.Head.Add("content-type", contentType)
	}
	x.Response.SetBytes(body)
	return Reply
}

// Param returns the value of a path variable.
func (x *Exchange) Param(name string) (string, bool) {
	for i := range x.Params {
		if x.Params[i].Name == name {
			return x.Params[i].Value, true
		}
	}
	return "", false
}

// Handler serves exchanges. Serve returns when the response was written or the
// exchange was reset; the front end then reuses or drops the Exchange.
type Handler interface{ Serve(*Exchange) }

// ResetCode says why an exchange is cut short; HTTP/2 and HTTP/3 put it on the
// wire, HTTP/1.1 closes the connection.
type ResetCode uint8

// The codes.
const (
	ResetInternal ResetCode = iota
	ResetCancel
	ResetRefused
)

// Front is the client's side of one exchange. A response is WriteHead, then any
// number of Write, then End; or Reset at any point. The request body is
// Exchange.Request.Body.
type Front interface {
	// Inform sends an interim (1xx) response.
	Inform(status int, h *Head) error
	// WriteHead takes Exchange.Response: status, head, Length, and whether it
	// has a Body. It may keep the bytes back until the first Write, Flush or End.
	// Hop-by-hop fields, Content-Length and Transfer-Encoding of the head are
	// ignored; the front end frames the message itself.
	WriteHead() error
	// Write sends body bytes at once; last tells that nothing follows, no
	// trailers either. The bytes may be reused after it returns.
	Write(p []byte, last bool) error
	// Flush sends what WriteHead kept back.
	Flush() error
	// End completes the response. trailer may be nil. After a Write with last it
	// does nothing.
	End(trailer *Head) error
	// Reset gives the exchange up: the client sees that the response is not
	// complete.
	Reset(ResetCode)
	// StopBody makes a waiting Next of the request body, and every later one,
	// return an error at once. It is safe to call from another goroutine than
	// the one in Next; the connection serves no further exchange if the body was
	// not read to its end.
	StopBody()
	// Gone reports whether the client has left. It does not wait, and costs a
	// system call.
	Gone() bool
	// Tunnel ends HTTP after a 101 response: it sends the head and returns the
	// connection and the bytes of it already read. The caller closes the
	// connection. ok is false if the protocol has no tunnels.
	Tunnel() (conn net.Conn, read []byte, ok bool)
}
