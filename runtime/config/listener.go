package config

import (
	"crypto/tls"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Listener is a listener block.
type Listener struct {
	Name    string
	Address string
	// HTTP1, H2C and HTTP3 are the protocols.
	HTTP1, H2C, HTTP3 bool
	ProxyProtocol     bool
	GRPCWeb           bool
	Timeouts          ListenerTimeouts
	TLS               *ListenerTLS // nil: in the clear
	TCP               *TCP         // nil: the listener speaks HTTP

	Range, AddressRange hcl.Range
	proxyRange          hcl.Range
	http3Range          hcl.Range
}

// ListenerTimeouts bound how long a client may take.
type ListenerTimeouts struct{ Header, Idle, StreamIdle time.Duration }

func (l *loader) decodeListener(b block) {
	s := l.read(b, listenerSchema)
	n := &Listener{
		Name: b.id, Range: b.DefRange, AddressRange: s.rangeOf("address"),
		HTTP1: true, H2C: true,
		Timeouts: ListenerTimeouts{Header: 10 * time.Second, Idle: 75 * time.Second, StreamIdle: 5 * time.Minute},
	}
	if s.require("address", `":8080"`) && s.text("address", &n.Address, ":8080") {
		s.listenAddress(n.Address)
	}
	s.shown("address")
	s.protocols(n)
	s.flag("proxy_protocol", &n.ProxyProtocol)
	n.proxyRange = s.rangeOf("proxy_protocol")
	s.flag("grpc_web", &n.GRPCWeb)
	if t, ok := s.one("tls"); ok {
		n.TLS = l.decodeListenerTLS(t)
	}
	if t, ok := s.one("tcp"); ok {
		n.TCP = l.decodeTCP(t, s)
	}
	if t, ok := s.one("timeouts"); ok {
		ts := l.read(t, listenerTimeoutsSchema)
		ts.duration("header", &n.Timeouts.Header)
		ts.duration("idle", &n.Timeouts.Idle)
		ts.duration("stream_idle", &n.Timeouts.StreamIdle)
		for name, d := range map[string]time.Duration{"header": n.Timeouts.Header, "idle": n.Timeouts.Idle, "stream_idle": n.Timeouts.StreamIdle} {
			if d == 0 {
				l.diags.errorf(ts.rangeOf(name), "Invalid duration", "timeouts.%s can't be 0: without it a client could hold a connection for ever.", name)
			}
		}
	}
	l.checkHTTP3(n)
	l.cfg.Listeners = append(l.cfg.Listeners, n)
}

func (s *section) listenAddress(address string) {
	switch {
	case strings.HasPrefix(address, "fd:"):
		if name := address[len("fd:"):]; name == "" || len(name) > 255 || strings.ContainsAny(name, ": \t\r\n") {
			s.l.diags.errorf(s.rangeOf("address"), "Invalid address", "listener.address %q is not the name of a socket of systemd's, which FileDescriptorName gives. Write for example: \"fd:http\"", address)
		}
	case strings.HasPrefix(address, "unix:"):
		if _, ok := unixPath(address); !ok {
			s.l.diags.errorf(s.rangeOf("address"), "Invalid address", "listener.address %q is not a Unix socket. Write for example: \"unix:/run/headgate.sock\"", address)
		}
	default:
		s.hostPort("address", address)
	}
}

func (s *section) protocols(n *Listener) {
	var list []string
	if !s.list("protocols", &list, `["http/1.1", "h2"]`) {
		return
	}
	n.HTTP1, n.H2C = slices.Contains(list, "http/1.1"), slices.Contains(list, "h2")
	for i, p := range list {
		switch p {
		case "http/1.1", "h2":
		case "h3":
			n.HTTP3, n.http3Range = true, s.itemRange("protocols", i)
		default:
			s.l.diags.errorf(s.itemRange("protocols", i), "Unknown value", "listener.protocols has %q, %q and %q, not %q.%s", "http/1.1", "h2", "h3", p, suggest(p, []string{"http/1.1", "h2", "h3"}))
		}
	}
	if len(list) == 0 {
		s.l.diags.errorf(s.rangeOf("protocols"), "No protocol", "A listener speaks at least one protocol. Write for example: protocols = [\"http/1.1\"]")
	}
}

// checkHTTP3 reports what HTTP/3 can't be spoken with.
func (l *loader) checkHTTP3(n *Listener) {
	if !n.HTTP3 {
		return
	}
	if n.TLS == nil && n.TCP == nil {
		l.diags.errorf(n.http3Range, "No TLS", "HTTP/3 is always encrypted. Write for example: tls { certificates = [certificate.site] }")
	}
	if n.TLS != nil && n.TLS.MaxVersion < tls.VersionTLS13 {
		l.diags.errorf(n.http3Range, "No TLS 1.3", "HTTP/3 needs TLS 1.3, which tls.max_version leaves out.")
	}
	if !n.HTTP1 && !n.H2C {
		l.diags.errorf(n.http3Range, "HTTP/3 alone", "Clients learn of HTTP/3 from a response that came over TCP. Write for example: protocols = [\"http/1.1\", \"h2\", \"h3\"]")
	}
	if n.ProxyProtocol {
		l.diags.errorf(n.http3Range, "HTTP/3 has no PROXY header", "proxy_protocol has no meaning for HTTP/3: give it a listener of its own.")
	}
	if strings.HasPrefix(n.Address, "unix:") {
		l.diags.errorf(n.http3Range, "No port", "HTTP/3 needs a port, and a Unix socket has none.")
	}
}

// checkListeners reports what can only be seen with all listeners at hand.
func (l *loader) checkListeners() {
	first := map[string]*Listener{}
	for _, n := range l.cfg.Listeners {
		if n.ProxyProtocol && len(l.cfg.Gateway.TrustedProxies) == 0 {
			l.diags.errorf(n.proxyRange, "No trusted proxies", "A PROXY header is taken from gateway.trusted_proxies only, and there are none. Write for example: gateway { trusted_proxies = [\"10.0.0.0/8\"] }")
		}
		if n.Address == "" || strings.HasSuffix(n.Address, ":0") {
			continue // port 0 is any free one, each time another
		}
		if f, ok := first[n.Address]; ok {
			l.diags.twice(n.AddressRange, f.AddressRange, "Duplicate address", "The listeners %q and %q have the same address.", f.Name, n.Name)
			continue
		}
		first[n.Address] = n
	}
	tcp := map[string]bool{}
	for _, n := range l.cfg.Listeners {
		tcp[n.Name] = n.TCP != nil
	}
	for _, r := range l.cfg.Routes {
		for _, ref := range r.Listeners {
			if tcp[ref.ID] {
				l.diags.errorf(ref.Range, "TCP listener", "The listener %q has a tcp block: its connections are passed on as they are, and no route sees them.", ref.ID)
			}
		}
	}
	if len(l.names["listener"]) == 0 && len(l.cfg.Routes) > 0 && !l.partial {
		l.diags.warnf(hcl.Range{}, "No listener", "There are routes, but no listener block: no request will reach them.")
	}
}
