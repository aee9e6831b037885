package proxy

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/headgate/headgate/runtime/upstream"
)

// tries is forward for an upstream with a retry block: as many tries as the
// policy, the budget and the time allow. It is safe to try again as long as
// nothing was sent to the client, and not one byte of the request was written or
// the request may be sent twice and its body is kept.
func (f *flow) tries(cluster *upstream.Cluster, policy *upstream.Retry) error {
	r := &retrier{f: f, cluster: cluster, policy: policy, timeout: f.route.Timeout, listed: policy.RetriesMethod(f.x.Request.Method)}
	if r.timeout == 0 {
		r.timeout = cluster.Timeout()
	}
	if b := f.x.Request.Body; b != nil {
		f.replay = &replay{body: b, limit: f.route.Buffer, memory: f.x.Memory}
		f.x.Request.Body = f.replay
	}
	f.x.Now = time.Now()
	r.end = f.x.Now.Add(r.timeout)
	for {
		if again, err := r.try(); !again {
			f.replay.settled()
			return err
		}
	}
}

// retrier is the state of the tries of one request.
type retrier struct {
	f       *flow
	cluster *upstream.Cluster
	policy  *upstream.Retry
	timeout time.Duration // of the request
	end     time.Time     // of it
	listed  bool          // the method may be sent twice

	n     int                  // further tries so far
	tried []*upstream.Endpoint // and failed
	fresh bool                 // the next connection is a new one
	stale bool                 // it takes the place of one that was closed while idle

	severed bool // the request body was given up, so it can't go on
}

// try makes one try, and reports whether there is another.
func (r *retrier) try() (again bool, err error) {
	f, x := r.f, r.f.x
	first, whole, err := f.firstBytes()
	if err != nil {
		return false, f.bodyError(err)
	}
	ep, err := r.cluster.PickOther(x, r.tried)
	if err != nil {
		return false, upstreamFailed(err)
	}
	conn, reused, err := r.acquire(ep)
	if err != nil {
		switch {
		case x.Context().Err() != nil:
			return false, errGone
		case isRefusal(err):
			return false, refused(err)
		}
		f.pass.Failed()
		return r.again(ep, upstream.FailedConnect, true, upstreamFailed(err))
	}
	x.Now = time.Now()
	t := &f.try
	*t = try{endpoint: ep, conn: conn, reused: reused, timeout: r.perTry(x.Now), ceiling: grpcDeadline(x)}
	if err = r.roundTrip(first, whole); err == nil {
		return r.answered()
	}
	ep, conn, reused = t.endpoint, t.conn, t.reused // a hedged request may have got others
	if r.n == 0 && !t.deadline.IsZero() {           // it begins when the request has left
		r.end = t.deadline.Add(r.timeout - t.timeout)
	}
	unwritten := !conn.Wrote()
	stale := reused && !r.stale && errors.Is(err, upstream.ErrNoAnswer)
	gone, expired := errors.Is(err, errGone), !t.ceiling.IsZero() && !time.Now().Before(t.ceiling)
	if stopErr := r.abandon(gone || expired || !r.mayReplay(unwritten)); stopErr != nil {
		return false, f.bodyError(stopErr)
	}
	if gone {
		return false, errGone
	}
	if stale && r.mayReplay(unwritten) && f.replay.rewind() { // it was only closed while idle
		f.pass.Repeated()
		r.stale, r.fresh = true, true
		return true, nil
	}
	ep.Failed(kind(err))
	f.pass.Failed()
	if expired {
		return false, upstreamFailed(err)
	}
	reason := upstream.FailedReset
	if isTimeout(err) {
		reason = upstream.FailedTimeout
	}
	return r.again(ep, reason, unwritten, upstreamFailed(err))
}

// roundTrip is that of the flow, but that it may ask two endpoints.
func (r *retrier) roundTrip(first []byte, whole bool) error {
	f := r.f
	if r.policy.Hedge == 0 || !whole || !r.listed || r.n >= r.policy.Attempts || f.x.Request.Upgrade != "" {
		return f.roundTrip(first, whole)
	}
	if err := f.ask(first, whole); err != nil {
		return err
	}
	if err := r.hedge(first); err != nil {
		return err
	}
	return f.readHead()
}

// perTry is how long a try that starts now may take.
func (r *retrier) perTry(now time.Time) time.Duration {
	d := r.timeout
	if r.n > 0 {
		d = max(r.end.Sub(now), time.Millisecond)
	}
	if r.policy.PerTry > 0 {
		d = min(d, r.policy.PerTry)
	}
	return d
}

// acquire bounds the wait for a connection like the try, if that has a bound of
// its own.
func (r *retrier) acquire(ep *upstream.Endpoint) (upstream.Conn, bool, error) {
	ctx := r.f.x.Context()
	if r.policy.PerTry > 0 || r.n > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.perTry(time.Now()))
		defer cancel()
	}
	return ep.AcquireFor(ctx, r.f.x.Conn, r.fresh)
}

// mayReplay reports whether what was written of the request allows another try.
func (r *retrier) mayReplay(unwritten bool) bool {
	return !r.severed && !r.f.try.informed && (unwritten || r.listed)
}

// abandon gives up a try. Unless it is the last one, the rest of a chunk that the
// client is sending is waited for, since the body goes on with the next try.
func (r *retrier) abandon(last bool) error {
	if p := r.f.try.pump; p != nil && !last {
		r.f.try.conn.Close() // ends the pump with its next write
		for !p.ended(slice) {
			if r.f.x.Front.Gone() || !time.Now().Before(r.end) {
				r.severed = true
				break
			}
		}
	}
	return r.f.abandon()
}

// again decides on another try after one that failed with err.
func (r *retrier) again(ep *upstream.Endpoint, reason upstream.Reason, unwritten bool, err error) (bool, error) {
	f := r.f
	if !r.allowed(unwritten) || !r.policy.Retries(reason) || !f.replay.rewind() {
		return false, err
	}
	// What wrote nothing cost the upstream nothing, and another endpoint need not
	// be spared. Without the block there is such a try, too.
	free := unwritten && r.n == 0
	if !f.pass.TryAgain(reason, free) {
		return false, err
	}
	return r.next(ep, free)
}

func (r *retrier) allowed(unwritten bool) bool {
	return r.n < r.policy.Attempts && r.mayReplay(unwritten) && time.Now().Before(r.end)
}

// next prepares the next try, after a pause unless it goes at once.
func (r *retrier) next(ep *upstream.Endpoint, atOnce bool) (bool, error) {
	r.n++
	r.tried = append(r.tried, ep)
	r.fresh, r.stale = false, false
	if atOnce {
		return true, nil
	}
	left := r.policy.Pause(r.n)
	if left >= time.Until(r.end) {
		left = max(time.Until(r.end), 0)
	}
	for left > 0 {
		d := min(left, slice)
		left -= d
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-r.f.x.Context().Done():
			timer.Stop()
			return false, errGone
		}
		if r.f.x.Front.Gone() {
			return false, errGone
		}
	}
	return true, nil
}

// answered decides on a response head: its status may be one that is tried again.
func (r *retrier) answered() (bool, error) {
	f := r.f
	t, status := &f.try, f.x.Response.Status
	if !r.policy.RetriesStatus(status) || !r.allowed(false) || t.pump.sending() {
		return false, nil
	}
	if err := f.stopPump(); err != nil {
		return false, nil // the answer is all there will be
	}
	if !f.replay.rewind() || !f.pass.TryAgain(upstream.FailedStatus, false) {
		return false, nil
	}
	ep := t.endpoint
	f.discard()
	return r.next(ep, false)
}

const (
	// discardMost of a response that nobody gets is read, so that its connection
	// can be used again, for discardWait at the most.
	discardMost = 64 << 10
	discardWait = 50 * time.Millisecond
)

// discard ends a try whose response the client does not get.
func (f *flow) discard() {
	t, body := &f.try, f.x.Response.Body
	conn, ep := t.conn, t.endpoint
	t.conn = nil
	f.x.Response.Body = nil
	if body != nil && conn.SetReadDeadline(time.Now().Add(discardWait)) == nil {
		for n := 0; n < discardMost; {
			p, err := body.Next()
			if n += len(p); err == io.EOF {
				break
			} else if err != nil {
				ep.Discard(conn)
				return
			}
		}
	}
	ep.Release(conn) // which closes it unless the response was read to its end
}
