package proxy

import (
	"context"
	"fmt"
	"io"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/upstream"
)

// Fetch sends a request of a filter's own, on behalf of x, in the way that those
// of clients are sent: balancing, connections, breaker, limits and retries are the
// same. The answer is read to its end. Errors are those of exchange for a Fetch,
// ctx's, or say what went wrong.
func (e *Engine) Fetch(ctx context.Context, cluster *upstream.Cluster, x *exchange.Exchange, q *exchange.Fetch) error {
	y := &exchange.Exchange{ID: x.ID, RemoteIP: x.RemoteIP, Host: q.Authority, Memory: x.Memory}
	y.Begin(ctx, x.Conn, waiting{ctx: ctx})
	r := &y.Request
	r.Proto, r.Method, r.Scheme, r.Authority, r.Path, r.RawQuery = exchange.HTTP11, q.Method, q.Scheme, q.Authority, q.Path, q.RawQuery
	r.Head.CopyFrom(&q.Head)
	if len(q.Body) > 0 {
		r.SetBytes(q.Body)
	}
	f := e.flow(y)
	f.route = &Route{Split: []Target{{Cluster: cluster, Weight: 1}}, Timeout: q.Timeout, Buffer: int64(len(q.Body))}
	defer func() {
		f.settle()
		f.pass.Leave()
		f.replay.forget()
		y.Forget()
		*f = flow{}
		e.flows.Put(f)
	}()
	if err := f.forward(); err != nil {
		if isTimeout(err) {
			return exchange.ErrFetchTimeout
		}
		return err
	}
	q.Status = y.Response.Status
	q.Answer.CopyFrom(&y.Response.Head)
	if err := f.content(ctx, q); err != nil {
		return err
	}
	q.Trailer.CopyFrom(&y.Response.Trailer)
	return nil
}

// content reads the body of the answer.
func (f *flow) content(ctx context.Context, q *exchange.Fetch) error {
	m := &f.x.Response.Message
	if n := m.Length; n > q.Limit {
		_ = f.abandon()
		return exchange.ErrFetchLarge
	}
	for b := m.Body; b != nil; {
		p, err := b.Next()
		if int64(len(q.Content)+len(p)) > q.Limit {
			_ = f.abandon()
			return exchange.ErrFetchLarge
		}
		q.Content = append(q.Content, p...)
		switch {
		case err == io.EOF:
			return nil
		case isTimeout(err):
			if err = f.wait(); err != nil {
				_ = f.abandon()
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return exchange.ErrFetchTimeout
			}
		case err != nil:
			_ = f.abandon()
			return fmt.Errorf("the answer breaks off: %w", err)
		}
	}
	return nil
}

// waiting is the front of a request that a filter waits for.
type waiting struct {
	exchange.NoFront
	ctx context.Context
}

// Gone implements exchange.Front.
func (w waiting) Gone() bool { return w.ctx.Err() != nil }
