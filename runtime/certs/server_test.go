package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// only12 is a client of TLS 1.2 that takes certificates of one kind.
func only12(k kind) *tls.Config {
	suite := map[kind]uint16{ecdsaKey: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, rsaKey: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}[k]
	return &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}
}

func TestChoose(t *testing.T) {
	list := []*Certificate{
		showing(t, "default", pair(t, rsaKey, "default.example.com", "*.shared.example.com")),
		showing(t, "default-ecdsa", pair(t, ecdsaKey, "default.example.com", "*.shared.example.com")),
		showing(t, "rsa", pair(t, rsaKey, "both.example.com")),
		showing(t, "ecdsa", pair(t, ecdsaKey, "BOTH.example.com", "*.both.example.com")),
		showing(t, "wild", pair(t, ecdsaKey, "*.example.com")),
		showing(t, "exact", pair(t, rsaKey, "exact.example.com")),
		showing(t, "ed", pair(t, edKey, "ed.example.com")),
		showing(t, "deep", pair(t, ecdsaKey, "*.a.b.example.com")),
		New("not yet obtained"),
	}
	byRaw := map[string]string{}
	for _, c := range list {
		if l := c.Leaf(); l != nil {
			byRaw[string(l.Raw)] = c.Name()
		}
	}
	s := NewServer(Settings{Certificates: list})
	defer s.Close()
	any13, old, oldRSA := &tls.Config{}, only12(ecdsaKey), only12(rsaKey)
	for _, c := range []struct {
		name   string
		client *tls.Config
		want   string // "" fails
	}{
		{"both.example.com", any13, "ecdsa"},
		{"both.example.com", old, "ecdsa"},
		{"both.example.com", oldRSA, "rsa"},
		{"Both.Example.COM", any13, "ecdsa"},
		{"x.both.example.com", any13, "ecdsa"},
		{"x.both.example.com", oldRSA, ""}, // no such certificate, and no other has the name
		{"x.y.both.example.com", any13, "default-ecdsa"},
		{"some.example.com", any13, "wild"},
		{"example.com", any13, "default-ecdsa"}, // a wildcard stands for one label, never for none
		{"exact.example.com", any13, "exact"},   // ahead of the wildcard
		{"exact.example.com", old, "wild"},      // which is for the name too
		{"exact.example.com", oldRSA, "exact"},
		{"ed.example.com", any13, "ed"},
		{"x.a.b.example.com", any13, "deep"},
		{"x.shared.example.com", oldRSA, "default"},
		{"unknown.org", any13, "default-ecdsa"},
		{"unknown.org", oldRSA, "default"},
		{"", any13, "default-ecdsa"},
		{"", oldRSA, "default"},
		{"127.0.0.1", any13, "default-ecdsa"}, // which is not sent
	} {
		cfg := c.client.Clone()
		cfg.ServerName, cfg.InsecureSkipVerify = c.name, true
		state, _, err := shake(t, s, cfg)
		got := ""
		if err == nil {
			got = byRaw[string(state.PeerCertificates[0].Raw)]
		}
		if got != c.want {
			t.Errorf("%q %v: got %q, want %q (%v)", c.name, cfg.CipherSuites, got, c.want, err)
		}
	}
}

func TestNothingToShow(t *testing.T) {
	c := New("a")
	s := NewServer(Settings{Certificates: []*Certificate{c}})
	defer s.Close()
	insecure := &tls.Config{InsecureSkipVerify: true, ServerName: "a.example.com"}
	if _, _, err := shake(t, s, insecure); err == nil {
		t.Error("a handshake without a certificate")
	}
	if c.Names() != nil || c.Leaf() != nil || !s.Covers("a", "b") {
		t.Error("there is something to show")
	}
	if err := c.Replace(pair(t, ecdsaKey, "a.example.com"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := shake(t, s, insecure); err != nil {
		t.Error(err)
	}
}

func TestCovers(t *testing.T) {
	s := NewServer(Settings{Certificates: []*Certificate{
		showing(t, "a", pair(t, ecdsaKey, "a.example.com", "a2.example.com")),
		showing(t, "a-rsa", pair(t, rsaKey, "a.example.com")),
		showing(t, "b", pair(t, ecdsaKey, "b.example.com")),
		showing(t, "wild", pair(t, ecdsaKey, "*.example.com")),
	}})
	defer s.Close()
	for _, c := range []struct {
		server, host string
		want         bool
	}{
		{"a.example.com", "a.example.com", true},
		{"A.example.com", "a.example.com", true},
		{"a.example.com", "a2.example.com", true},
		{"a2.example.com", "a.example.com", true},
		{"a.example.com", "b.example.com", false},
		{"b.example.com", "a.example.com", false},
		{"x.example.com", "y.example.com", true},
		{"x.example.com", "b.example.com", false},
		{"b.example.com", "x.example.com", false},
		{"a.example.com", "unknown.org", true},
		{"a.example.com", "127.0.0.1", true},
		{"a.example.com", "", true},
		{"unknown.org", "a.example.com", true}, // was shown the default
		{"unknown.org", "b.example.com", false},
		{"", "b.example.com", true},
	} {
		if got := s.Covers(c.server, c.host); got != c.want {
			t.Errorf("%q for %q: %v", c.server, c.host, got)
		}
	}
	if !Fixed(&tls.Config{}).Covers("a", "b") {
		t.Error("a fixed server refuses a host")
	}
}

func TestReplace(t *testing.T) {
	now := time.Now()
	first, second := pair(t, ecdsaKey, "a.example.com"), pair(t, rsaKey, "b.example.com", "B.example.com.")
	old := sign(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: "old"}, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}, ecdsaKey)
	c := showing(t, "c", first)
	mixed := first
	mixed.PrivateKey = second.PrivateKey
	for name, bad := range map[string]tls.Certificate{
		"nothing": {}, "no key": {Certificate: first.Certificate}, "another's key": mixed,
		"no certificate": {Certificate: [][]byte{{1, 2}}, PrivateKey: first.PrivateKey},
	} {
		if err := c.Replace(bad, now); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := c.Replace(old, now); !errors.Is(err, ErrExpired) {
		t.Errorf("expired: %v", err)
	}
	if !slices.Equal(c.Names(), []string{"a.example.com"}) {
		t.Errorf("names %v", c.Names())
	}
	if err := c.Replace(second, now); err != nil || !slices.Equal(c.Names(), []string{"b.example.com"}) {
		t.Errorf("%v %v", err, c.Names())
	}
	// Better an expired one than one that expired before it.
	if err := c.Replace(old, second.Leaf.NotAfter.Add(time.Minute)); err != nil {
		t.Error(err)
	}
}

// TestReplaceUnderLoad replaces certificates while handshakes go on: each gets
// one that has the name.
func TestReplaceUnderLoad(t *testing.T) {
	pairs := []tls.Certificate{pair(t, ecdsaKey, "a.example.com"), pair(t, rsaKey, "a.example.com"), pair(t, ecdsaKey, "a.example.com", "b.example.com")}
	c := showing(t, "a", pairs[0])
	s := NewServer(Settings{Certificates: []*Certificate{showing(t, "x", pair(t, ecdsaKey, "x.org")), c}})
	defer s.Close()
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				state, _, err := shake(t, s, &tls.Config{InsecureSkipVerify: true, ServerName: "a.example.com"})
				if err != nil || state.PeerCertificates[0].Subject.CommonName != "a.example.com" {
					t.Errorf("handshake: %v", err)
					return
				}
			}
		})
	}
	for i := range 300 {
		if err := c.Replace(pairs[i%3], time.Now()); err != nil {
			t.Error(err)
		}
		other := NewServer(Settings{Certificates: []*Certificate{c}}) // a reload
		other.Close()
	}
	close(stop)
	running.Wait()
	if len(c.servers) != 1 {
		t.Errorf("%d servers follow", len(c.servers))
	}
}

func TestVersionsAndProtocols(t *testing.T) {
	c := showing(t, "a", pair(t, ecdsaKey, "a.example.com"))
	for _, x := range []struct {
		lo, hi, clientMax uint16
		offer             []string
		version           uint16 // 0 fails
		protocol          string
	}{
		{0, 0, 0, nil, tls.VersionTLS13, ""},
		{0, 0, tls.VersionTLS12, []string{"http/1.1", "h2"}, tls.VersionTLS12, "h2"},
		{0, 0, tls.VersionTLS11, nil, 0, ""},
		{tls.VersionTLS10, 0, tls.VersionTLS11, nil, 0, ""}, // never below 1.2
		{tls.VersionTLS13, tls.VersionTLS13, tls.VersionTLS12, nil, 0, ""},
		{tls.VersionTLS12, tls.VersionTLS12, 0, []string{"http/1.1"}, tls.VersionTLS12, "http/1.1"},
		{0, 0, 0, []string{"acme-tls/1"}, 0, ""}, // nobody to answer it
		{0, 0, 0, []string{"spdy/3"}, 0, ""},
	} {
		s := NewServer(Settings{Certificates: []*Certificate{c}, MinVersion: x.lo, MaxVersion: x.hi, Protocols: []string{"h2", "http/1.1"}})
		state, _, err := shake(t, s, &tls.Config{InsecureSkipVerify: true, ServerName: "a", MinVersion: tls.VersionTLS10, MaxVersion: x.clientMax, NextProtos: x.offer})
		if (err == nil) != (x.version != 0) || err == nil && (state.Version != x.version || state.NegotiatedProtocol != x.protocol) {
			t.Errorf("%+v: %x %q %v", x, state.Version, state.NegotiatedProtocol, err)
		}
		if err == nil && state.Version == tls.VersionTLS13 && state.CurveID != tls.X25519MLKEM768 {
			t.Errorf("keys were agreed on with %s", state.CurveID)
		}
		s.Close()
	}
}

func TestChallenge(t *testing.T) {
	proof := pair(t, ecdsaKey, "a.example.com")
	s := NewServer(Settings{
		Certificates: []*Certificate{showing(t, "a", pair(t, ecdsaKey, "a.example.com"))}, Protocols: []string{"h2"},
		Challenge: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName != "a.example.com" {
				return nil, fmt.Errorf("no challenge for %s", h.ServerName)
			}
			return &proof, nil
		},
	})
	defer s.Close()
	for _, c := range []struct {
		name  string
		offer []string
		ok    bool
		proof bool
	}{
		{"a.example.com", []string{"acme-tls/1"}, true, true},
		{"b.example.com", []string{"acme-tls/1"}, false, false},
		{"a.example.com", []string{"h2", "acme-tls/1"}, true, false},
		{"a.example.com", nil, true, false},
	} {
		state, _, err := shake(t, s, &tls.Config{InsecureSkipVerify: true, ServerName: c.name, NextProtos: c.offer})
		if (err == nil) != c.ok || err == nil && state.PeerCertificates[0].Equal(proof.Leaf) != c.proof {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestClientAuth(t *testing.T) {
	good, other := newAuthority(t, "good"), newAuthority(t, "other")
	var a Authorities
	a.servers = map[*Server]bool{}
	if err := a.replace(certPEM(tls.Certificate{Certificate: [][]byte{good.cert.Raw}})); err != nil {
		t.Fatal(err)
	}
	ours, theirs := client(t, good, "ann"), client(t, other, "eve")
	expired := sign(t, good, &x509.Certificate{Subject: pkix.Name{CommonName: "late"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, ecdsaKey)
	server := sign(t, good, &x509.Certificate{Subject: pkix.Name{CommonName: "server"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, ecdsaKey)
	c := showing(t, "a", pair(t, ecdsaKey, "a.example.com"))
	modes := map[string]tls.ClientAuthType{"none": tls.NoClientCert, "request": tls.VerifyClientCertIfGiven, "require": tls.RequireAndVerifyClientCert}
	for _, x := range []struct {
		mode string
		show *tls.Certificate
		ok   bool
		seen string
	}{
		{"none", nil, true, ""},
		{"none", &ours, true, ""},
		{"none", &theirs, true, ""},
		{"request", nil, true, ""},
		{"request", &ours, true, "ann"},
		{"request", &theirs, false, ""},
		{"require", nil, false, ""},
		{"require", &ours, true, "ann"},
		{"require", &theirs, false, ""},
		{"require", &expired, false, ""},
		{"require", &server, false, ""}, // made for another use
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			s := NewServer(Settings{Certificates: []*Certificate{c}, ClientAuth: modes[x.mode], Authorities: &a})
			cfg := &tls.Config{InsecureSkipVerify: true, ServerName: "a", MaxVersion: version}
			if x.show != nil {
				// Shown whatever the server asks for.
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return x.show, nil }
			}
			_, state, err := shake(t, s, cfg)
			seen := ""
			if len(state.PeerCertificates) > 0 {
				seen = state.PeerCertificates[0].Subject.CommonName
			}
			if (err == nil) != x.ok || seen != x.seen {
				t.Errorf("%s %x %+v: %v, saw %q", x.mode, version, x.show != nil, err, seen)
			}
			s.Close()
		}
	}
	// Another authority from now on.
	s := NewServer(Settings{Certificates: []*Certificate{c}, ClientAuth: tls.RequireAndVerifyClientCert, Authorities: &a})
	defer s.Close()
	if err := a.replace([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")); err == nil || !strings.Contains(err.Error(), "certificate 1") {
		t.Errorf("broken authorities: %v", err)
	}
	if err := a.replace(certPEM(tls.Certificate{Certificate: [][]byte{other.cert.Raw}})); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		show tls.Certificate
		ok   bool
	}{{ours, false}, {theirs, true}} {
		_, _, err := shake(t, s, &tls.Config{InsecureSkipVerify: true, ServerName: "a", Certificates: []tls.Certificate{x.show}})
		if (err == nil) != x.ok {
			t.Errorf("after the change: %v", err)
		}
	}
}

// BenchmarkChoose finds one certificate of many.
func BenchmarkChoose(b *testing.B) {
	made := pair(b, ecdsaKey, "x.example.com")
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var list []*Certificate
			for i := range n {
				c := New(fmt.Sprint(i))
				c.current.Store(&shown{chain: made, names: []string{fmt.Sprintf("h%d.example.com", i)}})
				list = append(list, c)
			}
			x := newIndex(list)
			name := fmt.Sprintf("h%d.example.com", n-1)
			b.ReportAllocs()
			for b.Loop() {
				if exact, _ := x.find(canonical(name)); len(exact) != 1 {
					b.Fatal("not found")
				}
			}
		})
	}
}
