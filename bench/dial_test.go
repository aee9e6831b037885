//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// server answers everything with body, as a gateway before the backend would.
func server(t *testing.T, c certificate, body string) gateway {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	return gateway{name: "server", plain: plain.Listener.Addr().String(), tls: secure.Listener.Addr().String()}
}

func TestIdle(t *testing.T) {
	c, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	dial := &dialer{certificate: c}
	right, wrong := server(t, c, strings.Repeat("x", 1024)), server(t, c, "x")
	for _, s := range idlenesses(dial) {
		if s.count != 1000 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			conns, err := s.dialed(dial, right, 50)
			if err != nil || len(conns) != 50 {
				t.Errorf("%d connections, %v", len(conns), err)
			}
			for _, c := range conns {
				c.Close()
			}
			if conns, err := s.dialed(dial, wrong, 50); err == nil || len(conns) != 0 {
				t.Errorf("wrong answers: %d connections, no error", len(conns))
			}
		})
	}
}

func TestHandshakes(t *testing.T) {
	c, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	dial := &dialer{certificate: c}
	r, err := dial.handshakes(t.Context(), server(t, c, strings.Repeat("x", 1024)).tls, 50*time.Millisecond)
	if err != nil || r.requests == 0 || r.p50 == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := dial.handshakes(t.Context(), server(t, c, "x").tls, 50*time.Millisecond); err == nil {
		t.Error("wrong answers: no error")
	}
}

// TestScenarios makes sure that what CI and the documentation name is there.
func TestScenarios(t *testing.T) {
	var names []string
	for _, s := range scenarios(".", 64, &dialer{}) {
		names = append(names, s.name)
	}
	for _, s := range idlenesses(&dialer{}) {
		names = append(names, s.name)
	}
	all := strings.Join(names, "\n")
	for _, want := range []string{`GET 1 KiB`, `GET 64 KiB`, `GET 1 MiB`, `POST 4 KiB`, `chunked`, `TLS GET`, `TLS handshake`, `h2, 1 `, `h2, 10 `, `h2, 100 `, `idle 1000 plain`, `idle 10000 h2`} {
		if !regexp.MustCompile("(?m)^" + want).MatchString(all) {
			t.Errorf("no %s in\n%s", want, all)
		}
	}
}

// dialed opens n connections of the kind to g.
func (s idleness) dialed(d *dialer, g gateway, n int) ([]net.Conn, error) {
	return d.idle(context.Background(), n, func(ctx context.Context) (net.Conn, error) { return s.open(ctx, g) })
}
