package upstream

import (
	"context"
	"net"

	"github.com/headgate/headgate/runtime/exchange"
)

// Dial opens a connection of its own for client, whose bytes are passed on as
// they are. It counts as active while the caller holds it with Hold. A dial that
// fails is counted as Failed("connect"), unless ctx ended it or it had to wait for
// max_connections in vain (*Refusal).
func (e *Endpoint) Dial(ctx context.Context, client *exchange.Conn) (net.Conn, error) {
	e.requests.Add(1)
	_, counts, err := e.pool.acquire(ctx, nil, e.key.connect)
	if err != nil {
		return nil, err
	}
	nc, err := e.connect(ctx, client, true, counts)
	if err != nil && ctx.Err() == nil {
		e.Failed("connect")
	}
	return nc, err
}
