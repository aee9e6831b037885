package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kind is the kind of a key.
type kind int

const (
	ecdsaKey kind = iota
	rsaKey
	edKey
)

func newKey(t testing.TB, k kind) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch k {
	case rsaKey:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case edKey:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// authority signs certificates; nil: they sign themselves.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t testing.TB, name string) *authority {
	c := sign(t, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, ecdsaKey)
	return &authority{c.Leaf, c.PrivateKey.(crypto.Signer)}
}

func sign(t testing.TB, a *authority, template *x509.Certificate, k kind) tls.Certificate {
	t.Helper()
	key := newKey(t, k)
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// pair makes a certificate for names, the first of which is its common name.
func pair(t testing.TB, k kind, names ...string) tls.Certificate {
	t.Helper()
	return sign(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: names[0]}, DNSNames: names}, k)
}

// client makes a certificate to show to servers.
func client(t testing.TB, a *authority, name string) tls.Certificate {
	t.Helper()
	return sign(t, a, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/" + name}},
	}, ecdsaKey)
}

// showing is a certificate that shows c.
func showing(t testing.TB, name string, c tls.Certificate) *Certificate {
	t.Helper()
	out := New(name)
	if err := out.Replace(c, time.Now()); err != nil {
		t.Fatal(err)
	}
	return out
}

func certPEM(c tls.Certificate) []byte {
	var out []byte
	for _, der := range c.Certificate {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

func keyPEM(t testing.TB, c tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// put writes a file as a whole, which rename(2) does.
func put(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func putPair(t testing.TB, dir string, c tls.Certificate) {
	t.Helper()
	put(t, filepath.Join(dir, "tls.crt"), certPEM(c))
	put(t, filepath.Join(dir, "tls.key"), keyPEM(t, c))
}

// shake makes a handshake and returns both ends' view of it, once a byte has
// gone each way: a session ticket has then arrived.
func shake(t testing.TB, s *Server, c *tls.Config) (clientSide, serverSide tls.ConnectionState, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan tls.ConnectionState, 1)
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		srv := tls.Server(nc, s.Config())
		defer srv.Close()
		b := make([]byte, 1)
		if _, err := srv.Read(b); err == nil {
			_, _ = srv.Write(b)
			done <- srv.ConnectionState()
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cc := tls.Client(nc, c)
	b := []byte{'x'}
	if err = cc.Handshake(); err == nil {
		if _, err = cc.Write(b); err == nil {
			var n int
			if n, err = cc.Read(b); n == 1 {
				err = nil // the end may come along
			}
		}
	}
	clientSide = cc.ConnectionState()
	nc.Close()
	return clientSide, <-done, err
}
