package upstream

import (
	"cmp"
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

	mu        sync.Mutex
	endpoints map[key]*Endpoint
	stop      chan struct{}
	done      chan struct{}
}

// key is the identity of an endpoint: what makes its connections and its health
// the same across generations.
type key struct {
	upstream, address string
	connect, idle     time.Duration
	maxIdle           int
}

// reapEvery is how often idle connections are looked at.
const reapEvery = time.Second

// NewRegistry makes an empty registry, which Close ends. m may be nil.
func NewRegistry(m *telemetry.Metrics) *Registry {
	r := &Registry{metrics: m, endpoints: map[key]*Endpoint{}, stop: make(chan struct{}), done: make(chan struct{})}
	go r.reap()
	return r
}

// Cluster makes a cluster; Close it when its generation ends.
func (r *Registry) Cluster(c Config) *Cluster {
	c = c.withDefaults()
	cluster := &Cluster{config: c, registry: r}
	r.mu.Lock()
	for _, ec := range c.Endpoints {
		k := key{c.Name, ec.Address, c.ConnectTimeout, c.IdleTimeout, c.MaxIdle}
		e := r.endpoints[k]
		if e == nil {
			e = newEndpoint(k, c, &r.buffers, r.metrics)
			r.endpoints[k] = e
		}
		e.refs++
		cluster.members = append(cluster.members, member{e, max(ec.Weight, 1)})
	}
	r.mu.Unlock()
	cluster.balancer, _ = balancers(c.Balance, cluster.members)
	if cluster.balancer == nil {
		cluster.balancer = newLeastRequest(cluster.members)
	}
	return cluster
}

func (r *Registry) release(e *Endpoint) {
	r.mu.Lock()
	e.refs--
	last := e.refs == 0
	if last {
		delete(r.endpoints, e.key)
	}
	r.mu.Unlock()
	if last {
		e.close()
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

func (r *Registry) reap() {
	defer close(r.done)
	t := time.NewTicker(reapEvery)
	defer t.Stop()
	for {
		select {
		case <-r.stop:
			return
		case now := <-t.C:
			for _, e := range r.all() {
				e.reap(now)
			}
		}
	}
}

// Close closes all idle connections and ends the registry. Connections in use
// close when they are released.
func (r *Registry) Close() {
	close(r.stop)
	<-r.done
	for _, e := range r.all() {
		e.close()
	}
}

// ClusterInfo is what the admin API shows of an upstream.
type ClusterInfo struct {
	Name      string         `json:"name"`
	Endpoints []EndpointInfo `json:"endpoints"`
}

// EndpointInfo is what it shows of an endpoint.
type EndpointInfo struct {
	Address  string `json:"address"`
	Active   int64  `json:"active"`
	Idle     int    `json:"idle"`
	Requests int64  `json:"requests"`
	Failures int64  `json:"failures"`
}

// Snapshot lists the upstreams by name and their endpoints by address.
func (r *Registry) Snapshot() []ClusterInfo {
	byName := map[string]*ClusterInfo{}
	for _, e := range r.all() {
		c := byName[e.key.upstream]
		if c == nil {
			c = &ClusterInfo{Name: e.key.upstream}
			byName[c.Name] = c
		}
		c.Endpoints = append(c.Endpoints, EndpointInfo{
			Address: e.Address(), Active: e.Active(), Idle: e.idleCount(),
			Requests: e.requests.Load(), Failures: e.failures.Load(),
		})
	}
	list := make([]ClusterInfo, 0, len(byName))
	for _, c := range byName {
		slices.SortFunc(c.Endpoints, func(a, b EndpointInfo) int { return cmp.Compare(a.Address, b.Address) })
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b ClusterInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
