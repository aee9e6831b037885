package config

import (
	"crypto/tls"

	"github.com/headgate/headgate/runtime/certs"
)

// certificates makes those of the configuration. The ones that the running
// configuration has too stay what they are.
func (b *builder) certificates() {
	for _, c := range b.c.Certificates {
		if c.ACME != nil {
			made, release := b.d.Certificates.ACME(c.Name, *c.ACME)
			b.certs[c.Name] = made
			b.onClose(release)
			continue
		}
		made, release, err := b.d.Certificates.Pair(c.Name, c.CertFile, c.KeyFile)
		if err != nil {
			b.diags.errorf(c.Range, "Unusable certificate", "The certificate %q can't be used: %s.", c.Name, err)
			continue
		}
		b.certs[c.Name] = made
		b.onClose(release)
	}
	for _, l := range b.c.Listeners {
		if l.TLS != nil {
			b.secure(l)
		}
	}
}

// secure makes the TLS side of a listener.
func (b *builder) secure(l *Listener) {
	t := l.TLS
	o := certs.Settings{MinVersion: t.MinVersion, MaxVersion: t.MaxVersion}
	if l.H2C {
		o.Protocols = append(o.Protocols, "h2")
	}
	if l.HTTP1 {
		o.Protocols = append(o.Protocols, "http/1.1")
	}
	for _, ref := range t.Certificates {
		if c := b.certs[ref.ID]; c != nil {
			o.Certificates = append(o.Certificates, c)
		}
		if b.c.obtainsBy(ref.ID, certs.ChallengeTLSALPN) {
			o.Challenge = b.d.Certificates.ChallengeTLS
		}
	}
	if a := &t.ClientAuth; a.Mode != "none" {
		made, release, err := b.d.Certificates.Authorities(a.CAFile)
		if err != nil {
			b.diags.errorf(a.CARange, "Unusable authorities", "The listener %q can't be used: %s.", l.Name, err)
			return
		}
		b.onClose(release)
		o.Authorities = made
		o.ClientAuth = map[string]tls.ClientAuthType{"request": tls.VerifyClientCertIfGiven, "require": tls.RequireAndVerifyClientCert}[a.Mode]
	}
	made := b.d.Certificates.Server(l.Name, o)
	b.servers[l.Name] = made
	b.onClose(made.Close)
}
