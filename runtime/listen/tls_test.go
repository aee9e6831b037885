package listen_test

//lint:file-ignore SA1019 a transport that takes a connection which is there already

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/headgate/headgate/runtime/certs"
	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/listen"
)

// certificate makes a certificate for names that signs itself.
func certificate(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func tlsSpec(t testing.TB, name, address string) listen.Spec {
	return listen.Spec{Name: name, Address: address, HTTP1: true, H2C: true, TLS: certs.Fixed(&tls.Config{
		Certificates: []tls.Certificate{certificate(t, name)}, NextProtos: []string{"h2", "http/1.1", "acme-tls/1"},
	})}
}

func dialTLS(t *testing.T, addr string, protos ...string) (*tls.Conn, *bufio.Reader) {
	t.Helper()
	c, _ := dial(t, addr)
	tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: protos, ServerName: "x"})
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	return tc, bufio.NewReader(tc)
}

// ask sends a request and returns the status line and the body of the answer.
func ask(t *testing.T, c net.Conn, in *bufio.Reader) string {
	t.Helper()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func TestTLSProtocols(t *testing.T) {
	b := newBed(t)
	b.apply(tlsSpec(t, "s", "127.0.0.1:0"))
	for _, protos := range [][]string{nil, {"http/1.1"}, {"http/1.1", "other"}} {
		c, in := dialTLS(t, b.addr("s"), protos...)
		if got := ask(t, c, in); got != "s" {
			t.Errorf("%v: got %q", protos, got)
		}
		c.Close()
	}
	c, _ := dialTLS(t, b.addr("s"), "h2")
	cc, err := (&http2.Transport{}).NewClientConn(c)
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("GET", "https://x/", nil)
	res, err := cc.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.ProtoMajor != 2 || string(p) != "s" {
		t.Errorf("over h2: %s %q", res.Proto, p)
	}
	cc.Close()
	c, in := dialTLS(t, b.addr("s"), "acme-tls/1")
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("acme-tls/1: %v", err)
	}
	c.Close()
}

// TestPlainOnTLS sends requests in the clear to a TLS port.
func TestPlainOnTLS(t *testing.T) {
	b := newBed(t)
	b.apply(tlsSpec(t, "s", "127.0.0.1:0"))
	for _, line := range []string{"GET / HTTP/1.1", "PROPFIND /x HTTP/1.1", "PRI * HTTP/2.0"} {
		c, in := dial(t, b.addr("s"))
		fmt.Fprintf(c, "%s\r\nHost: a\r\n\r\n%s", line, strings.Repeat("x", 5000))
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		p, _ := io.ReadAll(res.Body)
		if res.StatusCode != 400 || !strings.Contains(string(p), "HTTPS") {
			t.Errorf("%s: %d %q", line, res.StatusCode, p)
		}
		c.Close()
	}
}

// TestBadHandshakes ends with the listener as it was.
func TestBadHandshakes(t *testing.T) {
	b := newBed(t)
	spec := tlsSpec(t, "s", "127.0.0.1:0")
	spec.Timeouts = http1.Timeouts{Header: 50 * time.Millisecond}
	b.apply(spec)
	for name, send := range map[string]string{
		"silent": "", "garbage": "\x00\x01\x02\x03\x04\x05\x06", "half a record": "\x16\x03\x01\x02\x00\x01\x00",
		"an alert": "\x15\x03\x01\x00\x02\x01\x00", "an empty hello": "\x16\x03\x01\x00\x04\x01\x00\x00\x00",
	} {
		c, in := dial(t, b.addr("s"))
		fmt.Fprint(c, send)
		if _, err := io.Copy(io.Discard, in); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := b.Stats()[0].Refused["handshake"]; got != 5 {
		t.Errorf("%d handshakes counted", got)
	}
	c, in := dialTLS(t, b.addr("s"))
	if got := ask(t, c, in); got != "s" {
		t.Errorf("got %q", got)
	}
}

// TestTLSChange gives a listener another certificate under a live connection.
func TestTLSChange(t *testing.T) {
	b := newBed(t)
	address := freePort(t)
	b.apply(tlsSpec(t, "one", address))
	old, oldIn := dialTLS(t, address)
	ask(t, old, oldIn)
	b.apply(tlsSpec(t, "two", address))
	fresh, freshIn := dialTLS(t, address)
	if got := ask(t, fresh, freshIn); got != "two" || fresh.ConnectionState().PeerCertificates[0].DNSNames[0] != "two" {
		t.Errorf("a new connection: %q, %v", got, fresh.ConnectionState().PeerCertificates[0].DNSNames)
	}
	if got := ask(t, old, oldIn); got != "one" {
		t.Errorf("the old connection: %q", got)
	}
}

// TestDrainInHandshake drains while a handshake is under way, which goes on.
func TestDrainInHandshake(t *testing.T) {
	b := newBed(t)
	b.apply(tlsSpec(t, "s", "127.0.0.1:0"))
	address := b.addr("s")
	c, _ := dial(t, address)
	for b.Connections() == 0 {
		time.Sleep(time.Millisecond)
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		done <- b.Shutdown(ctx)
	}()
	for { // until nothing is accepted
		c, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		c.Close()
	}
	tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(tc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(tc), nil)
	if err != nil || res.StatusCode != 200 || !res.Close {
		t.Errorf("got %v %v", res, err)
	}
	tc.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestIdleTLSMemory measures what connections hold that made their handshake and
// one exchange, the client's end included.
func TestIdleTLSMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector multiplies memory")
	}
	const n = 200
	b := newBed(t)
	b.apply(tlsSpec(t, "s", "127.0.0.1:0"))
	conns := make([]*tls.Conn, n)
	for i := range conns {
		c, in := dialTLS(t, b.addr("s"), "http/1.1")
		ask(t, c, in)
		conns[i] = c
	}
	with := inUse()
	for _, c := range conns {
		c.Close()
	}
	for b.Connections() > 0 {
		time.Sleep(time.Millisecond)
	}
	clear(conns)
	without := inUse()
	each := int64(with-without) / n
	t.Logf("%d bytes for both ends of each idle TLS connection", each)
	if each > 40<<10 {
		t.Errorf("an idle TLS connection holds %d bytes", each)
	}
}

func inUse() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
