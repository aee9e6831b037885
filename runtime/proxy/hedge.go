package proxy

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/upstream"
)

// hedge waits for the first byte of an answer, and if none comes in time asks a
// second endpoint as well (J. Dean, L. A. Barroso, "The Tail at Scale", 2013).
// f.try is then the one that answered first, and the other is over. The request
// left whole, with first as its body.
func (r *retrier) hedge(first []byte) error {
	f := r.f
	t := &f.try
	late := t.start.Add(r.policy.Hedge)
	if !late.Before(t.end()) {
		return nil
	}
	if err := t.conn.SetReadDeadline(late); err != nil {
		return err
	}
	if err := t.conn.AwaitResponse(); err == nil || !isTimeout(err) {
		return err
	}
	if f.x.Front.Gone() {
		return errGone
	}
	ep, err := r.cluster.PickOther(f.x, append(r.tried, t.endpoint))
	if err != nil || ep == t.endpoint || !f.pass.TryAgain(upstream.Late, false) {
		return nil // the one goes on
	}
	r.n++
	now := time.Now()
	return r.race(
		&contender{try: *t},
		&contender{try: try{endpoint: ep, start: now, timeout: r.perTry(now), ceiling: t.ceiling}},
		first)
}

// end is when the try must have an answer.
func (t *try) end() time.Time {
	end := t.start.Add(t.timeout)
	if !t.ceiling.IsZero() && t.ceiling.Before(end) {
		return t.ceiling
	}
	return end
}

// race lets two tries wait for an answer and makes f.try the one that had it
// first, or, when both failed, the earlier one, whose error it returns.
func (r *retrier) race(one, two *contender, first []byte) error {
	f := r.f
	results := make(chan *contender, 2)
	one.begin(f, first, results)
	two.begin(f, first, results)
	tick := time.NewTicker(slice)
	defer tick.Stop()
	var winner *contender
	running, gone := 2, false
	for running > 0 && winner == nil && !gone {
		select {
		case c := <-results:
			if running--; c.err == nil {
				winner = c
			} else {
				c.failed = true
			}
		case <-tick.C:
			gone = f.x.Front.Gone()
		}
	}
	one.cancel()
	two.cancel()
	for ; running > 0; running-- {
		<-results
	}
	loser := two
	if winner == two {
		loser = one
	}
	loser.drop(f)
	r.tried = append(r.tried, loser.endpoint)
	f.try = one.try
	switch {
	case winner != nil:
		f.try = winner.try
		return nil
	case gone:
		return errGone
	}
	return one.err
}

// contender is one of two tries that go on at once, each in a goroutine of its
// own. The exchange is only read meanwhile.
type contender struct {
	try
	cancel context.CancelFunc
	err    error // valid once the goroutine ended
	failed bool  // by itself
}

func (c *contender) begin(f *flow, first []byte, results chan<- *contender) {
	ctx, cancel := context.WithDeadline(f.x.Context(), c.try.end())
	c.cancel = cancel
	go func() {
		defer func() {
			if p := recover(); p != nil {
				f.e.metrics.Panic()
				c.err = fmt.Errorf("panic: %v", p)
			}
			results <- c
		}()
		c.err = c.run(ctx, f.x, first)
	}()
}

// run waits for an answer, to a request that it sends first if that did not
// happen. Once ctx is done, the connection is closed.
func (c *contender) run(ctx context.Context, x *exchange.Exchange, first []byte) (err error) {
	asked := c.conn != nil
	if !asked {
		if c.conn, c.reused, err = c.endpoint.AcquireFor(ctx, x.Conn, false); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	if !asked {
		err = c.write(x, first, true)
	}
	if err == nil {
		err = c.conn.SetReadDeadline(time.Time{})
	}
	if err == nil {
		err = c.conn.AwaitResponse()
	}
	switch {
	case stop():
		return err
	case ctx.Err() == context.DeadlineExceeded:
		return os.ErrDeadlineExceeded
	}
	return ctx.Err()
}

// drop ends a try whose response the client does not get.
func (c *contender) drop(f *flow) {
	if c.failed && !isRefusal(c.err) {
		f.pass.Failed()
	}
	if c.conn == nil {
		return // and AcquireFor counted that
	}
	if c.failed {
		c.endpoint.Failed(kind(c.err))
	}
	c.endpoint.Discard(c.conn)
}
