package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/certs"
)

// TestBuildTLS builds twice with the same store: a reload keeps certificates.
func TestBuildTLS(t *testing.T) {
	c, d := Load(Source{Paths: []string{"testdata/good/tls.hcl"}})
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	deps := testDeps(t)
	deps.Certificates = certs.NewStore(slog.New(slog.DiscardHandler))
	defer deps.Certificates.Close()
	one, d := Build(t.Context(), c, deps)
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	two, d := Build(t.Context(), c, deps)
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	for i, l := range one.Listeners {
		if l.TLS == nil || l.TLS == two.Listeners[i].TLS {
			t.Errorf("%s: TLS %v", l.Name, l.TLS)
		}
		if l.ForwardClientCert != (l.Name == "public") {
			t.Errorf("%s: forward %v", l.Name, l.ForwardClientCert)
		}
		want := map[string]string{"public": "h2 http/1.1", "partners": "http/1.1", "open": "h2 http/1.1"}[l.Name]
		if got := strings.Join(l.TLS.Config().NextProtos, " "); got != want {
			t.Errorf("%s: ALPN %q", l.Name, got)
		}
	}
	if n := len(deps.Certificates.Stats()); n != 4 { // three, and the authorities
		t.Errorf("%d sources", n)
	}
	one.Close()
	if n := len(deps.Certificates.Stats()); n != 4 {
		t.Errorf("%d sources after one generation went", n)
	}
	two.Close()
	if n := len(deps.Certificates.Stats()); n != 0 {
		t.Errorf("%d sources are left", n)
	}
}

// TestBrokenInForce loads a configuration again whose files broke meanwhile. What
// is in force goes on; what is new has to be right.
func TestBrokenInForce(t *testing.T) {
	text := `
certificate "a" {
  cert_file = "a.crt"
  key_file  = "a.key"
}
listener "l" {
  address = ":1"
  tls {
    certificates = [certificate.a]
    client_auth {
      mode    = "require"
      ca_file = "a.crt"
    }
  }
}
`
	dir := write(t, map[string]string{"x.hcl": text})
	for to, from := range map[string]string{"a.crt": "api.crt", "a.key": "api.key"} {
		b, err := os.ReadFile("testdata/tls/" + from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before, d := Load(Source{Paths: []string{dir}})
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	if err := os.WriteFile(dir+"/a.crt", []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, d := Load(Source{Paths: []string{dir}, Previous: before}); d.Len() != 0 {
		t.Error(d.Text())
	}
	if _, d := Load(Source{Paths: []string{dir}}); d.Errors() != 2 {
		t.Error(d.Text())
	}
	if err := os.WriteFile(dir+"/x.hcl", []byte(strings.ReplaceAll(text, "a.key", "./b.key")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, d := Load(Source{Paths: []string{dir}, Previous: before}); d.Errors() != 2 {
		t.Error(d.Text())
	}
}

// TestFilesGoBetween takes files away after they were checked.
func TestFilesGoBetween(t *testing.T) {
	dir := write(t, map[string]string{"x.hcl": `
certificate "a" {
  cert_file = "a.crt"
  key_file  = "a.key"
}
listener "l" {
  address = ":1"
  tls {
    certificates = [certificate.a]
    client_auth {
      mode    = "require"
      ca_file = "ca.crt"
    }
  }
}
`})
	put := func(name, from string) {
		b, err := os.ReadFile("testdata/tls/" + from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("a.crt", "api.crt")
	put("a.key", "api.key")
	put("ca.crt", "ca.crt")
	c, d := Load(Source{Paths: []string{dir}})
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	for _, name := range []string{"a.key", "ca.crt"} {
		if err := os.Remove(dir + "/" + name); err != nil {
			t.Fatal(err)
		}
	}
	deps := testDeps(t)
	deps.Certificates = certs.NewStore(slog.New(slog.DiscardHandler))
	defer deps.Certificates.Close()
	_, d = Build(t.Context(), c, deps)
	if d.Errors() != 2 || !strings.Contains(d.Text(), "a.key: it can't be read") || !strings.Contains(d.Text(), "ca.crt: it can't be read") {
		t.Error(d.Text())
	}
	if n := len(deps.Certificates.Stats()); n != 0 {
		t.Errorf("%d sources are left", n)
	}
}

// TestCertificateWarnings loads certificates that clients would refuse, or never
// see. They are no errors.
func TestCertificateWarnings(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"a.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))}
	var config strings.Builder
	now := time.Now()
	for name, span := range map[string][2]time.Duration{"old": {-2, -1}, "new": {1, 2}, "nameless": {-1, 1}} {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
			NotBefore: now.Add(span[0] * time.Hour), NotAfter: now.Add(span[1] * time.Hour),
		}
		if name != "nameless" {
			template.DNSNames = []string{name}
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		files[name+".crt"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		config.WriteString("certificate \"" + name + "\" {\n  cert_file = \"" + name + ".crt\"\n  key_file = \"a.key\"\n}\n")
	}
	config.WriteString("listener \"l\" {\n  address = \":1\"\n  tls {\n    certificates = [certificate.old, certificate.new, certificate.nameless]\n  }\n}\n")
	files["x.hcl"] = config.String()
	_, d := Load(Source{Paths: []string{write(t, files)}})
	if d.HasErrors() || d.Len() != 3 {
		t.Fatal(d.Text())
	}
	for _, want := range []string{"Expired certificate", "Certificate of the future", "Certificate without a name"} {
		if !strings.Contains(d.Text(), want) {
			t.Errorf("no %q in %s", want, d.Text())
		}
	}
	if strings.Contains(d.Text(), "PRIVATE") {
		t.Error("the key is shown")
	}
}
