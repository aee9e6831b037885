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
	// CertFile and KeyFile are resolved.
	CertFile, KeyFile string

	Range, CertRange hcl.Range
	leaf             *x509.Certificate // as it was when it was loaded
}

func (l *loader) decodeCertificate(b block) {
	s := l.read(b, certificateSchema)
	if acme, ok := s.one("acme"); ok {
		l.refuse(acme.DefRange, "The acme block of certificate")
		return
	}
	if s.has("domains") {
		l.diags.errorf(s.attrs["domains"].rng, "Conflicting arguments", "domains goes with an acme block: the names of a certificate in a file are those that it was made for.")
	}
	c := &Certificate{Name: b.id, Range: b.DefRange, CertRange: s.rangeOf("cert_file")}
	s.shown("cert_file", "key_file")
	ok := s.path("cert_file", &c.CertFile, "api.crt")
	if !s.path("key_file", &c.KeyFile, "api.key") || !ok {
		return
	}
	pair, certErr, keyErr := certs.ReadPair(c.CertFile, c.KeyFile)
	if certErr != nil {
		l.diags.errorf(c.CertRange, "Unusable certificate", "certificate.cert_file: %s: %s.", c.CertFile, certErr)
	}
	if keyErr != nil {
		l.diags.errorf(s.rangeOf("key_file"), "Unusable private key", "certificate.key_file: %s: %s.", c.KeyFile, keyErr)
	}
	if certErr == nil && keyErr == nil {
		c.leaf = pair.Leaf
		l.checkTime(c)
	}
	l.cfg.Certificates = append(l.cfg.Certificates, c)
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

// checkTime warns of a certificate that clients refuse today. It is no error:
// the others are to be served all the same, and the file is read again.
func (l *loader) checkTime(c *Certificate) {
	switch now := time.Now(); {
	case now.After(c.leaf.NotAfter):
		l.diags.warnf(c.CertRange, "Expired certificate", "%s has expired on %s: clients will refuse it.", c.CertFile, c.leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(c.leaf.NotBefore):
		l.diags.warnf(c.CertRange, "Certificate of the future", "%s is not valid before %s: clients will refuse it.", c.CertFile, c.leaf.NotBefore.UTC().Format(time.DateOnly))
	}
}

var certificateSchema = &hcl.BodySchema{Attributes: attrs("cert_file", "key_file", "domains"), Blocks: nestedBlocks("acme")}
