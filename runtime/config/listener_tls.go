package config

import (
	"crypto/tls"

	"github.com/hashicorp/hcl/v2"
)

// ListenerTLS is the tls block of a listener.
type ListenerTLS struct {
	Certificates []Ref
	// MinVersion and MaxVersion are as in crypto/tls.
	MinVersion, MaxVersion uint16
	ClientAuth             ClientAuth

	Range hcl.Range
}

// ClientAuth is what a listener demands of clients.
type ClientAuth struct {
	Mode    string // none, request or require
	CAFile  string // resolved; "" with none
	Forward bool

	CARange hcl.Range
}

// decodeListenerTLS decodes b, nil if it has no certificate.
func (l *loader) decodeListenerTLS(b block) *ListenerTLS {
	s := l.read(b, listenerTLSSchema)
	t := &ListenerTLS{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13, Range: b.DefRange, ClientAuth: ClientAuth{Mode: "none"}}
	if s.require("certificates", "[certificate."+b.scope.example("certificate")+"]") {
		before := l.diags.Errors()
		if t.Certificates = s.refs("certificates", "certificate"); len(t.Certificates) == 0 && l.diags.Errors() == before && !l.partial {
			l.diags.errorf(s.rangeOf("certificates"), "No certificate", "A listener with TLS shows at least one certificate. Write for example: certificates = [certificate.%s]", b.scope.example("certificate"))
		}
	}
	s.version("min_version", &t.MinVersion)
	s.version("max_version", &t.MaxVersion)
	if t.MinVersion > t.MaxVersion {
		l.diags.errorf(s.rangeOf("min_version"), "No version left", "tls.min_version is above tls.max_version: no client could connect.")
	}
	if n, ok := s.one("client_auth"); ok {
		l.decodeClientAuth(n, &t.ClientAuth)
	}
	return t
}

func (s *section) version(name string, dst *uint16) {
	v := ""
	if s.oneOf(name, &v, "1.2", "1.3") {
		*dst = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[v]
	}
}

func (l *loader) decodeClientAuth(b block, c *ClientAuth) {
	s := l.read(b, clientAuthSchema)
	c.CARange = s.rangeOf("ca_file")
	s.oneOf("mode", &c.Mode, "none", "request", "require")
	s.flag("forward", &c.Forward)
	s.shown("ca_file")
	var file string
	s.text("ca_file", &file, "clients.pem")
	if c.Mode == "none" {
		// Whoever wrote the rest believes that clients are asked.
		if !s.has("mode") && (file != "" || c.Forward) {
			l.diags.errorf(b.DefRange, "Clients are not asked", "Without client_auth.mode no client is asked for a certificate. Write for example: mode = \"require\"")
		}
		return
	}
	if file == "" {
		l.diags.errorf(c.CARange, "No authority", "client_auth.ca_file names the authorities whose certificates are taken. Write for example: ca_file = \"clients.pem\"")
		return
	}
	c.CAFile = s.scope.resolve(file)
}
