package listen

import (
	"net"
	"sync"
	"time"
)

// The time that a draining socket gives connections which have not got to a
// protocol yet: to those that are silent, and to those in a handshake.
const (
	silentGrace    = 250 * time.Millisecond
	handshakeGrace = time.Second
)

// openings are the connections whose protocol is not known yet, with the time
// that each may still take when the socket drains.
type openings struct {
	mu       sync.Mutex
	open     map[net.Conn]time.Duration
	draining bool
	closed   bool
}

// bound gives nc d for what it does next, or grace if the socket drains. false:
// it was closed.
func (o *openings) bound(nc net.Conn, d, grace time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if o.open == nil {
		o.open = map[net.Conn]time.Duration{}
	}
	o.open[nc] = grace
	if o.draining {
		d = min(d, grace)
	}
	return nc.SetDeadline(time.Now().Add(d)) == nil
}

// release takes nc, which is about to be served, out and lifts its bound.
func (o *openings) release(nc net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.open[nc]; ok {
		delete(o.open, nc)
		_ = nc.SetDeadline(time.Time{})
	}
}

// drain bounds all of them by their grace.
func (o *openings) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.draining = true
	now := time.Now()
	for nc, grace := range o.open {
		_ = nc.SetDeadline(now.Add(grace))
	}
}

// close closes all of them.
func (o *openings) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for nc := range o.open {
		nc.Close()
	}
}
