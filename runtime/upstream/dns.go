package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DNS is a name whose records are endpoints.
type DNS struct {
	Name string
	// Port is that of every address; SRV records have their own.
	Port int
	SRV  bool
	// Refresh is the time between lookups; 0 is the TTL of the records.
	Refresh time.Duration
}

const (
	minTTL = time.Second
	maxTTL = time.Hour
	// After a failure the next lookup comes soon, then ever later.
	minPause = time.Second
	maxPause = 30 * time.Second
	// emptyFor is how long the known endpoints stay while the answers are that
	// there are none, which more often is a mistake than meant.
	emptyFor = 5 * time.Minute
)

// ErrNoRecords means that a name does not exist or has no records of the type.
var ErrNoRecords = errors.New("no such records")

// lookup asks for a name once. ttl is the least of the answer.
type lookup func(ctx context.Context, d DNS) (list []EndpointConfig, ttl time.Duration, err error)

// dnsSource looks a name up when its records are too old.
type dnsSource struct {
	config   DNS
	lookup   lookup
	failures int
	good     bool      // there were records once
	empty    time.Time // since when there are none
}

func newDNSSource(c DNS, l lookup) *dnsSource { return &dnsSource{config: c, lookup: l} }

func (s *dnsSource) look(ctx context.Context) (found, error) {
	list, ttl, err := s.lookup(ctx, s.config)
	switch {
	case err == nil:
		s.failures, s.good, s.empty = 0, true, time.Time{}
		slices.SortFunc(list, func(a, b EndpointConfig) int { return strings.Compare(a.Address, b.Address) })
		return found{list, s.after(ttl)}, nil
	case !errors.Is(err, ErrNoRecords):
		s.empty = time.Time{}
	case s.empty.IsZero():
		s.empty = time.Now()
	case s.good && time.Since(s.empty) >= emptyFor:
		s.good = false
		return found{nil, s.pause()}, nil
	}
	return found{again: s.pause()}, err
}

// after returns when to look again after an answer.
func (s *dnsSource) after(ttl time.Duration) time.Duration {
	if s.config.Refresh > 0 {
		return s.config.Refresh
	}
	return min(max(ttl, minTTL), maxTTL)
}

// pause returns when to look again after a failure: twice as late each time,
// with up to a half less so that many gateways don't ask at once.
func (s *dnsSource) pause() time.Duration {
	p := min(minPause<<min(s.failures, 10), maxPause)
	s.failures++
	return p - rand.N(p/2)
}

// lookup asks for the addresses of a name, or for its SRV records and theirs.
func (r *resolver) lookup(ctx context.Context, d DNS) ([]EndpointConfig, time.Duration, error) {
	if !d.SRV {
		ips, ttl, err := r.addresses(ctx, d.Name)
		return join(nil, ips, d.Port, 1), ttl, err
	}
	services, ttl, err := r.services(ctx, d.Name)
	if err != nil {
		return nil, 0, err
	}
	var list []EndpointConfig
	for _, s := range services {
		ips, t, err := r.addresses(ctx, s.target)
		if err != nil {
			return nil, 0, fmt.Errorf("target %s: %w", s.target, err)
		}
		ttl = min(ttl, t)
		if list = join(list, ips, s.port, max(s.weight, 1)); len(list) > MaxDiscovered {
			return nil, 0, fmt.Errorf("more than %d endpoints", MaxDiscovered)
		}
	}
	return list, ttl, nil
}

func join(list []EndpointConfig, ips []net.IP, port, weight int) []EndpointConfig {
	for _, ip := range ips {
		list = append(list, EndpointConfig{Address: net.JoinHostPort(ip.String(), strconv.Itoa(port)), Weight: weight})
	}
	return list
}

// lowest returns the services of the lowest priority, the only ones that are to
// be used while they can be reached (RFC 2782).
func lowest(services []service) []service {
	priority := slices.MinFunc(services, func(a, b service) int { return a.priority - b.priority }).priority
	return slices.DeleteFunc(services, func(s service) bool { return s.priority != priority })
}
