package config

import (
	"net/netip"
	"strings"

	"github.com/headgate/headgate/runtime/upstream"
)

// decodeDiscovery decodes dns and file, after the endpoints.
func (s *section) decodeDiscovery(u *Upstream) {
	dns, isDNS := s.one("dns")
	file, isFile := s.one("file")
	if isDNS {
		u.Discovery = &upstream.Discovery{DNS: s.decodeDNS(dns)}
	}
	if isFile {
		t := s.l.read(file, fileSchema)
		var path string
		if t.require("path", `"orders.json"`) && t.text("path", &path, "orders.json") {
			if path == "" {
				s.l.diags.errorf(t.rangeOf("path"), "No path", "file.path can't be empty. Write for example: path = \"orders.json\"")
			}
			u.Discovery = &upstream.Discovery{File: s.scope.resolve(path)}
		}
	}
	switch {
	case isDNS && isFile:
		s.l.diags.errorf(file.DefRange, "Endpoints from two sources", "An upstream has endpoint blocks, a dns block or a file block, only one of these. Remove file or dns.")
	case len(u.Endpoints) > 0 && (isDNS || isFile):
		s.l.diags.errorf(u.Endpoints[0].Range, "Endpoints from two sources", "An upstream has endpoint blocks, a dns block or a file block, only one of these. Remove the endpoint blocks or the other.")
	}
}

func (s *section) decodeDNS(b block) upstream.DNS {
	t := s.l.read(b, dnsSchema)
	var d upstream.DNS
	if t.require("name", `"orders.internal"`) && t.text("name", &d.Name, "orders.internal") {
		checkDNSName(t, d.Name)
	}
	kind := "a"
	t.oneOf("type", &kind, "a", "srv")
	if d.SRV = kind == "srv"; !d.SRV && t.require("port", "8080") {
		t.number("port", &d.Port, 1, 65535)
	}
	t.duration("refresh", &d.Refresh)
	return d
}

func checkDNSName(t *section, name string) {
	if _, err := netip.ParseAddr(name); err == nil {
		t.l.diags.errorf(t.rangeOf("name"), "Invalid name", "%q is an address, which needs no lookup. Write an endpoint block instead.", name)
		return
	}
	bad := len(name) > 253
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		bad = bad || label == "" || len(label) > 63 || strings.ContainsAny(label, " :/\t")
	}
	if bad {
		t.l.diags.errorf(t.rangeOf("name"), "Invalid name", "%q is not a DNS name. Write for example: name = \"orders.internal\"", name)
	}
}
