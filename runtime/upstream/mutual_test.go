package upstream

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/test/need"
)

// write makes a certificate that signs itself, for name, and returns its files.
func write(t testing.TB, dir, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// New connections show the client certificate that the files hold, and the one
// from before while the files are broken.
func TestClientCertificate(t *testing.T) {
	seen := make(chan string, 1)
	s := serveSecure(t, false, func(c *tls.Config) {
		c.ClientAuth = tls.RequireAnyClientCert
		c.VerifyConnection = func(state tls.ConnectionState) error {
			seen <- fmt.Sprint(state.PeerCertificates[0].Subject.CommonName, " ", state.DidResume)
			return nil
		}
	})
	var logged bytes.Buffer
	r := registry(t)
	r.LogTo(slog.New(slog.NewTextHandler(&logged, nil)))
	dir := t.TempDir()
	cert, key := write(t, dir, "first.test")
	_, e := endpoint(t, r, Config{TLS: &TLS{CAFile: s.ca, CertFile: cert, KeyFile: key}}, s.address())
	visit := func(want string) {
		t.Helper()
		c, _ := acquire(t, e, true)
		use(t, c, "/")
		e.Discard(c)
		if got := <-seen; got != want {
			t.Errorf("the endpoint saw %s, want %s", got, want)
		}
	}
	visit("first.test false")
	visit("first.test true")
	write(t, dir, "second.name.test")
	visit("second.name.test false") // a session stands for the checks of then
	if logged.Len() > 0 {
		t.Errorf("logged %s", &logged)
	}
	if err := os.WriteFile(key, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	visit("second.name.test true")
	visit("second.name.test true")
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	visit("second.name.test true")
	if n := bytes.Count(logged.Bytes(), []byte("can't be used")); n != 2 {
		t.Errorf("logged %d times: %s", n, &logged)
	}
	write(t, dir, "the.third.name.test")
	visit("the.third.name.test false")
}

// connect_timeout covers a handshake that nobody answers.
func TestHandshakeTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, e := endpoint(t, registry(t), Config{ConnectTimeout: 50 * time.Millisecond, TLS: &TLS{Insecure: true}}, l.Addr().String())
	if _, _, err := e.Acquire(context.Background(), false); err == nil || e.Active() != 0 || e.info().Errors.Connect != 1 {
		t.Errorf("%v, %+v", err, e.info())
	}
}

const nginxConfig = `
daemon off; master_process off; pid nginx.pid; error_log stderr crit;
events {}
http {
	access_log off;
	client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
	server {
		listen unix:%s/nginx.sock ssl http2;
		ssl_certificate cert.pem; ssl_certificate_key key.pem;
		ssl_client_certificate client/cert.pem; ssl_verify_client on;
		ssl_protocols TLSv1.2 TLSv1.3;
		location / { return 200 "$ssl_client_s_dn $server_protocol $connection_requests"; }
	}
}
`

// nginx demands a client certificate; one connection over TLS 1.3 carries all
// requests that follow each other.
func TestNginxClientCertificate(t *testing.T) {
	program := need.Program(t, "nginx")
	dir := t.TempDir()
	ca, _ := write(t, dir, "orders.test")
	if err := os.Mkdir(filepath.Join(dir, "client"), 0o700); err != nil {
		t.Fatal(err)
	}
	cert, key := write(t, filepath.Join(dir, "client"), "gateway.test")
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-p", dir, "-c", config, "-e", "stderr")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stop(); _ = cmd.Wait() }()
	socket := filepath.Join(dir, "nginx.sock")
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			break
		} else if time.Since(start) > 10*time.Second {
			t.Fatal(err)
		}
	}
	visit := func(t *testing.T, conn Conn, want int) {
		t.Helper()
		var r exchange.Response
		if err := conn.WriteRequest(&exchange.Request{Method: "HEAD", Path: "/", Authority: "orders.test"}, nil, true); err != nil {
			t.Fatal(err)
		}
		if err := conn.ReadResponse("HEAD", &r); err != nil || r.Status != want {
			t.Fatalf("%d, %v", r.Status, err)
		}
	}
	t.Run("none", func(t *testing.T) {
		_, e := endpoint(t, registry(t), Config{TLS: &TLS{CAFile: ca, ServerName: "orders.test"}}, "unix:"+socket)
		conn, _ := acquire(t, e, false)
		visit(t, conn, 400)
		e.Discard(conn)
	})
	for name, c := range map[string]Config{"http/1.1": {}, "h2": {HTTP2: true}, "auto": {Auto: true}} {
		t.Run(name, func(t *testing.T) {
			c.TLS = &TLS{CAFile: ca, ServerName: "orders.test", CertFile: cert, KeyFile: key}
			_, e := endpoint(t, registry(t), c, "unix:"+socket)
			for i := range 100 {
				conn, reused := acquire(t, e, false)
				visit(t, conn, 200)
				e.Release(conn)
				if reused != (i > 0) {
					t.Fatalf("request %d: reused is %v", i, reused)
				}
			}
		})
	}
}
