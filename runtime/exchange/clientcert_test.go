package exchange

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"slices"
	"testing"
)

func TestClientCert(t *testing.T) {
	if c := (&Conn{}).ClientCert(); c != nil {
		t.Errorf("in the clear: %+v", c)
	}
	if c := (&Conn{TLS: &tls.ConnectionState{}}).ClientCert(); c != nil {
		t.Errorf("without a certificate: %+v", c)
	}
	const none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // of no bytes
	for _, x := range []struct {
		cert      x509.Certificate
		forwarded string
		names     []string
	}{
		{x509.Certificate{}, `Hash=` + none + `;Subject=""`, nil},
		{
			x509.Certificate{Subject: pkix.Name{CommonName: "ann", Organization: []string{"A"}}, DNSNames: []string{"a", "b"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}, EmailAddresses: []string{"a@b"}},
			`Hash=` + none + `;Subject="CN=ann,O=A";DNS=a;DNS=b`, []string{"a", "b", "a@b", "10.0.0.1"},
		},
		{
			x509.Certificate{Subject: pkix.Name{CommonName: "x\"\r\nx-admin: 1\x00\x7f"}, DNSNames: []string{`a;b="c"`, " d", "e\nf"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "h", Path: "/p,q=r"}}},
			"Hash=" + none + `;Subject="CN=x\\\"??x-admin: 1??";URI="spiffe://h/p,q=r";DNS="a;b=\"c\"";DNS=" d";DNS=e?f`,
			[]string{`a;b="c"`, " d", "e\nf", "spiffe://h/p,q=r"},
		},
	} {
		c := (&Conn{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{&x.cert}}}).ClientCert()
		if c.Forwarded != x.forwarded || !slices.Equal(c.Names, x.names) {
			t.Errorf("got  %s %q\nwant %s %q", c.Forwarded, c.Names, x.forwarded, x.names)
		}
		if !ValidValue(c.Forwarded) {
			t.Errorf("%q can't be a header field", c.Forwarded)
		}
	}
}
