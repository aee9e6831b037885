package config

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// TCP is the tcp block of a listener, which passes connections on as they are.
type TCP struct {
	Upstream *Ref // for what no name takes; nil: it is refused
	Names    []ServerName
	Range    hcl.Range
}

// ServerName is an sni block: who asks for Name in a TLS handshake goes to
// Upstream.
type ServerName struct {
	Name     string // in lower case; "*.x" is everything below x
	Upstream Ref
}

// decodeTCP decodes b of listener s.
func (l *loader) decodeTCP(b block, s *section) *TCP {
	for _, name := range []string{"protocols", "grpc_web"} {
		if a := s.attrs[name]; a != nil {
			l.diags.errorf(a.rng, "Conflicting arguments", "A listener with a tcp block passes connections on as they are: %s means nothing to it.", name)
		}
	}
	for _, t := range s.blocks("tls") {
		l.diags.twice(t.DefRange, b.DefRange, "Conflicting blocks", "A listener has a tls block or a tcp block: TLS is either ended here or passed on.")
	}
	t := l.read(b, tcpSchema)
	out := &TCP{Range: b.DefRange, Upstream: t.ref("upstream", "upstream")}
	first := map[string]hcl.Range{}
	names := t.blocks("sni")
	for _, n := range names {
		name := strings.ToLower(n.Labels[0])
		if f, ok := first[name]; ok {
			l.diags.twice(n.DefRange, f, "Duplicate block", "tcp has an sni block %q already.", name)
			continue
		}
		first[name] = n.DefRange
		if host := strings.TrimPrefix(name, "*."); !validHost(host) {
			l.diags.errorf(n.LabelRanges[0], "Invalid server name", "%q is not a server name. Write for example: sni \"db.example.com\" or sni \"*.example.com\"", n.Labels[0])
		}
		u := l.read(n, sniSchema)
		if u.require("upstream", "upstream."+n.scope.example("upstream")) {
			if ref := u.ref("upstream", "upstream"); ref != nil {
				out.Names = append(out.Names, ServerName{name, *ref})
			}
		}
	}
	if !t.has("upstream") && len(names) == 0 && !t.dynamicFailed() {
		l.diags.errorf(b.DefRange, "Listener without a destination", "A tcp block has an upstream, sni blocks, or both. Write for example: upstream = upstream.%s", b.scope.example("upstream"))
	}
	return out
}

// validHost reports whether h can be the name of a host: labels of letters,
// digits, "-" and "_", not an address.
func validHost(h string) bool {
	if len(h) > 253 || strings.TrimLeft(h, "0123456789.") == "" {
		return false
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
