package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/test/need"
)

// keyPair is a certificate with its key, as PEM and for crypto/tls.
type keyPair struct {
	cert, key string
	tls.Certificate
}

// newPair makes a certificate for names, signed by ca or by itself.
func newPair(t testing.TB, ca *keyPair, names ...string) *keyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: names[0], Organization: []string{`A "quoted", Inc`}}, DNSNames: names, IsCA: ca == nil, BasicConstraintsValid: true,
		URIs:      []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/" + names[0]}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	parent, signer := template, key
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := &keyPair{
		cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
	}
	if p.Certificate, err = tls.X509KeyPair([]byte(p.cert), []byte(p.key)); err != nil {
		t.Fatal(err)
	}
	return p
}

// putPair writes a certificate where secure expects it.
func (r *rig) putPair(name string, p *keyPair) {
	r.write(name+".crt", p.cert)
	r.write(name+".key", p.key)
}

// secure is the files of a gateway with certificates for a.example.com and
// b.example.com at the listener "tls", whose tls block has more in it.
func secure(t testing.TB, more string, rest string) map[string]string {
	t.Helper()
	files := map[string]string{"secure.hcl": fmt.Sprintf(`
certificate "a" {
  cert_file = "a.crt"
  key_file  = "a.key"
}
certificate "b" {
  cert_file = "b.crt"
  key_file  = "b.key"
}
listener "tls" {
  address = "127.0.0.1:0"
  tls {
    certificates = [certificate.a, certificate.b]
    %s
  }
}
%s`, more, rest)}
	for _, name := range []string{"a", "b"} {
		p := newPair(t, nil, name+".example.com")
		files[name+".crt"], files[name+".key"] = p.cert, p.key
	}
	return files
}

// client speaks TLS to the listener "tls", over one connection at a time.
func (r *rig) client(cfg *tls.Config, h2 bool) *http.Client {
	cfg.InsecureSkipVerify = true
	tr := &http.Transport{
		TLSClientConfig: cfg, MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, r.g.Addrs()["tls"].String())
		},
	}
	tr.Protocols = &http.Protocols{}
	tr.Protocols.SetHTTP1(!h2)
	tr.Protocols.SetHTTP2(h2)
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// ask sends a GET for host, "" for that of the URL, and returns status and body.
func ask(t testing.TB, c *http.Client, target, host string, headers ...string) (int, string, *http.Response) {
	t.Helper()
	req, err := http.NewRequest("GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b), res
}

// TestMisdirected sends requests for another host over a connection, by both
// protocols. The connection goes on.
func TestMisdirected(t *testing.T) {
	checkLeaks(t)
	r := start(t, secure(t, "", `
route "all" {
  respond {
    body = "${request.host} ${request.scheme} ${request.protocol}"
  }
}
`))
	for _, h2 := range []bool{false, true} {
		c := r.client(&tls.Config{}, h2)
		proto := map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[h2]
		for _, x := range []struct {
			host   string
			status int
		}{
			{"a.example.com", 200}, {"b.example.com", 421}, {"a.example.com", 200}, {"A.EXAMPLE.COM:8443", 200}, {"b.example.com.", 421}, {"other.org", 200},
		} {
			status, body, res := ask(t, c, "https://a.example.com/", x.host)
			if status != x.status || res.ProtoMajor != map[bool]int{false: 1, true: 2}[h2] {
				t.Errorf("%s %s: %d %q", proto, x.host, status, body)
			}
			if want := strings.ToLower(strings.Split(x.host, ":")[0]) + " https " + proto; status == 200 && body != want {
				t.Errorf("%s: got %q, want %q", x.host, body, want)
			}
		}
		if status, body, _ := ask(t, c, "https://b.example.com/", ""); status != 200 {
			t.Errorf("its own connection: %d %q", status, body)
		}
		// gRPC clients get a gRPC error.
		if _, _, res := ask(t, c, "https://a.example.com/x", "b.example.com", "Content-Type: application/grpc"); res.StatusCode != 200 || res.Header.Get("Grpc-Status") != "2" {
			t.Errorf("gRPC: %d %v", res.StatusCode, res.Header)
		}
	}
	// Without SNI nothing was asked for.
	nc, err := tls.Dial("tcp", r.g.Addrs()["tls"].String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || res.StatusCode != 200 {
		t.Errorf("without SNI: %v %v", res, err)
	}
}

// TestClientCertificates is a table of what clients show, what they claim, and
// what the backend is told.
func TestClientCertificates(t *testing.T) {
	checkLeaks(t)
	ca, other := newPair(t, nil, "ca"), newPair(t, nil, "other")
	ann, eve := newPair(t, ca, "ann.example.com"), newPair(t, other, "eve.example.com")
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Join(r.Header.Values("X-Forwarded-Client-Cert"), " + "))
	})
	sum := fmt.Sprintf("%x", sha256.Sum256(ann.Leaf.Raw))
	element := `Hash=` + sum + `;Subject="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(ann.Leaf.Subject.String()) + `";URI=spiffe://example.com/ann.example.com;DNS=ann.example.com`
	const claim = "Hash=00;Subject=root"
	for _, x := range []struct {
		mode             string
		forward, trusted bool
		show             *keyPair
		fails            bool
		backend          string // of a client that claims something
		values           string
	}{
		{mode: "none", show: ann, values: "||"},
		{mode: "none", trusted: true, backend: claim, values: "||"},
		{mode: "request", forward: true, values: "||"},
		{mode: "request", forward: true, trusted: true, values: "||"},
		{mode: "request", forward: true, show: ann, backend: element, values: ann.Leaf.Subject.String() + "|ann.example.com|" + sum},
		{mode: "request", forward: true, show: eve, fails: true},
		{mode: "require", show: ann, values: ann.Leaf.Subject.String() + "|ann.example.com|" + sum},
		{mode: "require", show: ann, trusted: true, backend: claim, values: ann.Leaf.Subject.String() + "|ann.example.com|" + sum},
		{mode: "require", forward: true, show: ann, trusted: true, backend: element, values: ann.Leaf.Subject.String() + "|ann.example.com|" + sum},
		{mode: "require", fails: true},
		{mode: "require", show: eve, fails: true},
	} {
		name := fmt.Sprintf("%s forward=%v trusted=%v", x.mode, x.forward, x.trusted)
		files := secure(t, fmt.Sprintf("client_auth {\n mode = %q\n ca_file = \"ca.pem\"\n forward = %v\n}", x.mode, x.forward), fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
}
route "all" {
  path     = "/b"
  upstream = upstream.b
}
route "values" {
  path = "/values"
  respond {
    body = "${tls.client.subject}|${tls.client.san[0]}|${tls.client.fingerprint}"
  }
}
`, addr))
		files["ca.pem"] = ca.cert
		if x.trusted {
			files["preamble.hcl"] = strings.Replace(preamble, "gateway {", "gateway {\n  trusted_proxies = [\"127.0.0.1/32\"]", 1)
		}
		t.Run(name, func(t *testing.T) {
			r := start(t, files)
			for _, h2 := range []bool{false, true} {
				cfg := &tls.Config{}
				if x.show != nil {
					cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &x.show.Certificate, nil }
				}
				c := r.client(cfg, h2)
				if x.fails {
					if res, err := c.Get("https://a.example.com/b"); err == nil {
						t.Errorf("was let in: %s", res.Status)
						res.Body.Close()
					}
					continue
				}
				for range 2 {
					if _, got, _ := ask(t, c, "https://a.example.com/b", "", "X-Forwarded-Client-Cert: "+claim); got != x.backend {
						t.Errorf("the backend is told %q, want %q", got, x.backend)
					}
					if _, got, _ := ask(t, c, "https://a.example.com/values", ""); got != x.values {
						t.Errorf("values %q, want %q", got, x.values)
					}
				}
			}
		})
	}
}

// TestCertificateChange replaces certificates under load, by files and by
// reloads, and loses no request and no connection.
func TestCertificateChange(t *testing.T) {
	checkLeaks(t)
	rest := `
route "all" {
  respond {
    body = "ok"
  }
}
`
	r := start(t, secure(t, "", rest))
	address := r.g.Addrs()["tls"].String()
	var requests, dials atomic.Int64
	stop := make(chan struct{})
	var running sync.WaitGroup
	load := func(f func() error) {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := f(); err != nil {
					t.Errorf("after %d requests: %v", requests.Load(), err)
					return
				}
			}
		})
	}
	one := func(c net.Conn, in *bufio.Reader) error {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if b, err := io.ReadAll(res.Body); err != nil || string(b) != "ok" {
			return fmt.Errorf("%d %q %v", res.StatusCode, b, err)
		}
		requests.Add(1)
		return nil
	}
	cache := tls.NewLRUClientSessionCache(8)
	dial := func() (*tls.Conn, error) {
		return tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: "b.example.com", ClientSessionCache: cache})
	}
	for range 2 { // connections that stay
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		in := bufio.NewReader(c)
		load(func() error { return one(c, in) })
	}
	load(func() error { // and those that come and go
		c, err := dial()
		if err != nil {
			return err
		}
		defer c.Close()
		if dials.Add(1) > 5 && !c.ConnectionState().DidResume {
			return fmt.Errorf("session %d was not resumed", dials.Load())
		}
		return one(c, bufio.NewReader(c))
	})
	shown := func() string {
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: "b.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return string(c.ConnectionState().PeerCertificates[0].Raw)
	}
	await := func(p *keyPair) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); shown() != string(p.Leaf.Raw); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the new certificate is not shown")
			}
		}
	}
	second := newPair(t, nil, "b.example.com")
	r.putPair("b", second)
	await(second)
	for i := range 5 { // what was read from files stays over reloads
		r.write("more.hcl", fmt.Sprintf("route \"more\" {\n  path = \"/%d\"\n  respond {}\n}\n", i))
		r.reload()
		if shown() != string(second.Leaf.Raw) {
			t.Fatal("a reload brought the old certificate back")
		}
	}
	r.write("b.crt", "nonsense") // and what can't be used changes nothing
	for end := time.Now().Add(20 * time.Second); !strings.Contains(r.admin("/metrics"), `headgate_certificate_reloads_total{certificate="b",result="error"} 1`); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no error is counted")
		}
	}
	if shown() != string(second.Leaf.Raw) {
		t.Error("another certificate after a broken file")
	}
	r.write("more.hcl", "route \"more\" {\n  path = \"/more\"\n  respond {}\n}\n")
	r.reload() // nor keeps changes of anything else away
	if shown() != string(second.Leaf.Raw) {
		t.Error("another certificate after a reload with a broken file")
	}
	close(stop)
	running.Wait()
	t.Logf("%d requests, %d connections", requests.Load(), dials.Load())
	metrics := r.admin("/metrics")
	for _, want := range []string{
		fmt.Sprintf("headgate_certificate_expiry_seconds{certificate=\"b\"} %v", float64(second.Leaf.NotAfter.Unix())),
		`headgate_certificate_reloads_total{certificate="b",result="ok"} 1`,
		`headgate_certificate_reloads_total{certificate="a",result="ok"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics:\n%s", want, grep(metrics, "certificate"))
		}
	}
	if text := r.admin("/config"); !strings.Contains(text, second.Leaf.NotAfter.UTC().Format(time.RFC3339)) || !strings.Contains(text, `"b.example.com"`) {
		t.Errorf("/config: %s", text)
	}
	if log := r.log.String(); !strings.Contains(log, "certificate read again") || strings.Contains(log, "PRIVATE KEY") {
		t.Errorf("log:\n%s", log)
	}
}

// TestTLSScan has sslscan list what the listener agrees on.
func TestTLSScan(t *testing.T) {
	program := need.Program(t, "sslscan")
	checkLeaks(t)
	r := start(t, secure(t, "", "route \"all\" {\n  respond {}\n}\n"))
	var out bytes.Buffer
	cmd := exec.Command(program, "--no-colour", "--xml=-", "--sni-name=a.example.com", r.g.Addrs()["tls"].String())
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		t.Fatal(err, out.String())
	}
	var doc struct {
		Test struct {
			Protocols []struct {
				Type    string `xml:"type,attr"`
				Version string `xml:"version,attr"`
				Enabled int    `xml:"enabled,attr"`
			} `xml:"protocol"`
			Ciphers []struct {
				Version string `xml:"sslversion,attr"`
				Name    string `xml:"cipher,attr"`
			} `xml:"cipher"`
			Compression struct {
				Supported int `xml:"supported,attr"`
			} `xml:"compression"`
			Renegotiation struct {
				Supported int `xml:"supported,attr"`
			} `xml:"renegotiation"`
			Heartbleed []struct {
				Vulnerable int `xml:"vulnerable,attr"`
			} `xml:"heartbleed"`
		} `xml:"ssltest"`
	}
	if err := xml.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatal(err, out.String())
	}
	for _, p := range doc.Test.Protocols {
		if on := p.Type == "tls" && (p.Version == "1.2" || p.Version == "1.3"); on != (p.Enabled == 1) {
			t.Errorf("%s %s: %d", p.Type, p.Version, p.Enabled)
		}
	}
	var names []string
	for _, c := range doc.Test.Ciphers {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	want := []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
		"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
	}
	if !slices.Equal(names, want) {
		t.Errorf("suites %q", names)
	}
	if doc.Test.Compression.Supported != 0 || slices.ContainsFunc(doc.Test.Heartbleed, func(h struct {
		Vulnerable int `xml:"vulnerable,attr"`
	}) bool {
		return h.Vulnerable != 0
	}) {
		t.Errorf("%s", out.String())
	}
	if len(doc.Test.Protocols) < 5 {
		t.Errorf("%d protocols were tried", len(doc.Test.Protocols))
	}
}
