package gateway

import (
	"context"

	"github.com/headgate/headgate/runtime/exchange"
)

// Fetch implements host.Fetcher: plugins send requests by the configuration in
// force, whichever one their exchange began with.
func (g *Gateway) Fetch(ctx context.Context, x *exchange.Exchange, to string, q *exchange.Fetch) error {
	gen := g.inForce()
	if gen == nil {
		return exchange.ErrFetchUnknown
	}
	c := gen.Cluster(to)
	if c == nil {
		return exchange.ErrFetchUnknown
	}
	return g.engine.Fetch(ctx, c, x, q)
}
