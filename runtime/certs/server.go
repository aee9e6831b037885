package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"slices"
	"sync"
	"sync/atomic"
)

// Server is the TLS side of one listener. It is safe for concurrent use; the
// certificates and authorities behind it may be replaced at any time.
type Server struct {
	settings Settings
	config   atomic.Pointer[tls.Config]
	index    atomic.Pointer[index] // nil: see Fixed
	tickets  *tickets              // nil: crypto/tls makes its own
	release  func()

	mu sync.Mutex // held while config or index is made anew
}

// Settings are what a Server is made of.
type Settings struct {
	// Certificates are chosen by server name and kind of key; the first is the
	// default. At least one.
	Certificates []*Certificate
	// MinVersion and MaxVersion are as in tls.Config; 0: TLS 1.2 and TLS 1.3.
	MinVersion, MaxVersion uint16
	// Protocols are offered by ALPN, the best first.
	Protocols []string
	// ClientAuth says whether clients show certificates. Authorities are whose
	// certificates are taken; without them none is asked for.
	ClientAuth  tls.ClientAuthType
	Authorities *Authorities
	// Challenge answers handshakes that ask for the protocol acme-tls/1 alone
	// (RFC 8737); nil: the protocol is not offered.
	Challenge func(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// acmeProtocol is what a certificate authority that checks a name agrees on.
const acmeProtocol = "acme-tls/1"

// NewServer makes a server that follows its certificates until Close.
func NewServer(o Settings) *Server { return newServer(o, nil) }

func newServer(o Settings, t *tickets) *Server {
	s := &Server{settings: o, tickets: t, release: func() {}}
	for _, c := range o.Certificates {
		c.follow(s)
	}
	if o.Authorities != nil {
		o.Authorities.follow(s)
	}
	s.reindex()
	s.reconfigure()
	return s
}

// Close lets go of what the server follows. Handshakes that begin later get what
// was shown at the time.
func (s *Server) Close() {
	for _, c := range s.settings.Certificates {
		c.unfollow(s)
	}
	if a := s.settings.Authorities; a != nil {
		a.unfollow(s)
	}
	s.release()
}

// Config is what a handshake runs with that begins now.
func (s *Server) Config() *tls.Config { return s.config.Load() }

// reindex looks at what the certificates show now.
func (s *Server) reindex() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index.Store(newIndex(s.settings.Certificates))
}

// reconfigure looks at what the authorities and tickets are now.
func (s *Server) reconfigure() {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.settings
	c := &tls.Config{
		GetCertificate: s.choose,
		MinVersion:     max(o.MinVersion, tls.VersionTLS12),
		MaxVersion:     o.MaxVersion,
		NextProtos:     slices.Clone(o.Protocols),
		CipherSuites:   suites(),
	}
	if o.Challenge != nil {
		c.GetConfigForClient = s.challenge
	}
	var authorities [sha256.Size]byte
	if o.Authorities != nil && o.ClientAuth != tls.NoClientCert {
		c.ClientAuth = o.ClientAuth
		p := o.Authorities.current.Load()
		c.ClientCAs, authorities = p.certificates, p.sum
	}
	if s.tickets != nil {
		c.SetSessionTicketKeys(s.tickets.keys(o.ClientAuth, authorities))
	}
	s.config.Store(c)
}

// suites are those of TLS 1.2 with forward secrecy and authenticated encryption
// (RFC 9325 section 4.2); those of TLS 1.3 all are so.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// challenge is tls.Config.GetConfigForClient. A certificate authority that checks
// a name has no certificate to show, whatever the listener demands of clients,
// and gets nothing but a handshake.
func (s *Server) challenge(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmeProtocol {
		return nil, nil
	}
	return &tls.Config{
		GetCertificate: s.settings.Challenge, NextProtos: []string{acmeProtocol}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
	}, nil
}

// choose is tls.Config.GetCertificate.
func (s *Server) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.index.Load().choose(hello)
}

// Covers reports whether a request for host may come over a connection whose
// client asked for server ("" without SNI): false if another certificate of the
// listener is the one for host (RFC 9110 section 15.5.20). A client that named
// no server could get no other certificate, and a host that no certificate is
// for is nobody else's.
func (s *Server) Covers(server, host string) bool {
	if server == "" || server == host {
		return true
	}
	x := s.index.Load()
	return x == nil || x.covers(server, host)
}
