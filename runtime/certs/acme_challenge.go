package certs

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
)

// challengePath is where HTTP-01 challenges are asked for (RFC 8555 section 8.3).
const challengePath = "/.well-known/acme-challenge/"

// challenges are the answers to those that are open. The zero value has none.
type challenges struct {
	mu           sync.RWMutex // guards what follows
	answers      map[[2]string]string
	certificates map[string]*tls.Certificate
}

// openHTTP answers to path on domain until the returned function is called.
func (c *challenges) openHTTP(domain, path, body string) (shut func()) {
	key := [2]string{domain, path}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers == nil {
		c.answers = map[[2]string]string{}
	}
	c.answers[key] = body
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.answers, key)
	}
}

// openTLS answers handshakes for domain until the returned function is called.
func (c *challenges) openTLS(domain string, cert *tls.Certificate) (shut func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.certificates == nil {
		c.certificates = map[string]*tls.Certificate{}
	}
	c.certificates[domain] = cert
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.certificates[domain] == cert { // another certificate may prove the same name
			delete(c.certificates, domain)
		}
	}
}

func (c *challenges) http(host, path string) (string, bool) {
	if !strings.HasPrefix(path, challengePath) {
		return "", false
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	body, ok := c.answers[[2]string{strings.ToLower(host), path}]
	return body, ok
}

func (c *challenges) tls(name string) (*tls.Certificate, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if cert := c.certificates[strings.ToLower(name)]; cert != nil {
		return cert, nil
	}
	return nil, fmt.Errorf("no challenge is open for %q", name)
}
