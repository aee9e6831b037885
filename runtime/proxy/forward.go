package proxy

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/upstream"
)

// slice is how long the engine waits for an upstream before it looks whether
// the client is still there.
const slice = time.Second

// sendingSlice is the least of it while the request body is still under way: the
// wait for an answer begins when that has left.
const sendingSlice = 20 * time.Millisecond

// try is one request to an endpoint.
type try struct {
	endpoint *upstream.Endpoint
	conn     upstream.Conn
	reused   bool      // conn served an earlier request
	pump     *pump     // nil if the request left whole
	start    time.Time // of waiting
	deadline time.Time // for the response head
	ceiling  time.Time // of deadline, as a gRPC client asks; zero: none
	last     time.Time // a byte of the response came, to within a slice
	moved    bool      // bytes came since wait looked
	informed bool      // an interim response went to the client
	timeout  time.Duration
}

// target is the upstream that a filter chose, or one of the split.
func (f *flow) target() (*upstream.Cluster, error) {
	name := f.x.Upstream
	if name == "" {
		return pick(f.route.Split), nil
	}
	for i := range f.route.Split {
		if c := f.route.Split[i].Cluster; c.Name() == name {
			return c, nil
		}
	}
	return nil, filterFailed("upstream", fmt.Errorf("a filter chose the upstream %q, which is none of the route's", name))
}

// pick chooses the target of a split by weight.
func pick(split []Target) *upstream.Cluster {
	if len(split) == 1 {
		return split[0].Cluster
	}
	total := 0
	for i := range split {
		total += split[i].Weight
	}
	n := rand.IntN(max(total, 1))
	for i := range split {
		if n -= split[i].Weight; n < 0 {
			return split[i].Cluster
		}
	}
	return split[0].Cluster
}

// forward sends the request to an endpoint and reads the response head. On
// success f.try owns the connection until settle.
//
// A failed try is followed by one more if that is safe: not one byte of the
// request was written; or the connection came from the pool, ended before the
// first byte of an answer, and the request may be repeated (RFC 9110 section
// 9.2.2), which tells a connection that was closed while idle from a server
// that fails.
func (f *flow) forward() error {
	x := f.x
	cluster, err := f.target()
	if err != nil {
		return err
	}
	f.cluster = cluster
	if cluster.Guarded() {
		if f.pass, err = cluster.Admit(); err != nil {
			return refused(err)
		}
		if policy := cluster.Config().Retry; policy != nil {
			return f.tries(cluster, policy)
		}
	}
	timeout := f.route.Timeout
	if timeout == 0 {
		timeout = cluster.Timeout()
	}
	ceiling := grpcDeadline(x)
	first, whole, err := f.firstBytes()
	if err != nil {
		return f.bodyError(err)
	}
	repeatable := whole && idempotent(x.Request.Method)
	var avoid *upstream.Endpoint
	for again, fresh := false, false; ; {
		ep, err := cluster.Pick(x, avoid)
		if err != nil {
			return upstreamFailed(err)
		}
		conn, reused, err := ep.AcquireFor(x.Context(), x.Conn, fresh)
		if err != nil {
			switch {
			case x.Context().Err() != nil:
				return errGone
			case isRefusal(err):
				return refused(err)
			}
			f.pass.Failed()
			if again {
				return upstreamFailed(err)
			}
			avoid, again, fresh = ep, true, true
			continue
		}
		if !reused || again || x.Request.Body != nil { // it may have waited
			x.Now = time.Now()
		}
		t := &f.try
		*t = try{endpoint: ep, conn: conn, timeout: timeout, ceiling: ceiling}
		if err = f.roundTrip(first, whole); err == nil {
			return nil
		}
		mayRepeat := !again && t.pump == nil && (!conn.Wrote() || repeatable && reused && errors.Is(err, upstream.ErrNoAnswer))
		stopErr := f.abandon()
		switch {
		case stopErr != nil:
			return f.bodyError(stopErr)
		case errors.Is(err, errGone):
			return errGone
		}
		if !(mayRepeat && reused) { // else it was only closed while idle
			ep.Failed(kind(err))
			f.pass.Failed()
		}
		if !mayRepeat {
			return upstreamFailed(err)
		}
		if !reused {
			avoid, again = ep, true
		}
		fresh = true
	}
}

// kind is how metrics call a failed try.
func kind(err error) string {
	if isTimeout(err) {
		return "timeout"
	}
	return "reset"
}

// firstBytes takes what is at hand of the request body, so that it leaves in
// one write with the head.
func (f *flow) firstBytes() (p []byte, whole bool, err error) {
	b := f.x.Request.Body
	if b == nil {
		return nil, true, nil
	}
	if !b.Ready() {
		return nil, false, nil
	}
	p, err = b.Next()
	if err == io.EOF {
		m := &f.x.Request.Message
		m.Correct(len(p))
		return p, m.Trailer.Len() == 0, nil
	}
	return p, false, err
}

// sureToFit is what the send buffer of an idle socket takes without waiting for
// the peer: a smaller request needs no deadline.
const sureToFit = 4 << 10

// roundTrip sends the request and reads the response head.
func (f *flow) roundTrip(first []byte, whole bool) error {
	if err := f.ask(first, whole); err != nil {
		return err
	}
	return f.readHead()
}

// ask sends the request, or starts to.
func (f *flow) ask(first []byte, whole bool) error {
	t, x := &f.try, f.x
	t.start = x.Now
	if err := t.write(x, first, whole); err != nil {
		return err
	}
	if !whole {
		f.startPump()
	}
	return nil
}

// write sends the head and the first bytes of the body. A server may answer and
// close before it took the request; its answer counts, so it is only an error if
// nothing was written.
func (t *try) write(x *exchange.Exchange, first []byte, whole bool) error {
	if len(first) > sureToFit || !whole {
		if err := t.conn.SetWriteDeadline(time.Now().Add(x.Conn.Listener.Idle())); err != nil {
			return err
		}
	}
	if err := t.conn.WriteRequest(&x.Request, first, whole); err != nil && !t.conn.Wrote() {
		return err
	}
	return nil
}

// readHead reads the response head.
func (f *flow) readHead() error {
	t, x := &f.try, f.x
	t.deadline = t.start.Add(t.timeout)
	for now := t.start; ; now = time.Now() {
		wake := now.Add(slice)
		if t.deadline.Before(wake) {
			wake = t.deadline
			if soon := now.Add(sendingSlice); wake.Before(soon) && t.pump.sending() {
				wake = soon
			}
		}
		if !t.ceiling.IsZero() && t.ceiling.Before(wake) {
			wake = t.ceiling
		}
		if err := t.conn.SetReadDeadline(wake); err != nil {
			return err
		}
		err := t.conn.ReadResponse(x.Request.Method, &x.Response)
		switch {
		case err == nil && x.Response.Status == 101:
			if !offered(x.Request.Upgrade, x.Response.Upgrade) {
				return errors.New("101 for a protocol that the client did not offer")
			}
			fallthrough
		case err == nil && x.Response.Status >= 200:
			now := time.Now()
			t.last, x.Now = now, now
			t.endpoint.Answered(x.Response.Status, now.Sub(t.start))
			f.pass.Answered(x.Response.Status, now.Sub(t.start))
			if f.times != nil {
				f.times[len(f.times)-1] = now.Sub(t.start)
			}
			return nil
		case err == nil:
			t.informed = true
			if err := x.Front.Inform(x.Response.Status, &x.Response.Head); err != nil {
				return errGone
			}
		case !isTimeout(err), !t.ceiling.IsZero() && !time.Now().Before(t.ceiling):
			return err
		case t.pump.sending():
			t.deadline = time.Now().Add(t.timeout)
		case !time.Now().Before(t.deadline):
			return err
		case x.Front.Gone():
			return errGone
		}
	}
}

// offered reports whether a list of protocols, as in Upgrade, has one of that
// name (RFC 9110 section 7.8).
func offered(list, protocol string) bool {
	for p := range strings.SplitSeq(list, ",") {
		if p = strings.TrimSpace(p); p != "" && strings.EqualFold(p, strings.TrimSpace(protocol)) {
			return true
		}
	}
	return false
}

// wait is called when a read of the response body reached its deadline. It
// allows one more slice, unless the client left or nothing came for too long.
func (f *flow) wait() error {
	t := &f.try
	if t.conn == nil {
		return errGone
	}
	now := time.Now()
	if t.moved {
		t.moved, t.last = false, now
	}
	if now.Sub(t.last) > f.x.Conn.Listener.Idle() {
		return errStreamIdle
	}
	if f.x.Front.Gone() {
		return errGone
	}
	return t.conn.SetReadDeadline(now.Add(slice))
}

var errStreamIdle = errors.New("no byte for longer than stream_idle")

// abandon gives up the current try. It returns the error of the request body if
// that is what broke it.
func (f *flow) abandon() error {
	t := &f.try
	if t.conn == nil {
		return nil
	}
	t.conn.Close()
	err := f.stopPump()
	t.endpoint.Discard(t.conn)
	t.conn = nil
	return err
}

// uploadGrace is how long the rest of a request body may take after its
// response is complete: a server that answers early may still read what is on
// its way, and both connections live on.
const uploadGrace = 100 * time.Millisecond

// settle returns the connection after the response was sent, or gave up.
func (f *flow) settle() {
	t := &f.try
	if t.conn == nil {
		return
	}
	if t.pump.sending() && !t.pump.ended(uploadGrace) {
		_ = f.abandon()
		return
	}
	_ = f.stopPump()
	t.endpoint.Release(t.conn)
	t.conn = nil
}

// idempotent methods may be repeated by a proxy (RFC 9110 section 9.2.2).
func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		return true
	}
	return false
}
