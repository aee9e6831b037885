package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Authorities are those whose certificates clients may show. They can be
// replaced at any time; servers made with them follow.
type Authorities struct {
	current atomic.Pointer[pool]

	mu      sync.Mutex // held while replacing; guards servers
	servers map[*Server]bool
}

// pool is a set of certificates; sum tells it from others.
type pool struct {
	certificates *x509.CertPool
	sum          [sha256.Size]byte
}

// replace takes the certificates of a PEM file from now on. After an error those
// from before stay.
func (a *Authorities) replace(text []byte) error {
	p, err := parseAuthorities(text)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current.Store(p)
	for s := range a.servers {
		s.reconfigure()
	}
	return nil
}

// CheckAuthorities reports what is wrong with a file of PEM certificates.
func CheckAuthorities(file string) error {
	text, err := readFile(file)
	if err == nil {
		_, err = parseAuthorities(text)
	}
	return err
}

// parseAuthorities reads one or more certificates. One that is none is an error:
// AppendCertsFromPEM leaves it out, and its clients.
func parseAuthorities(text []byte) (*pool, error) {
	p := &pool{certificates: x509.NewCertPool()}
	h := sha256.New()
	n := 0
	for b, rest := pem.Decode(text); b != nil; b, rest = pem.Decode(rest) {
		if b.Type != pemCertificate {
			continue
		}
		n++
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the file: %w", n, err)
		}
		p.certificates.AddCert(c)
		_, _ = h.Write(c.Raw) // DER tells its own length
	}
	if n == 0 {
		return nil, errNoCertificate(text)
	}
	h.Sum(p.sum[:0])
	return p, nil
}

// errNoCertificate says what a file has in place of certificates.
func errNoCertificate(text []byte) error {
	switch b, _ := pem.Decode(text); {
	case len(bytes.TrimSpace(text)) == 0:
		return errors.New("the file is empty")
	case b == nil:
		return errors.New("there is no PEM block in it: the file should begin with -----BEGIN CERTIFICATE-----")
	default:
		return fmt.Errorf("there is no certificate in it, but a PEM block %q", b.Type)
	}
}

func (a *Authorities) follow(s *Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.servers[s] = true
}

func (a *Authorities) unfollow(s *Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.servers, s)
}
