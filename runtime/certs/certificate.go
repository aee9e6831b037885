package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Certificate is what one certificate block shows. It outlives configurations,
// is safe for concurrent use, and what it shows can be replaced at any time;
// servers made of it follow.
type Certificate struct {
	name    string
	current atomic.Pointer[shown]

	mu      sync.Mutex // held while replacing; guards servers
	servers map[*Server]bool
}

// shown is one chain with its key, and the server names that it is for, in
// lower case.
type shown struct {
	chain tls.Certificate
	names []string
}

// New makes a certificate that has nothing to show yet. name is that of its
// block.
func New(name string) *Certificate { return &Certificate{name: name, servers: map[*Server]bool{}} }

// Name is the name of the block.
func (c *Certificate) Name() string { return c.name }

// Names returns the server names of what is shown, in lower case and maybe with
// a wildcard; nil if nothing is shown. It must not be changed.
func (c *Certificate) Names() []string {
	if s := c.current.Load(); s != nil {
		return s.names
	}
	return nil
}

// Leaf returns the end-entity certificate that is shown, nil if none is.
func (c *Certificate) Leaf() *x509.Certificate {
	if s := c.current.Load(); s != nil {
		return s.chain.Leaf
	}
	return nil
}

// ErrExpired is returned for a certificate whose time is over.
var ErrExpired = errors.New("the certificate has expired")

// Replace shows chain from now on: connections that are open go on, handshakes
// that begin get the new one. After an error what was shown stays: a chain that
// can't be parsed, a key of another certificate, or ErrExpired for a chain that
// is over at now while what is shown is not.
func (c *Certificate) Replace(chain tls.Certificate, now time.Time) error {
	stale := map[*Server]bool{}
	err := c.replace(chain, now, stale)
	for s := range stale {
		s.reindex()
	}
	return err
}

// replace leaves it to the caller to reindex the servers that it adds to stale:
// where many certificates change at once, each server is reindexed once.
func (c *Certificate) replace(chain tls.Certificate, now time.Time, stale map[*Server]bool) error {
	next, err := newShown(chain)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.current.Load()
	if old != nil && over(next, now) && !over(old, now) {
		return fmt.Errorf("%w on %s", ErrExpired, next.chain.Leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	c.current.Store(next)
	maps.Copy(stale, c.servers)
	return nil
}

func newShown(chain tls.Certificate) (*shown, error) {
	if len(chain.Certificate) == 0 {
		return nil, errors.New("there is no certificate")
	}
	leaf, err := x509.ParseCertificate(chain.Certificate[0])
	if err != nil {
		return nil, err
	}
	key, ok := chain.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("there is no private key")
	}
	if !belongs(key, leaf) {
		return nil, errOtherKey
	}
	chain.Leaf = leaf
	s := &shown{chain: chain}
	for _, n := range leaf.DNSNames {
		n = strings.ToLower(strings.TrimSuffix(n, "."))
		if n != "" && !slices.Contains(s.names, n) {
			s.names = append(s.names, n)
		}
	}
	return s, nil
}

func over(s *shown, now time.Time) bool { return now.After(s.chain.Leaf.NotAfter) }

// follow has s reindex itself when c is replaced.
func (c *Certificate) follow(s *Server) {
	c.mu.Lock()
	c.servers[s] = true
	c.mu.Unlock()
}

func (c *Certificate) unfollow(s *Server) {
	c.mu.Lock()
	delete(c.servers, s)
	c.mu.Unlock()
}
