package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/gateway"
	"github.com/headgate/headgate/test/need"
)

// authority is a Pebble, the ACME server of Let's Encrypt for tests. Every name
// is 127.0.0.1 to it, and it checks names at the ports http and tls.
type authority struct {
	t                     testing.TB
	dir                   string
	directory, management string // ports
	http, tls, dns        string
	roots                 *x509.CertPool
	log                   *lockedBuffer
	environment           []string
}

// newAuthority prepares a Pebble whose certificates are valid for some seconds.
// Another environment changes how it behaves.
func newAuthority(t testing.TB, validity int, environment ...string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), log: &lockedBuffer{}, roots: x509.NewCertPool(), environment: environment}
	need.Program(t, "pebble")
	names := need.Program(t, "pebble-challtestsrv")
	ports := freePorts(t, 6)
	a.directory, a.management, a.http, a.tls, a.dns = ports[0], ports[1], ports[2], ports[3], ports[4]
	ca := newPair(t, nil, "ca")
	own := newPair(t, ca, "localhost")
	a.put("ca.pem", ca.cert)
	a.put("own.pem", own.cert)
	a.put("own.key", own.key)
	a.put("pebble.json", fmt.Sprintf(`{"pebble": {
		"listenAddress": "127.0.0.1:%s", "managementListenAddress": "127.0.0.1:%s",
		"certificate": %q, "privateKey": %q, "httpPort": %s, "tlsPort": %s,
		"retryAfter": {"authz": 1, "order": 1},
		"profiles": {"default": {"description": "default", "validityPeriod": %d}}}}`,
		a.directory, a.management, filepath.Join(a.dir, "own.pem"), filepath.Join(a.dir, "own.key"), a.http, a.tls, validity))
	run(t, a.log, nil, names, "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-dnsserver", "127.0.0.1:"+a.dns,
		"-management", "127.0.0.1:"+ports[5], "-defaultIPv6", "")
	return a
}

// serve starts Pebble and waits until it answers.
func (a *authority) serve() {
	a.t.Helper()
	run(a.t, a.log, append([]string{"PEBBLE_VA_NOSLEEP=1"}, a.environment...), need.Program(a.t, "pebble"),
		"-config", filepath.Join(a.dir, "pebble.json"), "-dnsserver", "127.0.0.1:"+a.dns)
	pool := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(a.dir, "ca.pem"))
	if err != nil || !pool.AppendCertsFromPEM(text) {
		a.t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}}}
	defer client.CloseIdleConnections()
	eventually(a.t, "Pebble answers", func() bool {
		res, err := client.Get("https://127.0.0.1:" + a.management + "/roots/0")
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		root, err := io.ReadAll(res.Body)
		return err == nil && a.roots.AppendCertsFromPEM(root)
	})
}

func (a *authority) put(name, text string) {
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// files are those of a gateway that obtains a certificate for a.test and b.test.
func (a *authority) files(challenge string) map[string]string {
	return map[string]string{"acme.hcl": fmt.Sprintf(`
listener "checked" {
  address = "127.0.0.1:%s"
}
listener "secure" {
  address = "127.0.0.1:%s"
  tls {
    certificates = [certificate.auto]
    client_auth {
      mode    = "require"
      ca_file = %q
    }
  }
}
listener "open" {
  address = "127.0.0.1:0"
  tls {
    certificates = [certificate.auto]
  }
}
certificate "auto" {
  domains = ["a.test", "b.test"]
  acme {
    directory = "https://localhost:%s/dir"
    ca_file   = %[3]q
    storage   = %[5]q
    challenge = %[6]q
  }
}
route "all" {
  respond {
    body = "routed"
  }
}
`, a.http, a.tls, filepath.Join(a.dir, "ca.pem"), a.directory, filepath.Join(a.dir, "storage"), challenge)}
}

// shows returns the certificate that r shows for name, nil if the handshake
// fails.
func (a *authority) shows(r *rig, name string) *x509.Certificate {
	c, err := tls.Dial("tcp", r.g.Addrs()["open"].String(), &tls.Config{ServerName: name, RootCAs: a.roots})
	if err != nil {
		return nil
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0]
}

func (a *authority) orders() int { return strings.Count(a.log.String(), "Added order") }

func TestACME(t *testing.T) {
	for _, challenge := range []string{"tls-alpn-01", "http-01"} {
		t.Run(challenge, func(t *testing.T) {
			checkLeaks(t)
			// Pebble refuses half of the nonces, as a server with many front ends may.
			a := newAuthority(t, 7776000, "PEBBLE_WFE_NONCEREJECT=50")
			a.serve()
			r, stop := startStoppable(t, a.files(challenge))
			var leaf *x509.Certificate
			eventually(t, "a certificate is shown", func() bool { leaf = a.shows(r, "a.test"); return leaf != nil })
			if !slices.Equal(leaf.DNSNames, []string{"a.test", "b.test"}) {
				t.Errorf("names %q", leaf.DNSNames)
			}
			if _, _, body := r.get("/.well-known/acme-challenge/x"); body != "routed" {
				t.Errorf("an unknown token is answered with %q", body)
			}
			var list struct {
				Certificates []struct{ Name, Expires string }
			}
			if text := r.admin("/config"); json.Unmarshal([]byte(text), &list) != nil || len(list.Certificates) != 1 || list.Certificates[0].Expires == "" {
				t.Errorf("certificates: %s", text)
			}
			r.reload()
			stop()
			a.restarted(challenge, leaf)
			if n := a.orders(); n != 1 {
				t.Errorf("%d orders", n)
			}
		})
	}
}

// restarted checks that a second process shows what the first obtained, at once,
// and that what is kept is kept from others.
func (a *authority) restarted(challenge string, leaf *x509.Certificate) {
	t := a.t
	t.Helper()
	_ = filepath.WalkDir(filepath.Join(a.dir, "storage"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			t.Error(err)
		} else if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", path, info, err)
		}
		return nil
	})
	again := start(t, a.files(challenge))
	if c := a.shows(again, "b.test"); c == nil || !c.Equal(leaf) {
		t.Error("a restart shows another certificate")
	}
}

func TestACMERenewal(t *testing.T) {
	checkLeaks(t)
	a := newAuthority(t, 6)
	r := start(t, a.files("tls-alpn-01")) // before there is a server
	if c := a.shows(r, "a.test"); c != nil {
		t.Errorf("shown before it is obtained: %v", c.Subject)
	}
	eventually(t, "a failure is told", func() bool { return strings.Contains(r.log.String(), "next_try=") })
	a.serve()
	var first *x509.Certificate
	eventually(t, "a certificate is shown", func() bool { first = a.shows(r, "a.test"); return first != nil })
	eventually(t, "it is renewed", func() bool {
		c := a.shows(r, "a.test")
		return c != nil && !c.Equal(first)
	})
	if log := r.log.String(); !strings.Contains(log, "certificate renewed") {
		t.Error("no line tells of the renewal")
	}
}

// startStoppable is start for a gateway that may end before the test.
func startStoppable(t testing.TB, files map[string]string) (r *rig, stop func()) {
	t.Helper()
	r = &rig{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	r.write("preamble.hcl", preamble)
	for name, text := range files {
		r.write(name, text)
	}
	g, err := gateway.Start(context.Background(), r.options())
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	r.g, r.base = g, "http://"+g.Addrs()["main"].String()
	stop = sync.OnceFunc(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := g.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	t.Cleanup(stop)
	return r, stop
}

// run runs a program until the test ends.
func run(t testing.TB, log io.Writer, environment []string, program string, args ...string) {
	t.Helper()
	c := exec.Command(program, args...)
	c.Env = append(os.Environ(), environment...)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
}

// freePorts are ports of 127.0.0.1 that nobody listened at just now: Pebble does
// not tell which it was given for 0.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var list []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		list = append(list, port)
	}
	return list
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !f(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
