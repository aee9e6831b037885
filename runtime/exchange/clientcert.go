package exchange

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
)

// ClientCert is what a client's certificate says of the client.
type ClientCert struct {
	// Subject is the distinguished name (RFC 4514); Fingerprint the SHA-256 of
	// the certificate, in hex.
	Subject, Fingerprint string
	// Names are the alternative names: DNS names, mail addresses, IP addresses
	// and URIs.
	Names []string
	// Forwarded is the value of x-forwarded-client-cert.
	Forwarded string
}

// ClientCert returns what the client's certificate says, nil without one. It is
// made at the first call.
func (c *Conn) ClientCert() *ClientCert {
	if c.TLS == nil || len(c.TLS.PeerCertificates) == 0 {
		return nil
	}
	c.clientOnce.Do(func() { c.client = newClientCert(c.TLS.PeerCertificates[0]) })
	return c.client
}

func newClientCert(cert *x509.Certificate) *ClientCert {
	sum := sha256.Sum256(cert.Raw)
	c := &ClientCert{Subject: cert.Subject.String(), Fingerprint: hex.EncodeToString(sum[:])}
	c.Names = append(append(c.Names, cert.DNSNames...), cert.EmailAddresses...)
	for _, a := range cert.IPAddresses {
		c.Names = append(c.Names, a.String())
	}
	for _, u := range cert.URIs {
		c.Names = append(c.Names, u.String())
	}
	// As Envoy writes it: pairs with ";" between them, the subject always quoted.
	var b strings.Builder
	b.WriteString("Hash=" + c.Fingerprint + `;Subject="` + pairText(c.Subject) + `"`)
	for _, u := range cert.URIs {
		b.WriteString(";URI=" + pairValue(u.String()))
	}
	for _, n := range cert.DNSNames {
		b.WriteString(";DNS=" + pairValue(n))
	}
	c.Forwarded = b.String()
	return c
}

// pairValue quotes a value that holds what separates values.
func pairValue(s string) string {
	if strings.ContainsAny(s, `,;="\`) || strings.TrimSpace(s) != s {
		return `"` + pairText(s) + `"`
	}
	return pairText(s)
}

// pairText escapes what can't stand between quotes. What can't stand in a header
// field at all becomes "?": a certificate may hold any bytes.
func pairText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c == 0x7f:
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
