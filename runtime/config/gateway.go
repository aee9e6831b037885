package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/headgate/headgate/runtime/exchange"
)

// Gateway is the gateway block. It always exists: without one, it holds the
// defaults.
type Gateway struct {
	TrustedProxies []netip.Prefix
	// RequestID is a header name in lower case; "" disables request ids.
	RequestID    string
	BodyMemory   int64
	PluginMemory int64
	Admin        Admin
	Log          Log
	AccessLog    *AccessLog // nil: off
	Shutdown     Shutdown
	Limits       Limits
	// DebugHeader is in lower case; "" disables it.
	DebugHeader string

	Range hcl.Range // zero without a block
}

// Admin is where the admin API listens. Address is "off" if nowhere.
type Admin struct {
	Address, Token string
	Range          hcl.Range
}

// Log says how the gateway logs.
type Log struct{ Level, Format string }

// AccessLog says how requests are logged. Path is "stdout", "stderr" or a file.
type AccessLog struct {
	Format, Path string
	Template     *Expr // what a line is made by; nil: Format
	Range        hcl.Range
}

// Shutdown says how long the gateway takes to go.
type Shutdown struct{ Delay, Drain time.Duration }

// Limits bound what clients send; 0 is no limit for the last three.
type Limits struct {
	MaxHeaderBytes int64
	MaxHeaders     int
	MaxBody        int64
	MaxConnections int
	MaxRequests    int
}

func defaultGateway() Gateway {
	return Gateway{
		RequestID:  "x-request-id",
		BodyMemory: 256 << 20, PluginMemory: 1 << 30,
		Admin:    Admin{Address: "127.0.0.1:9901"},
		Log:      Log{Level: "info", Format: "text"},
		Shutdown: Shutdown{Drain: 30 * time.Second},
		Limits:   Limits{MaxHeaderBytes: 64 << 10, MaxHeaders: 128},
	}
}

func (l *loader) decodeGateway(blocks []block) {
	g := &l.cfg.Gateway
	*g = defaultGateway()
	first := true
	for _, b := range blocks {
		if b.Type != "gateway" {
			continue
		}
		if !first {
			l.diags.twice(b.DefRange, g.Range, "Duplicate block", "A configuration has one gateway block.")
			continue
		}
		first = false
		g.Range = b.DefRange
		l.decodeGatewayBlock(b, g)
	}
}

func (l *loader) decodeGatewayBlock(b block, g *Gateway) {
	s := l.read(b, gatewaySchema)
	g.TrustedProxies = s.prefixes("trusted_proxies")
	s.headerName("request_id", &g.RequestID)
	s.size("body_memory", &g.BodyMemory)
	s.size("plugin_memory", &g.PluginMemory)
	if n, ok := s.one("admin"); ok {
		l.decodeAdmin(n, &g.Admin)
	}
	if n, ok := s.one("log"); ok {
		t := l.read(n, logSchema)
		t.oneOf("level", &g.Log.Level, "debug", "info", "warn", "error")
		t.oneOf("format", &g.Log.Format, "text", "json")
	}
	if n, ok := s.one("access_log"); ok {
		g.AccessLog = l.decodeAccessLog(n)
	}
	s.unavailable("tracing")
	if n, ok := s.one("state"); ok {
		l.read(n, stateSchema).only("redis", cty.StringVal(""))
	}
	if n, ok := s.one("shutdown"); ok {
		t := l.read(n, shutdownSchema)
		t.duration("delay", &g.Shutdown.Delay)
		t.duration("drain", &g.Shutdown.Drain)
	}
	if n, ok := s.one("limits"); ok {
		t := l.read(n, gatewayLimitsSchema)
		if t.size("max_header_bytes", &g.Limits.MaxHeaderBytes) && (g.Limits.MaxHeaderBytes < 1<<10 || g.Limits.MaxHeaderBytes > 16<<20) {
			l.diags.errorf(t.rangeOf("max_header_bytes"), "Size out of range", "limits.max_header_bytes is from 1KiB to 16MiB.")
		}
		t.number("max_headers", &g.Limits.MaxHeaders, 1, 10_000)
		t.size("max_body", &g.Limits.MaxBody)
		t.number("max_connections", &g.Limits.MaxConnections, 0, 1<<30)
		t.number("max_requests", &g.Limits.MaxRequests, 0, 1<<30)
	}
	if n, ok := s.one("debug"); ok {
		l.read(n, debugSchema).headerName("header", &g.DebugHeader)
	}
}

func (l *loader) decodeAdmin(b block, a *Admin) {
	s := l.read(b, adminSchema)
	a.Range = b.DefRange
	if s.text("address", &a.Address, "127.0.0.1:9901") {
		a.Range = s.rangeOf("address")
	}
	s.text("token", &a.Token, "...")
	if a.Address == "off" {
		return
	}
	host, ok := s.hostPort("address", a.Address)
	if !ok || a.Token != "" || s.has("token") && s.l.unsure() {
		return
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.Unmap().IsLoopback()) {
		l.diags.errorf(s.rangeOf("address"), "Admin API without a token",
			"Everyone who reaches %s could reload and inspect the gateway. Set admin.token, for example token = secret(\"admin.token\"), or listen on 127.0.0.1.", a.Address)
	}
}

func (l *loader) decodeAccessLog(b block) *AccessLog {
	s := l.read(b, accessLogSchema)
	a := &AccessLog{Format: "json", Path: "stdout", Range: b.DefRange}
	if at := s.attrs["format"]; at != nil && b.scope.readsRequest(at.expr) {
		a.Format, a.Template = "", s.expr("format", exprScope{
			response: true, noPath: "The access log is that of every route, and path variables belong to one.",
		})
		if a.Template != nil && a.Template.Sensitive {
			l.diags.errorf(at.expr.Range(), "Sensitive value", "access_log.format can't be sensitive: it is written to the log.")
		}
	} else {
		s.oneOf("format", &a.Format, "json", "common", "combined")
	}
	s.text("path", &a.Path, "stdout")
	switch a.Path {
	case "stdout", "stderr":
	case "":
		l.diags.errorf(s.rangeOf("path"), "Invalid path", "access_log.path is \"stdout\", \"stderr\" or a file.")
	default:
		a.Path = b.scope.resolve(a.Path)
	}
	return a
}

// headerName decodes a header name, or "".
func (s *section) headerName(name string, dst *string) {
	var h string
	if !s.text(name, &h, "x-name") {
		return
	}
	if h != "" && !exchange.ValidName(h) {
		s.l.diags.errorf(s.rangeOf(name), "Invalid header name", "%q can't be the name of a header: use letters, digits and \"-\".", h)
		return
	}
	*dst = strings.ToLower(h)
}

// prefixes decodes a list of networks; an address alone is a network of one.
func (s *section) prefixes(name string) []netip.Prefix {
	var texts []string
	if !s.list(name, &texts, `["10.0.0.0/8"]`) {
		return nil
	}
	var out []netip.Prefix
	for i, t := range texts {
		p, err := netip.ParsePrefix(t)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(t); err == nil && a.Zone() == "" {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil || !p.IsValid() {
			s.l.diags.errorf(s.itemRange(name, i), "Invalid network", "%q is not a network. Write for example: \"10.0.0.0/8\"", t)
			continue
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}

// hostPort checks an address to listen on or to connect to.
func (s *section) hostPort(name, address string) (host string, ok bool) {
	if host, _, ok := cutPort(address); ok {
		return host, true
	}
	s.l.diags.errorf(s.rangeOf(name), "Invalid address", "%s %q is not an address. Write for example: \"127.0.0.1:8080\"", s.name+"."+name, address)
	return "", false
}

// cutPort takes host:port apart.
func cutPort(address string) (host string, port int, ok bool) {
	host, digits, err := net.SplitHostPort(address)
	n, e := strconv.ParseUint(digits, 10, 16)
	return host, int(n), err == nil && e == nil && !strings.ContainsAny(host, " /\t\r\n@?#")
}

// unixPath returns the path of a unix: address.
func unixPath(address string) (string, bool) {
	p, ok := strings.CutPrefix(address, "unix:")
	return p, ok && filepath.IsAbs(p) && len(p) < 108 && !slices.Contains([]byte(p), 0)
}
