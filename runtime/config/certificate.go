package config

import (
	"crypto/x509"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/headgate/headgate/runtime/certs"
)

// Certificate is a certificate block.
type Certificate struct {
	Name string
	// CertFile and KeyFile are resolved; "" with ACME.
	CertFile, KeyFile string
	ACME              *certs.ACME // nil: from files

	Range, CertRange, KeyRange hcl.Range
}

func (l *loader) decodeCertificate(b block) {
	s := l.read(b, certificateSchema)
	if acme, ok := s.one("acme"); ok {
		l.decodeObtained(s, acme, b)
		return
	}
	if s.has("domains") {
		l.diags.errorf(s.attrs["domains"].rng, "Conflicting arguments", "domains goes with an acme block: the names of a certificate in a file are those that it was made for.")
	}
	c := &Certificate{Name: b.id, Range: b.DefRange, CertRange: s.rangeOf("cert_file"), KeyRange: s.rangeOf("key_file")}
	s.shown("cert_file", "key_file")
	ok := s.path("cert_file", &c.CertFile, "api.crt")
	if s.path("key_file", &c.KeyFile, "api.key") && ok {
		l.cfg.Certificates = append(l.cfg.Certificates, c)
	}
}

// path decodes a required path and resolves it.
func (s *section) path(name string, dst *string, example string) bool {
	var text string
	if !s.require(name, `"`+example+`"`) || !s.text(name, &text, example) {
		return false
	}
	if text == "" {
		s.l.diags.errorf(s.rangeOf(name), "Invalid path", "%s.%s is the path of a file. Write for example: %s = %q", s.name, name, name, example)
		return false
	}
	*dst = s.scope.resolve(text)
	return true
}

// checkTLS reads the files of certificates and authorities. Those of the
// configuration in force are left out: their files are watched, and one that is
// broken just now, while the one from before is shown, must not keep a change of
// a route away.
func (l *loader) checkTLS() {
	inForce := map[[3]string]bool{} // by name and files; of authorities, by file
	if p := l.src.Previous; p != nil {
		for _, c := range p.Certificates {
			inForce[[3]string{c.Name, c.CertFile, c.KeyFile}] = true
		}
		for _, n := range p.Listeners {
			if n.TLS != nil {
				inForce[[3]string{"", n.TLS.ClientAuth.CAFile}] = true
			}
		}
	}
	leaves := map[string]*x509.Certificate{}
	for _, c := range l.cfg.Certificates {
		if c.ACME == nil && !inForce[[3]string{c.Name, c.CertFile, c.KeyFile}] {
			leaves[c.Name] = l.checkPair(c)
		}
	}
	for _, n := range l.cfg.Listeners {
		if n.TLS == nil {
			continue
		}
		if a := &n.TLS.ClientAuth; a.CAFile != "" && !inForce[[3]string{"", a.CAFile}] {
			if err := certs.CheckAuthorities(a.CAFile); err != nil {
				l.diags.errorf(a.CARange, "Unusable authorities", "client_auth.ca_file: %s: %s.", a.CAFile, err)
			}
		}
		for i, ref := range n.TLS.Certificates {
			if leaf := leaves[ref.ID]; i > 0 && leaf != nil && len(leaf.DNSNames) == 0 {
				l.diags.warnf(ref.Range, "Certificate without a name", "The certificate %q has no DNS name in its subjectAltName, so no client can ask for it. Only the first of a listener's certificates is shown to those who ask for another name.", ref.ID)
			}
		}
	}
}

// checkPair reads the files of c, and returns the certificate or nil. It warns of
// one that clients refuse today: the others are to be served all the same, and
// the file is read again.
func (l *loader) checkPair(c *Certificate) *x509.Certificate {
	pair, certErr, keyErr := certs.ReadPair(c.CertFile, c.KeyFile)
	if certErr != nil {
		l.diags.errorf(c.CertRange, "Unusable certificate", "certificate.cert_file: %s: %s.", c.CertFile, certErr)
	}
	if keyErr != nil {
		l.diags.errorf(c.KeyRange, "Unusable private key", "certificate.key_file: %s: %s.", c.KeyFile, keyErr)
	}
	if pair.Leaf == nil {
		return nil
	}
	switch now := time.Now(); {
	case now.After(pair.Leaf.NotAfter):
		l.diags.warnf(c.CertRange, "Expired certificate", "%s has expired on %s: clients will refuse it.", c.CertFile, pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(pair.Leaf.NotBefore):
		l.diags.warnf(c.CertRange, "Certificate of the future", "%s is not valid before %s: clients will refuse it.", c.CertFile, pair.Leaf.NotBefore.UTC().Format(time.DateOnly))
	}
	return pair.Leaf
}
