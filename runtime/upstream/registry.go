package upstream

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/telemetry"
)

// Registry holds the endpoints that the clusters of all generations share. It
// is safe for concurrent use.
type Registry struct {
	metrics *telemetry.Metrics
	buffers http1.Buffers
	made    time.Time

	mu        sync.Mutex
	endpoints map[key]*Endpoint
	circuits  map[string]*circuit
	pools     map[string]*connections // by upstream
	standings map[standingKey]*standing
	watches   map[string]*watch // by upstream
	joined    uint64            // clusters so far
	sources   map[sourceKey]*source
	lookup    lookup                      // nil: the system's DNS servers
	series    map[*telemetry.Endpoint]int // how many endpoints count into each
	log       *slog.Logger                // of changes of state; nil: none

	over   context.Context // done once Close was called
	stop   context.CancelFunc
	ended  <-chan struct{} // the reaper has returned
	checks sync.WaitGroup  // checkers and detectors, begun under mu
}

// key is the identity of an endpoint: what makes its connections and its health
// the same across generations.
type key struct {
	upstream, address string
	connect, idle     time.Duration
	maxIdle           int
	http2, auto       bool
	secure            bool
	proxy             string
	tls               TLS // if secure
}

// offers are the protocols that ALPN names.
func (k key) offers() []string {
	switch {
	case k.auto:
		return []string{"h2", "http/1.1"}
	case k.http2:
		return []string{"h2"}
	}
	return []string{"http/1.1"}
}

// reapEvery is how often idle connections are looked at.
const reapEvery = time.Second

// NewRegistry makes an empty registry, which Close ends. m may be nil.
func NewRegistry(m *telemetry.Metrics) *Registry {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	r := &Registry{
		made: time.Now(), metrics: m, endpoints: map[key]*Endpoint{}, circuits: map[string]*circuit{}, pools: map[string]*connections{}, standings: map[standingKey]*standing{},
		watches: map[string]*watch{}, sources: map[sourceKey]*source{}, series: map[*telemetry.Endpoint]int{},
		over: ctx, stop: stop, ended: ended,
	}
	go func() {
		defer close(ended)
		r.reap(ctx)
	}()
	return r
}

// Cluster makes a cluster; Close it when its generation ends. An address that is
// listed twice is one endpoint with both weights.
func (r *Registry) Cluster(c Config) *Cluster {
	c = c.withDefaults()
	cluster := &Cluster{config: c, registry: r}
	r.mu.Lock()
	cluster.circuit = r.circuit(c)
	r.join(cluster)
	r.mu.Unlock()
	if c.Discovery != nil {
		cluster.source = r.follow(cluster)
	} else {
		cluster.set(c.Endpoints)
	}
	return cluster
}

// endpoint returns an endpoint with one more reference. r.mu is held.
func (r *Registry) endpoint(c Config, address string) *Endpoint {
	k := key{
		upstream: c.Name, address: address, connect: c.ConnectTimeout, idle: c.IdleTimeout,
		maxIdle: c.MaxIdle, http2: c.HTTP2, auto: c.Auto && c.TLS != nil, secure: c.TLS != nil,
		proxy: c.ProxyProtocol,
	}
	if k.proxy != "" {
		k.maxIdle = 0 // a connection belongs to its client
	}
	if c.TLS != nil {
		k.tls = *c.TLS
	}
	var m *telemetry.Endpoint
	if r.metrics != nil {
		m = r.metrics.Endpoint(c.Name, address)
	}
	e := r.endpoints[k]
	if e != nil && e.metrics != m {
		// The address left the configuration and comes back, while an old
		// generation still has it. Its series are gone; what counts into them
		// can't be shared.
		e.close()
		e = nil
	}
	if e == nil {
		e = newEndpoint(k, &r.buffers, m)
		if e.tls != nil && r.log != nil {
			e.tls.log = r.log.With("upstream", c.Name, "endpoint", address)
		}
		e.standing = r.standing(c.Name, address)
		e.pool = r.connections(c.Name, e)
		r.endpoints[k] = e
		r.series[m]++
	}
	e.refs++
	return e
}

// release gives a reference back. What nobody references any more is closed.
func (r *Registry) release(e *Endpoint) {
	r.mu.Lock()
	e.refs--
	last := e.refs == 0
	if last && r.endpoints[e.key] == e {
		delete(r.endpoints, e.key)
	}
	if last {
		r.dropSeries(e.key, e.metrics)
		r.forget(e.standing)
		r.disconnect(e)
	}
	r.mu.Unlock()
	if last {
		e.close()
	}
}

// dropSeries ends the series of an endpoint that no other counts into. r.mu is
// held.
func (r *Registry) dropSeries(k key, m *telemetry.Endpoint) {
	if r.series[m]--; r.series[m] > 0 {
		return
	}
	delete(r.series, m)
	if m != nil {
		r.metrics.DropEndpoint(k.upstream, k.address, m)
	}
}

func (r *Registry) all() []*Endpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Endpoint, 0, len(r.endpoints))
	for _, e := range r.endpoints {
		list = append(list, e)
	}
	return list
}

func (r *Registry) reap(ctx context.Context) {
	t := time.NewTicker(reapEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			for _, e := range r.all() {
				e.reap()
			}
		}
	}
}

// Close closes all idle connections and ends the registry. Connections in use
// close when they are released. Closing again does nothing.
func (r *Registry) Close() {
	r.mu.Lock() // so that no check begins any more
	r.stop()
	r.mu.Unlock()
	<-r.ended
	r.checks.Wait()
	for _, e := range r.all() {
		e.close()
	}
}

// ClusterInfo is what the admin API shows of an upstream.
type ClusterInfo struct {
	Name      string         `json:"name"`
	Circuit   *CircuitInfo   `json:"circuit,omitempty"`
	Discovery *DiscoveryInfo `json:"discovery,omitempty"` // nil: endpoints are listed
	Endpoints []EndpointInfo `json:"endpoints"`
}

// EndpointInfo is what it shows of an endpoint.
type EndpointInfo struct {
	Address string `json:"address"`
	Active  int64  `json:"active"`
	Idle    int    `json:"idle"`
	// Requests are the connections that were asked for, so a second try counts
	// again. Failures are all those without an answer, Errors the same by kind.
	Requests int64      `json:"requests"`
	Failures int64      `json:"failures"`
	Errors   ErrorsInfo `json:"errors"`
	// LatencyMS is the time to a response head in milliseconds, the latest
	// answers counting most.
	LatencyMS float64 `json:"latency_ms"`
	// Barred is why the endpoint gets no requests: "unhealthy", "ejected" or
	// "drained", each with what happened.
	Barred map[string]string `json:"barred,omitempty"`
}

// ErrorsInfo are requests without an answer, by kind.
type ErrorsInfo struct {
	Connect int64 `json:"connect"`
	Reset   int64 `json:"reset"`
	Timeout int64 `json:"timeout"`
}

// Snapshot lists the upstreams by name and their endpoints by address. While two
// generations reach an address with different settings, it is listed once, with
// the counts of both.
func (r *Registry) Snapshot() []ClusterInfo {
	at := map[[2]string]EndpointInfo{}
	for _, e := range r.all() {
		k := [2]string{e.key.upstream, e.key.address}
		at[k] = at[k].plus(e.info())
	}
	byName := map[string][]EndpointInfo{}
	for _, name := range r.discovered() {
		byName[name] = []EndpointInfo{} // shown also without endpoints
	}
	for k, info := range at {
		byName[k[0]] = append(byName[k[0]], info)
	}
	list := make([]ClusterInfo, 0, len(byName))
	for name, endpoints := range byName {
		slices.SortFunc(endpoints, func(a, b EndpointInfo) int { return cmp.Compare(a.Address, b.Address) })
		list = append(list, ClusterInfo{name, r.circuitInfo(name), r.discoveryInfo(name), endpoints})
	}
	slices.SortFunc(list, func(a, b ClusterInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (a EndpointInfo) plus(b EndpointInfo) EndpointInfo {
	return EndpointInfo{
		Address: b.Address, Active: a.Active + b.Active, Idle: a.Idle + b.Idle,
		Requests: a.Requests + b.Requests, Failures: a.Failures + b.Failures,
		Errors:    ErrorsInfo{a.Errors.Connect + b.Errors.Connect, a.Errors.Reset + b.Errors.Reset, a.Errors.Timeout + b.Errors.Timeout},
		LatencyMS: max(a.LatencyMS, b.LatencyMS), Barred: b.Barred,
	}
}
