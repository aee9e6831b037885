package certs

import (
	"context"
	"crypto/tls"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// LetsEncrypt is the directory of who issues certificates by default.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// How a name is proven to be ours.
const (
	ChallengeTLSALPN = "tls-alpn-01" // RFC 8737
	ChallengeHTTP    = "http-01"     // RFC 8555 section 8.3
)

// ACME says where a certificate comes from (RFC 8555).
type ACME struct {
	// Domains are the names of the certificate, in lower case. At least one.
	Domains []string
	// Directory is the URL of the server; Email is where it may write to, ""
	// for nowhere.
	Directory, Email string
	// Storage is the directory that keeps accounts, keys and certificates. It
	// is made if it is missing, and may be shared between processes.
	Storage string
	// CAFile has the authorities of the server's own certificate; "": the
	// system's.
	CAFile string
	// Challenge is ChallengeTLSALPN or ChallengeHTTP.
	Challenge string
}

// key is equal for blocks that obtain the same in the same way.
func (a *ACME) key(name string) string {
	return strings.Join(append([]string{name, a.Directory, a.Email, a.Storage, a.CAFile, a.Challenge}, a.Domains...), "\x00")
}

// issuers are those of a store.
type issuers struct {
	challenges challenges
	ctx        context.Context // ends with the store
	stop       context.CancelFunc
	running    sync.WaitGroup

	mu    sync.Mutex // guards what follows
	byKey map[string]*issuer
	made  int
}

func newIssuers() *issuers {
	s := &issuers{byKey: map[string]*issuer{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

func (s *issuers) close() {
	s.stop()
	s.running.Wait()
}

// issuer keeps one certificate valid.
type issuer struct {
	acme        ACME
	certificate *Certificate
	challenges  *challenges
	storage     storage
	log         *slog.Logger
	ctx         context.Context // ends with the last configuration that has it
	cancel      context.CancelFunc

	// Guarded by issuers.mu.
	users   int // configurations that have it
	number  int // counts issuers
	started bool

	obtained, failed atomic.Int64
}

// ACME returns the certificate of a block that obtains it. It shows what Storage
// has, if anything, or else what another block of the name shows: a name that
// joins a certificate must not take the others away while it is proven. It is
// the same one as long as anyone has it who asked with the same name and
// settings; release gives it back. Nothing is asked of the server before Obtain.
func (s *Store) ACME(name string, a ACME) (c *Certificate, release func()) {
	all := s.issuers
	all.mu.Lock()
	defer all.mu.Unlock()
	key := a.key(name)
	i := all.byKey[key]
	if i == nil {
		i = &issuer{acme: a, certificate: New(name), challenges: &all.challenges, storage: newStorage(&a), log: s.log.With("certificate", name)}
		i.ctx, i.cancel = context.WithCancel(all.ctx)
		if !i.adopt(time.Now()) {
			i.borrow(all.newest(name))
		}
		all.made++
		i.number = all.made
		all.byKey[key] = i
	}
	i.users++
	return i.certificate, sync.OnceFunc(func() {
		all.mu.Lock()
		defer all.mu.Unlock()
		if i.users--; i.users == 0 {
			i.cancel()
			delete(all.byKey, key)
		}
	})
}

// newest returns the issuer of a block that was made last, nil if there is none.
func (s *issuers) newest(name string) *issuer {
	var last *issuer
	for _, i := range s.byKey {
		if i.certificate.Name() == name && (last == nil || i.number > last.number) {
			last = i
		}
	}
	return last
}

func (i *issuer) borrow(from *issuer) {
	if from == nil {
		return
	}
	if shown := from.certificate.current.Load(); shown != nil {
		_ = i.certificate.Replace(shown.chain, time.Now()) // it was taken once
	}
}

// Obtain begins to obtain and to renew the certificates that ACME returned. It is
// to be called when the listeners are open that answer challenges.
func (s *Store) Obtain() {
	all := s.issuers
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, i := range all.byKey {
		if !i.started {
			i.started = true
			all.running.Go(i.run)
		}
	}
}

// ChallengeTLS is Settings.Challenge for listeners that show certificates with
// ChallengeTLSALPN.
func (s *Store) ChallengeTLS(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.issuers.challenges.tls(hello.ServerName)
}

// ChallengeHTTP returns what to answer to GET path on host, a name with or
// without a port; ok is false if that is no challenge of ours.
func (s *Store) ChallengeHTTP(host, path string) (body string, ok bool) {
	return s.issuers.challenges.http(host, path)
}

// stats returns those of each block, the newest issuer of a name only.
func (s *issuers) stats() []Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Stats
	for _, i := range s.byKey {
		if s.newest(i.certificate.Name()) != i {
			continue
		}
		n := Stats{Certificate: i.certificate.Name(), Names: i.certificate.Names(), Loaded: i.obtained.Load(), Refused: i.failed.Load()}
		if leaf := i.certificate.Leaf(); leaf != nil {
			n.NotAfter = leaf.NotAfter
		} else {
			n.Names = slices.Clone(i.acme.Domains)
		}
		list = append(list, n)
	}
	return list
}
