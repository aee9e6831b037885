package certs

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
)

// Server is the TLS side of one listener. It is safe for concurrent use; the
// certificates behind it may be replaced at any time.
type Server struct {
	config       *tls.Config
	certificates []*Certificate // the first is the default; nil: see Fixed
	indexing     sync.Mutex
	index        atomic.Pointer[index]
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
}

// NewServer makes a server that follows its certificates until Close.
func NewServer(o Settings) *Server {
	s := &Server{certificates: o.Certificates}
	s.config = &tls.Config{
		GetCertificate: s.choose,
		MinVersion:     max(o.MinVersion, tls.VersionTLS12),
		MaxVersion:     o.MaxVersion,
		NextProtos:     o.Protocols,
	}
	for _, c := range s.certificates {
		c.follow(s)
	}
	s.reindex()
	return s
}

// Close lets the certificates go. Handshakes that begin later get what was
// shown at the time.
func (s *Server) Close() {
	for _, c := range s.certificates {
		c.unfollow(s)
	}
}

// Config is what a listener's handshakes run with.
func (s *Server) Config() *tls.Config { return s.config }

// reindex looks at what the certificates show now.
func (s *Server) reindex() {
	s.indexing.Lock()
	defer s.indexing.Unlock()
	s.index.Store(newIndex(s.certificates))
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
	if server == "" || server == host || s.certificates == nil {
		return true
	}
	return s.index.Load().covers(server, host)
}
