package gateway

import (
	"path/filepath"
	"time"

	"github.com/headgate/headgate/policies"
	"github.com/headgate/headgate/runtime/state"
)

// limiter counts the rate limits of policies.
type limiter struct{ limits *state.Limits }

// Take implements policies.Limiter.
func (l limiter) Take(scope, key string, p policies.Limit, cost int64, now time.Time) policies.Limited {
	algorithm, err := state.ParseAlgorithm(p.Algorithm)
	if err != nil {
		return policies.Limited{} // a decision with another one is refused
	}
	r := l.limits.Take(scope, key, state.Limit{Algorithm: algorithm, Events: p.Events, Window: p.Window, Burst: p.Burst}, cost, now)
	return policies.Limited{Allowed: r.Allowed, Remaining: r.Remaining, Wait: r.Wait, Reset: r.Reset}
}

// policyStore makes what outlives the policies of a configuration.
func (g *Gateway) policyStore() *policies.Store {
	o := policies.StoreOptions{Offline: g.opts.Offline, Limiter: limiter{state.NewLimits()}, Log: g.log}
	if g.opts.CacheDir != "" {
		o.Dir = filepath.Join(g.opts.CacheDir, "bundles")
	}
	return policies.NewStore(o)
}
