package upstream

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// connections bounds those of an upstream to all its endpoints, and lets requests
// wait for one. It outlives generations.
type connections struct {
	most, mostWaiting atomic.Int64 // 0: no limit
	waiting           atomic.Int64
	refused           atomic.Int64

	mu        sync.Mutex // taken before that of an endpoint
	open      int64      // made, or to be made, while there was a limit
	queues    map[*Endpoint][]*waiter
	turn      uint64 // of the next waiter
	endpoints map[*Endpoint]struct{}
}

// waiter is a request that waits for a connection to an endpoint. What it gets is
// a connection of another request, or leave to make one (nil).
type waiter struct {
	turn uint64
	got  chan Conn
}

// passedOver is how many others may be served before the one that waits longest:
// a connection that is at hand is better than one that has to be made.
const passedOver = 32

func newConnections() *connections {
	return &connections{queues: map[*Endpoint][]*waiter{}, endpoints: map[*Endpoint]struct{}{}}
}

// connections returns those of an upstream, with one more endpoint. r.mu is held.
func (r *Registry) connections(upstream string, e *Endpoint) *connections {
	p := r.pools[upstream]
	if p == nil {
		p = newConnections()
		r.pools[upstream] = p
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endpoints[e] = struct{}{}
	return p
}

// disconnect ends what connections began. r.mu is held.
func (r *Registry) disconnect(e *Endpoint) {
	p := e.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if delete(p.endpoints, e); len(p.endpoints) == 0 && r.pools[e.key.upstream] == p {
		delete(r.pools, e.key.upstream)
	}
}

// bound changes the limits of an upstream.
func (r *Registry) bound(upstream string, b *Breaker) {
	r.mu.Lock()
	p := r.pools[upstream]
	r.mu.Unlock()
	if p != nil {
		p.bound(b)
	}
}

func (p *connections) bound(b *Breaker) {
	var most, waiting int64
	if b != nil {
		most, waiting = int64(b.MaxConnections), int64(b.MaxPending)
	}
	if p.most.Swap(most) == most && p.mostWaiting.Swap(waiting) == waiting {
		return
	}
	p.mostWaiting.Store(waiting)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grant()
}

// full reports whether there is no connection to be made.
func (p *connections) full() bool {
	most := p.most.Load()
	if most == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open >= most
}

// acquire waits for leave to make a connection to e, which release gives back if
// counted, or for one that is left by another request, at most for patience. With
// no endpoint it has to be a new one. The error is a *Refusal or that of ctx.
func (p *connections) acquire(ctx context.Context, e *Endpoint, patience time.Duration) (conn Conn, counted bool, err error) {
	most := p.most.Load()
	if most == 0 {
		return nil, false, nil
	}
	p.mu.Lock()
	if p.open < most && p.waiting.Load() == 0 {
		p.open++
		p.mu.Unlock()
		return nil, true, nil
	}
	if limit := p.mostWaiting.Load(); limit > 0 && p.waiting.Load() >= limit {
		p.mu.Unlock()
		p.refused.Add(1)
		return nil, false, &Refusal{Reason: "pending", After: time.Second}
	}
	w := &waiter{turn: p.turn, got: make(chan Conn, 1)}
	p.turn++
	p.queues[e] = append(p.queues[e], w)
	p.waiting.Add(1)
	p.settle(e)
	p.mu.Unlock()
	return p.await(ctx, e, w, patience)
}

func (p *connections) await(ctx context.Context, e *Endpoint, w *waiter, patience time.Duration) (conn Conn, counted bool, err error) {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case conn = <-w.got:
		return conn, conn == nil, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-t.C:
		err = &Refusal{Reason: "pending", After: time.Second}
	}
	return p.giveUp(e, w, err)
}

// giveUp ends a wait, unless it ended well just now.
func (p *connections) giveUp(e *Endpoint, w *waiter, err error) (Conn, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.queues[e], w); i >= 0 {
		p.drop(e, i)
		if _, late := err.(*Refusal); late {
			p.refused.Add(1)
		}
		return nil, false, err
	}
	conn := <-w.got
	return conn, conn == nil, nil
}

// drop takes a waiter out of its queue. mu is held.
func (p *connections) drop(e *Endpoint, i int) {
	p.waiting.Add(-1)
	if p.queues[e] = slices.Delete(p.queues[e], i, i+1); len(p.queues[e]) == 0 {
		delete(p.queues, e)
	}
}

// serve gives the first who waits for e what it waits for. mu is held.
func (p *connections) serve(e *Endpoint, conn Conn) {
	w := p.queues[e][0]
	p.drop(e, 0)
	w.got <- conn
}

// made returns how many there are.
func (p *connections) made() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// release gives leave back.
func (p *connections) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	p.grant()
}

// grant lets those connect who may, in their order. mu is held.
func (p *connections) grant() {
	for p.waiting.Load() > 0 {
		if most := p.most.Load(); most > 0 && p.open >= most {
			return
		}
		p.open++
		p.serve(p.first(), nil)
	}
}

// first returns for which endpoint somebody waits longest. mu is held.
func (p *connections) first() (first *Endpoint) {
	for e, q := range p.queues {
		if first == nil || q[0].turn < p.queues[first][0].turn {
			first = e
		}
	}
	return first
}

// left tells that a request at e has ended, or that a connection came.
func (p *connections) left(e *Endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle(e)
}

// settle gives the connections of e that have room to those who wait for them. If
// others wait too long already, or nobody waits for e, one that is idle makes
// room for those at other endpoints. mu is held.
func (p *connections) settle(e *Endpoint) {
	for e != nil && len(p.queues[e]) > 0 && p.queues[e][0].turn <= p.queues[p.first()][0].turn+passedOver {
		conn := e.spare()
		if conn == nil {
			break
		}
		p.serve(e, conn)
	}
	if p.waiting.Load() == 0 || p.open < p.most.Load() {
		return
	}
	for other := range p.endpoints {
		if end := other.sacrifice(); end != nil {
			go end() // which calls release
			return
		}
	}
}

// counted is a connection that leave was taken for.
type counted struct {
	net.Conn
	pool *connections
	once sync.Once
}

// count makes nc, for which leave was taken, give it back when it is closed.
func (p *connections) count(nc net.Conn, err error) (net.Conn, error) {
	if err != nil {
		p.release()
		return nil, err
	}
	return &counted{Conn: nc, pool: p}, nil
}

// NetConn returns what lies beneath.
func (c *counted) NetConn() net.Conn { return c.Conn }

// CloseWrite passes on what streams need.
func (c *counted) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Close implements net.Conn.
func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.pool.release)
	return err
}
