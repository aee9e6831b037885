package proxywasm

import (
	"crypto/tls"
	"slices"
	"strconv"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// maxProperty bounds a path of properties, in bytes.
const maxProperty = 4 << 10

func getProperty(g *Guest, a []uint64) status {
	p, in := g.read(a[0], a[1])
	if !in {
		return invalidMemoryAccess
	}
	if len(p) == 0 || len(p) > maxProperty {
		return badArgument
	}
	path := strings.TrimSuffix(string(p), "\x00")
	switch text, n, kind := g.property(path); kind {
	case propertyText:
		return g.giveString(a[2], a[3], text)
	case propertyNumber:
		return g.giveNumber(a[2], a[3], n)
	case propertyBool:
		return g.give(a[2], a[3], []byte{byte(n)})
	}
	if g.stream != nil && g.stream.x != nil && g.stream.x.Properties != nil {
		for _, prefix := range []string{"", "wasm.", "filter_state\x00", "filter_state\x00wasm."} {
			if name, cut := strings.CutPrefix(path, prefix); cut {
				if v, found := g.stream.x.Properties.Get(name); found {
					return g.give(a[2], a[3], v)
				}
			}
		}
	}
	return notFound
}

func setProperty(g *Guest, a []uint64) status {
	p, in := g.read(a[0], a[1])
	value, in2 := g.read(a[2], a[3])
	if !in || !in2 {
		return invalidMemoryAccess
	}
	if g.stream == nil || g.stream.x == nil || g.stream.x.Properties == nil {
		return notFound
	}
	if len(p) == 0 || len(p) > maxProperty {
		return badArgument
	}
	if !g.stream.x.Properties.Set(strings.TrimSuffix(string(p), "\x00"), slices.Clone(value)) {
		return internalFailure
	}
	return ok
}

// propertyKind is how a property is written: text as it is, numbers in 8 bytes,
// truths in one, as Envoy does.
type propertyKind uint8

const (
	propertyNone propertyKind = iota
	propertyText
	propertyNumber
	propertyBool
)

// property returns one of Envoy's attributes; the parts of path have a NUL
// between them.
func (g *Guest) property(path string) (text string, n int64, kind propertyKind) {
	first, rest, _ := strings.Cut(path, "\x00")
	switch first {
	case "plugin_name":
		return g.env.Name, 0, propertyText
	case "plugin_root_id":
		if g.root != nil {
			return g.root.cfg.Filter, 0, propertyText
		}
	case "plugin_vm_id":
		return g.env.Name, 0, propertyText
	case "listener_direction":
		return "", 1, propertyNumber // inbound
	}
	if g.stream == nil || g.stream.x == nil {
		return "", 0, propertyNone
	}
	x := g.stream.x
	switch first {
	case "xds":
		if rest == "cluster_name" || rest == "route_name" || rest == "listener_name" {
			return g.property(rest)
		}
	case "route_name":
		return x.Route, 0, propertyText
	case "cluster_name":
		return x.Upstream, 0, textIf(x.Upstream != "")
	case "listener_name":
		return x.Conn.Listener.Name, 0, propertyText
	case "request":
		return g.requestProperty(x, rest)
	case "response":
		return g.responseProperty(x, rest)
	case "source":
		return address(rest, x.Conn.Peer.IsValid(), x.Conn.Peer.String(), int64(x.Conn.Peer.Port()))
	case "destination":
		return address(rest, x.Conn.Local.IsValid(), x.Conn.Local.String(), int64(x.Conn.Local.Port()))
	case "connection":
		return connectionProperty(x, rest)
	}
	return "", 0, propertyNone
}

func textIf(there bool) propertyKind {
	if there {
		return propertyText
	}
	return propertyNone
}

func (g *Guest) requestProperty(x *exchange.Exchange, name string) (string, int64, propertyKind) {
	if g.stage == stageNone {
		return "", 0, propertyNone
	}
	switch name {
	case "path":
		return g.path(x), 0, propertyText
	case "url_path":
		return x.Request.Path, 0, propertyText
	case "query":
		return x.Request.RawQuery, 0, propertyText
	case "host":
		return x.Request.Authority, 0, textIf(g.env.Read.Has([]byte("host")))
	case "scheme":
		return x.Request.Scheme, 0, propertyText
	case "method":
		return x.Request.Method, 0, propertyText
	case "protocol":
		return x.Request.Proto.String(), 0, propertyText
	case "id":
		return x.ID, 0, propertyText
	case "time":
		return "", x.Start.UnixNano(), propertyNumber
	case "duration":
		return "", x.Now.Sub(x.Start).Nanoseconds(), propertyNumber
	case "size":
		return "", max(0, x.Request.Length), propertyNumber
	case "referer":
		return g.headerProperty(&x.Request.Head, "referer")
	case "useragent":
		return g.headerProperty(&x.Request.Head, "user-agent")
	}
	if header, cut := strings.CutPrefix(name, "headers\x00"); cut {
		return g.headerProperty(&x.Request.Head, header)
	}
	return "", 0, propertyNone
}

func (g *Guest) responseProperty(x *exchange.Exchange, name string) (string, int64, propertyKind) {
	if g.stage < stageResponseHeaders {
		return "", 0, propertyNone
	}
	switch name {
	case "code":
		return "", int64(x.Response.Status), propertyNumber
	case "size":
		return "", max(0, x.Response.Length), propertyNumber
	case "flags":
		return "", 0, propertyNumber
	case "grpc_status":
		if v, found := x.Response.Head.Get("grpc-status"); found {
			n, err := strconv.ParseInt(string(v), 10, 32)
			return "", n, map[bool]propertyKind{true: propertyNumber}[err == nil]
		}
	}
	if header, cut := strings.CutPrefix(name, "headers\x00"); cut {
		return g.headerProperty(&x.Response.Head, header)
	}
	return "", 0, propertyNone
}

func (g *Guest) headerProperty(h *exchange.Head, name string) (string, int64, propertyKind) {
	lower := strings.ToLower(name)
	v, found := h.Get(lower)
	if !found || !g.env.Read.Has([]byte(lower)) {
		return "", 0, propertyNone
	}
	return string(v), 0, propertyText
}

func address(name string, valid bool, text string, port int64) (string, int64, propertyKind) {
	switch {
	case !valid:
	case name == "address":
		return text, 0, propertyText
	case name == "port":
		return "", port, propertyNumber
	}
	return "", 0, propertyNone
}

func connectionProperty(x *exchange.Exchange, name string) (string, int64, propertyKind) {
	state := x.Conn.TLS
	if name == "mtls" {
		return "", int64(count(state != nil && len(state.PeerCertificates) > 0)), propertyBool
	}
	if state == nil {
		return "", 0, propertyNone
	}
	switch name {
	case "requested_server_name":
		return state.ServerName, 0, propertyText
	case "tls_version":
		return strings.Replace(tls.VersionName(state.Version), "TLS ", "TLSv", 1), 0, propertyText
	}
	client := x.Conn.ClientCert()
	if client == nil {
		return "", 0, propertyNone
	}
	switch name {
	case "subject_peer_certificate":
		return client.Subject, 0, propertyText
	case "sha256_peer_certificate_digest":
		return client.Fingerprint, 0, propertyText
	case "dns_san_peer_certificate":
		return firstOf(state.PeerCertificates[0].DNSNames)
	case "uri_san_peer_certificate":
		if uris := state.PeerCertificates[0].URIs; len(uris) > 0 {
			return uris[0].String(), 0, propertyText
		}
	}
	return "", 0, propertyNone
}

func firstOf(list []string) (string, int64, propertyKind) {
	if len(list) == 0 {
		return "", 0, propertyNone
	}
	return list[0], 0, propertyText
}
