package config

import (
	"strings"

	"github.com/headgate/headgate/runtime/upstream"
)

// upstreamTLS decodes the tls block, after the endpoints and the protocol.
func (s *section) upstreamTLS(u *Upstream) {
	b, ok := s.one("tls")
	if !ok {
		return
	}
	t := s.l.read(b, upstreamTLSSchema)
	u.TLS = &upstream.TLS{}
	before := s.l.diags.Errors()
	t.text("server_name", &u.TLS.ServerName, "orders.internal")
	t.flag("insecure_skip_verify", &u.TLS.Insecure)
	if u.TLS.Insecure {
		s.l.diags.warnf(t.rangeOf("insecure_skip_verify"), "Unverified endpoints", "With insecure_skip_verify whoever can intercept a connection to an endpoint can read and change everything. Name the endpoints' authority instead: ca_file = \"tls/ca.pem\"")
	}
	t.file("ca_file", &u.TLS.CAFile)
	t.file("cert_file", &u.TLS.CertFile)
	t.file("key_file", &u.TLS.KeyFile)
	switch {
	case s.l.diags.Errors() != before:
		return
	case (u.TLS.CertFile == "") != (u.TLS.KeyFile == ""):
		s.l.diags.errorf(b.DefRange, "Half a certificate", "tls.cert_file and tls.key_file go together.")
	default:
		if err := u.TLS.Check(); err != nil {
			s.l.diags.errorf(b.DefRange, "Unusable TLS files", "The files of this block can't be used: %s.", err)
		}
	}
	for _, e := range u.Endpoints {
		if strings.HasPrefix(e.Address, "unix:") && u.TLS.ServerName == "" && !u.TLS.Insecure {
			s.l.diags.errorf(e.Range, "No server name", "A Unix socket has no host name to verify. Add to the tls block for example: server_name = \"orders.internal\"")
		}
	}
}

// file decodes a path that may be left out.
func (s *section) file(name string, dst *string) {
	var text string
	if s.has(name) && s.text(name, &text, "tls/"+name+".pem") && text != "" {
		*dst = s.scope.resolve(text)
	}
}
