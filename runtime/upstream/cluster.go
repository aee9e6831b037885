package upstream

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// ErrNoEndpoint means that a cluster has no endpoint to offer.
var ErrNoEndpoint = errors.New("no endpoint is available")

// Config describes a cluster.
type Config struct {
	Name      string
	Endpoints []EndpointConfig
	// Balance is an algorithm that Balances knows; anything else is least_request.
	Balance string
	// HashOn is what ring_hash and maglev choose by; nil: nothing.
	HashOn exchange.Expr
	// Prefer are labels of the endpoints that are asked while enough of them are
	// usable.
	Prefer map[string]string
	// SlowStart is how long an endpoint that is new, or back, takes to get its full
	// share. It has no effect on algorithms that choose by a hash.
	SlowStart time.Duration
	// Affinity keeps clients at their endpoints; nil: it doesn't.
	Affinity *Affinity
	// ConnectTimeout bounds dialing, Timeout the wait for a response head,
	// IdleTimeout the life of an idle connection. Zero values take the defaults:
	// 5 s, 15 s, 60 s.
	ConnectTimeout, Timeout, IdleTimeout time.Duration
	// MaxIdle bounds the idle connections of one endpoint; 512.
	MaxIdle int
	// HTTP2 speaks HTTP/2 to the endpoints: over TLS what ALPN has to agree on, in
	// the clear with prior knowledge.
	HTTP2 bool
	// Auto lets each endpoint choose HTTP/2 or HTTP/1.1 by ALPN; it needs TLS.
	Auto bool
	// ProxyProtocol is v1 or v2 for a PROXY header with the addresses of the client
	// at the start of each connection, which then carries one request; "" for none.
	// It goes with HTTP/1.1 and streams.
	ProxyProtocol string
	// TLS is nil for connections in the clear.
	TLS *TLS
	// Breaker and Retry are nil for none. Who sends requests to a cluster that has
	// one asks Admit first.
	Breaker *Breaker
	Retry   *Retry
	// HealthCheck is nil if endpoints aren't asked how they are, Outliers if what
	// requests come to takes none out.
	HealthCheck *HealthCheck
	Outliers    *OutlierDetection
	// Discovery is where the endpoints come from; nil: Endpoints.
	Discovery *Discovery
}

// EndpointConfig describes one endpoint.
type EndpointConfig struct {
	// Address is host:port or unix:/path.
	Address string
	// Weight is the share of requests; 0 means 1.
	Weight int
	Labels map[string]string
}

func (c Config) withDefaults() Config {
	if c.Balance == "" {
		c.Balance = "least_request"
	}
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = 15 * time.Second
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = 60 * time.Second
	}
	if c.MaxIdle <= 0 {
		c.MaxIdle = 512
	}
	return c
}

// Cluster is a set of endpoints and the way to choose among them. It is safe for
// concurrent use.
type Cluster struct {
	config   Config
	registry *Registry
	members  atomic.Pointer[members]
	source   *source  // nil: the members don't change
	circuit  *circuit // nil: neither breaker nor further tries
	closed   atomic.Bool
	number   uint64 // the latest cluster has the highest

	changing sync.Mutex // held by whoever replaces members
}

// members is a set of endpoints with what the balancer knows of it. It is
// replaced as a whole.
type members struct {
	all      []member             // every endpoint of the cluster
	balancer balancer             // of those that may be asked
	tokens   map[string]*Endpoint // the same by what cookies call them
	// usable is how many are well. While it is too few, panicking, others may be
	// asked as well.
	usable    int
	panicking bool
}

// member is an endpoint with what it is in this cluster.
type member struct {
	*Endpoint
	weight int
	labels map[string]string
}

// choice is what a request asks of a balancer.
type choice struct {
	now    time.Time
	hash   uint64 // of hash_on
	hashed bool   // there is one
	// avoid is not picked while there is another.
	avoid *Endpoint
}

// balancer chooses among members that don't change. Of none it
// picks nil.
type balancer interface {
	pick(choice) *Endpoint
}

// algorithms are the ways to choose, by their names in the configuration.
func algorithms() map[string]func([]member) balancer {
	return map[string]func([]member) balancer{
		"round_robin":   func(m []member) balancer { return newRoundRobin(m) },
		"least_request": func(m []member) balancer { return newLeastRequest(m) },
		"ewma":          func(m []member) balancer { return newEWMA(m) },
		"random":        func(m []member) balancer { return newRandom(m) },
		"ring_hash":     func(m []member) balancer { return newRingHash(m) },
		"maglev":        func(m []member) balancer { return newMaglev(m) },
	}
}

func newBalancer(name string, members []member) (b balancer, ok bool) {
	algorithm, ok := algorithms()[name]
	if !ok {
		return nil, false
	}
	return algorithm(members), true
}

// Balances reports whether there is an algorithm of that name.
func Balances(name string) bool {
	_, ok := algorithms()[name]
	return ok
}

// Hashes reports whether an algorithm chooses by a hash.
func Hashes(name string) bool { return name == "ring_hash" || name == "maglev" }

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.config.Name }

// Config returns the configuration with its defaults filled in.
func (c *Cluster) Config() Config { return c.config }

// Timeout bounds the wait for a response head.
func (c *Cluster) Timeout() time.Duration { return c.config.Timeout }

// Pick chooses the endpoint of a try of x: any but avoid while there is another.
func (c *Cluster) Pick(x *exchange.Exchange, avoid *Endpoint) (*Endpoint, error) {
	m := c.members.Load()
	how := choice{avoid: avoid}
	if x != nil {
		if e := m.stuck(c.config.Affinity, x); e != nil && e != avoid {
			return e, nil
		}
		how.now = x.Now
		if hash := c.config.HashOn; hash != nil {
			if v, err := hash(x); err == nil {
				how.hash, how.hashed = hashOf(v)
			}
		}
	}
	if how.now.IsZero() {
		how.now = time.Now()
	}
	e := m.balancer.pick(how)
	if e == nil {
		return nil, ErrNoEndpoint
	}
	return e, nil
}

// PickOther chooses the endpoint of a further try: none of those that were tried
// while there is another.
func (c *Cluster) PickOther(x *exchange.Exchange, tried []*Endpoint) (*Endpoint, error) {
	var last *Endpoint
	if len(tried) > 0 {
		last = tried[len(tried)-1]
	}
	e, err := c.Pick(x, last)
	for range 2 {
		if err != nil || !slices.Contains(tried, e) {
			return e, err
		}
		e, err = c.Pick(x, last)
	}
	// The balancer avoids one at a time, and may choose the same ones for ever.
	all := c.members.Load().all
	start := rand.IntN(max(len(all), 1))
	for i := range all {
		m := all[(start+i)%len(all)]
		if m.standing.usable() && !slices.Contains(tried, m.Endpoint) {
			return m.Endpoint, nil
		}
	}
	return e, err
}

// Close gives the endpoints back. Requests under way end undisturbed.
func (c *Cluster) Close() {
	if !c.closed.CompareAndSwap(false, true) {
		return
	}
	if c.source != nil {
		c.registry.unfollow(c, c.source)
	}
	c.registry.leave(c)
	c.registry.direct(c.config.Name) // the settings of those that stay are in force again
	c.releaseMembers(c.members.Load())
	c.registry.releaseCircuit(c.circuit)
}

// set replaces the endpoints. Those that stay keep their connections and counts;
// those that go close when their requests have ended.
func (c *Cluster) set(endpoints []EndpointConfig) {
	c.replace(endpoints)
	c.registry.direct(c.config.Name)
}

func (c *Cluster) replace(endpoints []EndpointConfig) {
	c.changing.Lock()
	defer c.changing.Unlock()
	r := c.registry
	var all []member
	at := make(map[string]int, len(endpoints))
	r.mu.Lock()
	for _, ec := range endpoints {
		weight := max(ec.Weight, 1)
		if i, ok := at[ec.Address]; ok {
			all[i].weight += weight
			continue
		}
		at[ec.Address] = len(all)
		all = append(all, member{r.endpoint(c.config, ec.Address), weight, ec.Labels})
	}
	if w := r.watches[c.config.Name]; w != nil && len(all) > 0 {
		w.settled = true
	}
	r.mu.Unlock()
	c.releaseMembers(c.members.Swap(c.balance(all)))
}

// refresh looks again at which endpoints may be asked.
func (c *Cluster) refresh() {
	c.changing.Lock()
	defer c.changing.Unlock()
	if old := c.members.Load(); old != nil {
		c.members.Store(c.balance(old.all))
	}
}

// balance makes the balancer of those of all that may be asked.
func (c *Cluster) balance(all []member) *members {
	list, well, panicking := c.usable(all)
	b := prefer(c.config.Prefer, all, list, func(list []member) balancer {
		b, ok := newBalancer(c.config.Balance, list)
		if !ok {
			b = newLeastRequest(list)
		}
		if c.config.SlowStart > 0 && !Hashes(c.config.Balance) {
			b = &slowStart{b, c.config.SlowStart}
		}
		return b
	})
	return &members{all, b, tokens(c.config.Affinity, c.config.Name, list), well, panicking}
}

func (c *Cluster) releaseMembers(m *members) {
	if m == nil {
		return
	}
	for _, m := range m.all {
		c.registry.release(m.Endpoint)
	}
}
