package upstream

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/headgate/headgate/runtime/telemetry"
)

// Discovery is where the endpoints of a cluster come from when they are not
// listed: DNS or File. Values that are equal are the same source.
type Discovery struct {
	DNS  DNS    // if its Name is not ""
	File string // a path
}

// MaxDiscovered bounds the endpoints of one source; more are an error.
const MaxDiscovered = 10000

func (d Discovery) kind() string {
	if d.File != "" {
		return "file"
	}
	return "dns"
}

// found is what one look at a source gave.
type found struct {
	endpoints []EndpointConfig
	again     time.Duration // when to look next
}

// errUnchanged means that a look found what the one before it did.
var errUnchanged = errors.New("unchanged")

// look asks a source once. It returns errUnchanged, or how things are, or why
// that can't be known; again is set with each.
type look func(ctx context.Context) (found, error)

// sourceKey is the identity of a source across generations.
type sourceKey struct {
	upstream  string
	discovery Discovery
}

// source follows one source for the clusters of all generations that have it.
type source struct {
	key    sourceKey
	cancel context.CancelFunc
	ended  chan struct{}
	first  chan struct{} // closed after the first look
	refs   int           // guarded by the registry

	mu        sync.Mutex // taken before the registry's
	log       *slog.Logger
	clusters  map[*Cluster]struct{}
	endpoints []EndpointConfig
	info      DiscoveryInfo
	began     bool
}

// DiscoveryInfo is what the admin API shows of a source.
type DiscoveryInfo struct {
	Source string `json:"source"` // dns or file
	Target string `json:"target"` // the name or the path
	// Updated is when the endpoints last changed, Error why the last look failed;
	// the endpoints are those of the last one that did not.
	Updated   time.Time `json:"updated,omitzero"`
	Error     string    `json:"error,omitempty"`
	Endpoints int       `json:"endpoints"`
	Updates   int64     `json:"updates"`
	Failures  int64     `json:"failures"`
}

// follow makes c a follower of its source, which starts with the first one.
func (r *Registry) follow(c *Cluster) *source {
	k := sourceKey{c.config.Name, *c.config.Discovery}
	r.mu.Lock()
	s := r.sources[k]
	if s == nil {
		ctx, cancel := context.WithCancel(context.Background())
		s = &source{
			key: k, cancel: cancel, ended: make(chan struct{}), first: make(chan struct{}), log: r.log,
			clusters: map[*Cluster]struct{}{}, info: DiscoveryInfo{Source: k.discovery.kind(), Target: k.discovery.target()},
		}
		r.sources[k] = s
		look := r.look(k.discovery)
		go s.run(ctx, look)
	}
	s.refs++
	r.mu.Unlock()
	s.mu.Lock()
	s.clusters[c] = struct{}{}
	c.set(s.endpoints)
	s.mu.Unlock()
	return s
}

func (d Discovery) target() string { return cmp.Or(d.File, d.DNS.Name) }

// look returns how to ask a source. r.mu is held.
func (r *Registry) look(d Discovery) look {
	if d.File != "" {
		return newFileSource(d.File).look
	}
	lookup := r.lookup
	if lookup == nil {
		lookup = func(ctx context.Context, d DNS) ([]EndpointConfig, time.Duration, error) {
			return systemResolver().lookup(ctx, d) // its file may have changed
		}
	}
	return newDNSSource(d.DNS, lookup).look
}

// unfollow ends what follow began. The last follower ends the source.
func (r *Registry) unfollow(c *Cluster, s *source) {
	s.mu.Lock()
	delete(s.clusters, c)
	s.mu.Unlock()
	r.mu.Lock()
	s.refs--
	last := s.refs == 0
	if last {
		delete(r.sources, s.key)
	}
	r.mu.Unlock()
	if last {
		s.cancel()
		<-s.ended
	}
}

// Await waits until every source was asked once, or ctx ends. What has found
// nothing by then answers ErrNoEndpoint until it does.
func (r *Registry) Await(ctx context.Context) {
	r.mu.Lock()
	sources := slices.Collect(maps.Values(r.sources))
	r.mu.Unlock()
	for _, s := range sources {
		select {
		case <-s.first:
		case <-s.ended:
		case <-ctx.Done():
			return
		}
	}
}

func (s *source) run(ctx context.Context, look look) {
	defer close(s.ended)
	for {
		f, err := look(ctx)
		if ctx.Err() != nil {
			return
		}
		s.take(f, err)
		t := time.NewTimer(f.again)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// take applies what a look found.
func (s *source) take(f found, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.began {
		s.began = true
		defer close(s.first)
	}
	switch {
	case errors.Is(err, errUnchanged):
		return
	case err != nil:
		s.info.Failures++
		if text := err.Error(); text != s.info.Error {
			s.info.Error = text
			s.say(slog.LevelWarn, "endpoints can't be found, the known ones stay", "error", text)
		}
		return
	}
	if s.info.Error != "" {
		s.info.Error = ""
		s.say(slog.LevelInfo, "endpoints can be found again")
	}
	if s.info.Updates > 0 && slices.EqualFunc(s.endpoints, f.endpoints, EndpointConfig.equal) {
		return
	}
	s.endpoints = f.endpoints
	s.info.Updates++
	s.info.Updated, s.info.Endpoints = time.Now(), len(f.endpoints)
	for c := range s.clusters {
		c.set(f.endpoints)
	}
	s.say(slog.LevelInfo, "endpoints changed")
}

func (s *source) say(level slog.Level, text string, args ...any) {
	if s.log != nil {
		s.log.Log(context.Background(), level, text, append(args, "upstream", s.key.upstream,
			"source", s.info.Source, "target", s.info.Target, "endpoints", len(s.endpoints))...)
	}
}

func (e EndpointConfig) equal(o EndpointConfig) bool {
	return e.Address == o.Address && e.Weight == o.Weight && maps.Equal(e.Labels, o.Labels)
}

// discoveryInfo returns what is known of the sources of an upstream: of the one
// that changed last, while generations with different ones meet.
func (r *Registry) discoveryInfo(name string) *DiscoveryInfo {
	r.mu.Lock()
	sources := slices.Collect(maps.Values(r.sources))
	r.mu.Unlock()
	var latest *DiscoveryInfo
	for _, s := range sources {
		if s.key.upstream != name {
			continue
		}
		s.mu.Lock()
		info := s.info
		s.mu.Unlock()
		if latest == nil || info.Updated.After(latest.Updated) {
			latest = &info
		}
	}
	return latest
}

// discovered returns the names of the upstreams with a source.
func (r *Registry) discovered() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for k := range r.sources {
		if !slices.Contains(names, k.upstream) {
			names = append(names, k.upstream)
		}
	}
	return names
}

// Discoveries returns what the metrics show of the sources.
func (r *Registry) Discoveries() []telemetry.Discovery {
	var list []telemetry.Discovery
	for _, name := range r.discovered() {
		if i := r.discoveryInfo(name); i != nil {
			list = append(list, telemetry.Discovery{Upstream: name, Source: i.Source, Endpoints: i.Endpoints, Updates: i.Updates, Failures: i.Failures, Failing: i.Error != ""})
		}
	}
	return list
}
