package policies

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"log/slog"
	"sync"
)

// StoreOptions are what a Store uses of its surroundings. All may be zero.
type StoreOptions struct {
	// Dir keeps the last good bundles; "" for nowhere.
	Dir string
	// Offline asks nobody: policies with bundles stay without one.
	Offline bool
	Limiter Limiter
	Log     *slog.Logger
}

// Store is what outlives a configuration: policies that did not change are not
// compiled again, and who wants the same bundle shares one.
type Store struct {
	opts StoreOptions

	mu      sync.Mutex
	live    map[[sha256.Size]byte]*shared
	bundles map[BundleSpec]*bundleSource
}

// shared is a policy that several configurations may use.
type shared struct {
	policy *Policy
	users  int
}

// NewStore returns an empty store.
func NewStore(o StoreOptions) *Store {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Store{opts: o, live: map[[sha256.Size]byte]*shared{}, bundles: map[BundleSpec]*bundleSource{}}
}

// Compile is Compile, but for a policy that is in use already and did not
// change. If starting is set, a bundle that can't be had does not matter yet:
// Ready tells when it is there.
func (s *Store) Compile(ctx context.Context, spec Spec, o Options, starting bool) (*Policy, error) {
	src, err := readSources(&spec, isRule)
	if err != nil {
		return nil, err
	}
	id := identityOf(&spec, src)
	if p := s.use(id); p != nil {
		return p, nil
	}
	o.Limiter = s.opts.Limiter
	p, err := newPolicy(ctx, spec, o, src)
	if err != nil {
		return nil, err
	}
	if spec.Bundle != nil && s.opts.Offline {
		if err := src.parse(); err != nil {
			p.close()
			return nil, err
		}
	}
	if spec.Bundle != nil && !s.opts.Offline {
		b := s.bundle(spec.Bundle)
		if err := b.subscribe(ctx, p, starting); err != nil {
			p.close()
			s.done(b)
			return nil, err
		}
		p.bundle = b
	}
	p.release = func() { s.drop(id) }
	s.mu.Lock()
	s.live[id] = &shared{p, 1}
	s.mu.Unlock()
	return p, nil
}

func (s *Store) use(id [sha256.Size]byte) *Policy {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.live[id]
	if l == nil {
		return nil
	}
	l.users++
	return l.policy
}

// drop takes one user away.
func (s *Store) drop(id [sha256.Size]byte) {
	s.mu.Lock()
	l := s.live[id]
	l.users--
	last := l.users == 0
	if last {
		delete(s.live, id)
	}
	s.mu.Unlock()
	if !last {
		return
	}
	if b := l.policy.bundle; b != nil {
		b.unsubscribe(l.policy)
		s.done(b)
	}
	l.policy.close()
}

// bundle returns the source of a bundle. Who takes it gives it back with done.
func (s *Store) bundle(spec *BundleSpec) *bundleSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bundles[*spec]
	if b == nil {
		b = newBundleSource(*spec, s.opts)
		s.bundles[*spec] = b
	}
	b.users++
	return b
}

func (s *Store) done(b *bundleSource) {
	s.mu.Lock()
	b.users--
	last := b.users == 0
	if last {
		delete(s.bundles, b.spec)
	}
	s.mu.Unlock()
	if last {
		b.close()
	}
}

// Ready is an error while a policy in use waits for its first bundle.
func (s *Store) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.live {
		if l.policy.program.Load() == nil && !s.opts.Offline {
			return fmt.Errorf("policy %q waits for its bundle", l.policy.name)
		}
	}
	return nil
}

// identityOf is the same for policies that decide alike.
func identityOf(spec *Spec, src *sources) (id [sha256.Size]byte) {
	h := sha256.New()
	text, _ := json.Marshal(spec) // plain values
	digest(h, string(text))
	for _, list := range [][]file{src.rego, src.data} {
		for _, f := range list {
			digest(h, f.name)
			digest(h, string(f.text))
		}
		digest(h, "")
	}
	if src.limits != nil {
		digest(h, string(src.limits.text))
	}
	h.Sum(id[:0])
	return id
}

// digest adds a text with its length, so that no two lists of texts look alike.
func digest(h hash.Hash, s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }
