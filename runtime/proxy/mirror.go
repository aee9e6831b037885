package proxy

import (
	"context"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/upstream"
)

// Mirror sends copies of a route's requests to a second upstream, whose answers
// nobody sees. A copy never delays or fails the request that it is of.
type Mirror struct {
	Cluster *upstream.Cluster
	// Percent of the requests are copied.
	Percent float64

	active atomic.Int64
}

// maxMirrors bounds the copies of one route that are under way: an upstream that
// can't keep up gets no more.
const maxMirrors = 256

// reflection is one copy of a request.
type reflection struct {
	e        *Engine
	m        *Mirror
	endpoint *upstream.Endpoint
	timeout  time.Duration
	x        *exchange.Exchange
	body     []byte
	memory   *exchange.Budget
	route    string
}

// mirror copies the request as it is about to leave, and sends the copy once its
// body is at hand. A body longer than the route's buffer is not copied, and
// neither is an upgrade.
func (f *flow) mirror(m *Mirror) {
	x := f.x
	if x.Request.Upgrade != "" || rand.Float64()*100 >= m.Percent {
		return
	}
	if m.active.Add(1) > maxMirrors {
		m.active.Add(-1)
		f.e.metrics.MirrorDropped(f.route.Name)
		return
	}
	y := reflected(f.e.life, x)
	endpoint, err := m.Cluster.Pick(y, nil)
	if err != nil {
		m.active.Add(-1)
		f.e.metrics.MirrorDropped(f.route.Name)
		return
	}
	timeout := f.route.Timeout
	if timeout == 0 {
		timeout = m.Cluster.Timeout()
	}
	r := &reflection{e: f.e, m: m, endpoint: endpoint, timeout: timeout, x: y, memory: x.Memory, route: f.route.Name}
	if x.Request.Body == nil {
		r.start()
		return
	}
	f.copy = &copied{Body: x.Request.Body, to: r, limit: f.route.Buffer}
	x.Request.Body = f.copy
}

// reflected is a request of its own that says the same as x's, less its body.
func reflected(ctx context.Context, x *exchange.Exchange) *exchange.Exchange {
	y := &exchange.Exchange{Start: x.Start, Now: x.Now, ID: strings.Clone(x.ID), RemoteIP: x.RemoteIP, Host: strings.Clone(x.Host)}
	y.Begin(ctx, x.Conn, exchange.NoFront{})
	r, s := &y.Request, &x.Request
	r.Proto, r.Method, r.Scheme, r.Authority = s.Proto, strings.Clone(s.Method), strings.Clone(s.Scheme), strings.Clone(s.Authority)
	r.Target, r.Path, r.RawQuery = strings.Clone(s.Target), strings.Clone(s.Path), strings.Clone(s.RawQuery)
	r.Head.CopyFrom(&s.Head)
	return y
}

// copied is a request body of which a copy is kept while it is read.
type copied struct {
	exchange.Body
	to    *reflection // nil once the copy was sent or given up
	limit int64
}

// abandon gives the copy of a body up that was not read to its end.
func (b *copied) abandon() {
	if b != nil && b.to != nil {
		b.to.drop()
		b.to = nil
	}
}

// Next implements exchange.Body.
func (b *copied) Next() ([]byte, error) {
	p, err := b.Body.Next()
	r := b.to
	switch {
	case r == nil:
		return p, err
	case broken(err), int64(len(r.body)+len(p)) > b.limit, !r.memory.Take(int64(len(p))):
		r.drop()
		b.to = nil
		return p, err
	}
	r.body = append(r.body, p...)
	if err == io.EOF {
		r.x.Request.SetBytes(r.body)
		r.start()
		b.to = nil
	}
	return p, err
}

// drop gives the copy up.
func (r *reflection) drop() {
	r.memory.Give(int64(len(r.body)))
	r.m.active.Add(-1)
	r.e.metrics.MirrorDropped(r.route)
}

// start sends the copy from a goroutine of its own.
func (r *reflection) start() {
	if !r.e.mirrors.begin() {
		r.drop()
		return
	}
	go func() {
		defer r.e.mirrors.end()
		defer r.m.active.Add(-1)
		defer r.memory.Give(int64(len(r.body)))
		defer func() {
			if recover() != nil {
				r.e.metrics.Panic()
			}
		}()
		r.send()
	}()
}

// send sends the copy and reads the answer to its end, so that the connection
// can be used again.
func (r *reflection) send() {
	for _, fresh := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(r.e.life, r.timeout)
		conn, _, err := r.endpoint.Acquire(ctx, fresh)
		cancel()
		if err != nil {
			return
		}
		stop := context.AfterFunc(r.e.life, func() { conn.Close() })
		err = r.exchange(conn)
		switch {
		case !stop() || err != nil:
			again := !conn.Wrote() && !fresh
			r.endpoint.Discard(conn)
			if again {
				continue
			}
			if err != nil {
				r.endpoint.Failed(kind(err))
			}
		default:
			r.endpoint.Release(conn)
		}
		return
	}
}

func (r *reflection) exchange(conn upstream.Conn) error {
	start := time.Now()
	deadline := start.Add(r.timeout)
	if err := conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if err := conn.WriteRequest(&r.x.Request, r.body, true); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	for {
		if err := conn.ReadResponse(r.x.Request.Method, &r.x.Response); err != nil {
			return err
		}
		if r.x.Response.Status >= 200 {
			break
		}
	}
	r.endpoint.Answered(r.x.Response.Status, time.Since(start))
	for body := r.x.Response.Body; body != nil; {
		if _, err := body.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// tasks counts goroutines that outlive the exchanges which started them.
type tasks struct {
	mu     sync.Mutex
	closed bool
	group  sync.WaitGroup
}

// begin counts one in; false once they were told to end.
func (t *tasks) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.group.Add(1)
	}
	return !t.closed
}

func (t *tasks) end() { t.group.Done() }

// close lets no further one in and waits for the others.
func (t *tasks) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.group.Wait()
}
