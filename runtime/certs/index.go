package certs

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
)

// index finds certificates by server name. It is immutable.
type index struct {
	// exact is by name, wildcard by what follows "*." of the name; the best
	// certificate of each first.
	exact, wildcard map[string][]*shown
	// fallback is for names that no certificate has: the first certificate and
	// those with the same names and other keys, the best first.
	fallback []*shown
}

// newIndex looks at what the certificates show.
func newIndex(list []*Certificate) *index {
	x := &index{exact: map[string][]*shown{}, wildcard: map[string][]*shown{}}
	for _, c := range list {
		s := c.current.Load()
		if s == nil {
			continue // none was obtained yet
		}
		if len(x.fallback) == 0 || slices.Equal(s.names, x.fallback[0].names) {
			x.fallback = append(x.fallback, s)
		}
		for _, n := range s.names {
			if parent, ok := strings.CutPrefix(n, "*."); ok {
				x.wildcard[parent] = append(x.wildcard[parent], s)
			} else {
				x.exact[n] = append(x.exact[n], s)
			}
		}
	}
	for _, m := range []map[string][]*shown{x.exact, x.wildcard, {"": x.fallback}} {
		for _, group := range m {
			slices.SortStableFunc(group, func(a, b *shown) int { return rank(a) - rank(b) })
		}
	}
	return x
}

// rank puts the cheaper key first: a signature with P-256 costs a twentieth of
// one with RSA.
func rank(s *shown) int {
	switch s.chain.Leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return 0
	case *rsa.PublicKey:
		return 2
	}
	return 1
}

// errNone tells that a listener's certificates were not obtained yet.
var errNone = errors.New("certs: there is no certificate to show yet")

func (x *index) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	exact, wildcard := x.find(canonical(hello.ServerName))
	for _, group := range [...][]*shown{exact, wildcard} {
		if s := supported(hello, group); s != nil {
			return &s.chain, nil
		}
	}
	// Where the client supports none of those that have the name, the handshake
	// fails and says why.
	for _, group := range [...][]*shown{exact, wildcard} {
		if len(group) > 0 {
			return &group[0].chain, nil
		}
	}
	if len(x.fallback) == 0 {
		return nil, errNone
	}
	anyName := *hello
	anyName.ServerName = "" // which none of them has
	if s := supported(&anyName, x.fallback); s != nil {
		return &s.chain, nil
	}
	return &x.fallback[0].chain, nil
}

// supported is the first of group that the client can take; nil if there is
// none.
func supported(hello *tls.ClientHelloInfo, group []*shown) *shown {
	for _, s := range group {
		if hello.SupportsCertificate(&s.chain) == nil {
			return s
		}
	}
	return nil
}

// find returns the certificates for a name. A wildcard stands for one label, the
// leftmost (RFC 9525 section 6.3).
func (x *index) find(name string) (exact, wildcard []*shown) {
	exact = x.exact[name]
	if label, parent, ok := strings.Cut(name, "."); ok && label != "" {
		wildcard = x.wildcard[parent]
	}
	return exact, wildcard
}

func (x *index) covers(server, host string) bool {
	exact, wildcard := x.find(canonical(host))
	best := exact
	if len(best) == 0 {
		best = wildcard
	}
	if len(best) == 0 {
		return true
	}
	exact, wildcard = x.find(canonical(server))
	if len(exact) == 0 {
		exact = wildcard
	}
	if len(exact) == 0 {
		exact = x.fallback
	}
	return slices.ContainsFunc(exact, func(s *shown) bool { return slices.Contains(best, s) })
}

// canonical is a name as in the index. The common case makes no copy.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
