package config

import (
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/headgate/headgate/runtime/upstream"
)

// Upstream is an upstream block, or one instance of it.
type Upstream struct {
	Name           string
	Endpoints      []Endpoint
	Discovery      *upstream.Discovery // nil: Endpoints
	Balance        string
	ConnectTimeout time.Duration
	Timeout        time.Duration
	IdleTimeout    time.Duration
	MaxIdle        int
	HTTP2          bool          // h2c, or h2 with TLS
	Auto           bool          // ALPN chooses
	TLS            *upstream.TLS // nil: in the clear
	ProxyProtocol  string        // v1, v2 or ""

	HashOn    *Expr              // what ring_hash and maglev choose by
	Prefer    map[string]string  // labels
	SlowStart time.Duration      // 0: none
	Affinity  *upstream.Affinity // nil: none

	HealthCheck *upstream.HealthCheck      // nil: none
	Outliers    *upstream.OutlierDetection // nil: none

	Breaker *upstream.Breaker // nil: none
	Retry   *upstream.Retry   // nil: what is safe without one

	Range hcl.Range
}

// Endpoint is an endpoint block.
type Endpoint struct {
	Address string // host:port or unix:/path
	Weight  int
	Labels  map[string]string
	Range   hcl.Range
}

func (l *loader) decodeUpstream(b block) {
	s := l.read(b, upstreamSchema)
	u := &Upstream{
		Name: b.id, Range: b.DefRange,
		Balance: "least_request", ConnectTimeout: 5 * time.Second, Timeout: 15 * time.Second,
		IdleTimeout: time.Minute, MaxIdle: 512,
	}
	s.decodeEndpoints(u)
	s.decodeDiscovery(u)
	s.decodeBalance(u)
	s.upstreamProtocol(u)
	s.upstreamTLS(u)
	s.sentProxyHeader(u)
	s.duration("connect_timeout", &u.ConnectTimeout)
	s.duration("timeout", &u.Timeout)
	s.duration("idle_timeout", &u.IdleTimeout)
	s.number("max_idle", &u.MaxIdle, 1, 1<<20)
	for name, d := range map[string]time.Duration{"connect_timeout": u.ConnectTimeout, "timeout": u.Timeout, "idle_timeout": u.IdleTimeout} {
		if d == 0 {
			l.diags.errorf(s.rangeOf(name), "Invalid duration", "upstream.%s can't be 0. Write for example: %s = \"15s\"", name, name)
		}
	}
	s.decodeAffinity(u)
	s.decodeHealthCheck(u)
	s.decodeOutliers(u)
	s.decodeBreaker(u)
	s.decodeRetry(u)
	l.cfg.Upstreams = append(l.cfg.Upstreams, u)
}

func (s *section) decodeEndpoints(u *Upstream) {
	for _, b := range s.labelled("endpoint") {
		e := Endpoint{Address: b.Labels[0], Weight: 1, Range: b.DefRange}
		if len(b.LabelRanges) > 0 {
			e.Range = b.LabelRanges[0]
		}
		t := s.l.read(b, endpointSchema)
		t.rng = e.Range
		if strings.HasPrefix(e.Address, "unix:") {
			if _, ok := unixPath(e.Address); !ok {
				s.l.diags.errorf(e.Range, "Invalid address", "%q is not a Unix socket. Write for example: endpoint \"unix:/run/orders.sock\" {}", e.Address)
			}
		} else if host, port, ok := cutPort(e.Address); !ok || host == "" || port == 0 {
			hint := "Write for example: endpoint \"10.0.0.1:8080\" {}"
			if strings.Contains(e.Address, "://") {
				hint = "It takes no scheme. " + hint
			}
			s.l.diags.errorf(e.Range, "Invalid address", "%q is not an address. %s", e.Address, hint)
		}
		t.number("weight", &e.Weight, 1, 1<<16)
		t.textMap("labels", &e.Labels, `{ zone = "a" }`)
		u.Endpoints = append(u.Endpoints, e)
	}
	if len(s.blocks("endpoint"))+len(s.blocks("dns"))+len(s.blocks("file")) == 0 && !s.dynamicFailed() {
		s.l.diags.errorf(s.rng, "Upstream without endpoints", "An upstream needs at least one endpoint. Write for example: endpoint \"10.0.0.1:8080\" {}")
	}
}

// dynamicFailed reports whether a dynamic block may have made what is missing.
func (s *section) dynamicFailed() bool { return s.dynamic && s.l.unsure() }

func (s *section) upstreamProtocol(u *Upstream) {
	protocol := "http/1.1"
	if !s.oneOf("protocol", &protocol, "http/1.1", "h2c", "h2", "auto") {
		return
	}
	u.HTTP2, u.Auto = protocol == "h2c" || protocol == "h2", protocol == "auto"
	secure := len(s.blocks("tls")) > 0
	switch {
	case protocol == "h2c" && secure:
		s.l.diags.errorf(s.rangeOf("protocol"), "TLS with h2c", "h2c is HTTP/2 in the clear, which tls rules out. Write: protocol = \"h2\"")
	case (protocol == "h2" || protocol == "auto") && !secure:
		s.l.diags.errorf(s.rangeOf("protocol"), "Protocol without TLS", "protocol = %q is agreed on by TLS: it needs a tls block. For HTTP/2 in the clear write: protocol = \"h2c\"", protocol)
	}
}

// sentProxyHeader decodes proxy_protocol, after the protocol.
func (s *section) sentProxyHeader(u *Upstream) {
	if !s.has("proxy_protocol") || !s.oneOf("proxy_protocol", &u.ProxyProtocol, "", "v1", "v2") || u.ProxyProtocol == "" {
		return
	}
	if u.HTTP2 || u.Auto {
		s.l.diags.errorf(s.rangeOf("proxy_protocol"), "PROXY header with HTTP/2", "A connection over HTTP/2 carries the requests of many clients, and a PROXY header names one. Write: protocol = \"http/1.1\"")
	}
}
