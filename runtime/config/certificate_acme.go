package config

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/headgate/headgate/runtime/certs"
)

// decodeObtained decodes a certificate block s with an acme block n.
func (l *loader) decodeObtained(s *section, n, b block) {
	before := l.diags.Errors()
	a := &certs.ACME{}
	for _, name := range []string{"cert_file", "key_file"} {
		if s.has(name) {
			l.diags.errorf(s.attrs[name].rng, "Conflicting arguments", "%s goes without an acme block, which keeps what it obtains in its storage.", name)
		}
	}
	s.shown("domains")
	s.domains(&a.Domains)
	l.decodeACME(n, a)
	if l.diags.Errors() == before {
		l.cfg.Certificates = append(l.cfg.Certificates, &Certificate{Name: b.id, ACME: a, Range: b.DefRange, CertRange: b.DefRange, KeyRange: b.DefRange})
	}
}

// domains decodes the names that a certificate is to have.
func (s *section) domains(dst *[]string) {
	const example = `["www.example.com"]`
	var list []string
	if !s.require("domains", example) || !s.list("domains", &list, example) {
		return
	}
	if len(list) == 0 {
		s.l.diags.errorf(s.rangeOf("domains"), "No name", "certificate.domains has at least one name. Write for example: domains = %s", example)
	}
	for i, written := range list {
		name := strings.ToLower(written)
		if err := checkDomain(name); err != nil {
			s.l.diags.errorf(s.itemRange("domains", i), "Invalid name", "certificate.domains can't have %q: %s.", written, err)
			continue
		}
		if slices.Contains(*dst, name) {
			s.l.diags.errorf(s.itemRange("domains", i), "Duplicate name", "%q is in the list already.", written)
			continue
		}
		*dst = append(*dst, name)
	}
}

// checkDomain tells why a name in lower case can't be proven (RFC 1123 section
// 2.1).
func checkDomain(name string) error {
	if strings.HasPrefix(name, "*.") {
		return errors.New("a wildcard takes the challenge dns-01, which Headgate doesn't answer; list the names instead")
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return errors.New("it is an address; certificates are obtained for names")
	}
	if name == "" || len(name) > 253 {
		return errors.New("a name has 1 to 253 characters")
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "" || len(label) > 63:
			return errors.New("what stands between two dots has 1 to 63 characters")
		case strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
			return errors.New("a name is made of letters, digits, dots and hyphens; write others as xn--")
		case strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-"):
			return errors.New("a hyphen can't stand at an end")
		}
	}
	return nil
}

func (l *loader) decodeACME(b block, a *certs.ACME) {
	s := l.read(b, acmeSchema)
	a.Directory, a.Challenge = certs.LetsEncrypt, certs.ChallengeTLSALPN
	storage, ca := "acme", ""
	s.shown("directory", "email", "storage", "ca_file")
	if s.text("directory", &a.Directory, certs.LetsEncrypt) {
		// RFC 8555 section 6.1 wants HTTPS.
		if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			l.diags.errorf(s.rangeOf("directory"), "Invalid URL", "acme.directory is an https URL, not %q. Write for example: directory = %q", a.Directory, certs.LetsEncrypt)
		}
	}
	if s.text("email", &a.Email, "admin@example.com") && a.Email != "" {
		user, host, ok := strings.Cut(a.Email, "@")
		if !ok || user == "" || host == "" || strings.ContainsAny(a.Email, " ,?:<>") {
			l.diags.errorf(s.rangeOf("email"), "Invalid address", "acme.email is one address, not %q. Write for example: email = \"admin@example.com\"", a.Email)
		}
	}
	if s.text("storage", &storage, "acme"); storage == "" {
		l.diags.errorf(s.rangeOf("storage"), "Invalid path", "acme.storage is the path of a directory. Write for example: storage = \"acme\"")
	}
	a.Storage = s.scope.resolve(storage)
	if s.text("ca_file", &ca, "ca.pem") && ca != "" {
		a.CAFile = s.scope.resolve(ca)
		if err := certs.CheckAuthorities(a.CAFile); err != nil {
			l.diags.errorf(s.rangeOf("ca_file"), "Unusable authorities", "acme.ca_file: %s: %s.", a.CAFile, err)
		}
	}
	s.oneOf("challenge", &a.Challenge, certs.ChallengeTLSALPN, certs.ChallengeHTTP)
}

// obtainsBy reports whether the certificate is obtained by a kind of challenge.
func (c *Config) obtainsBy(certificate, challenge string) bool {
	return slices.ContainsFunc(c.Certificates, func(o *Certificate) bool {
		return o.Name == certificate && o.ACME != nil && o.ACME.Challenge == challenge
	})
}
