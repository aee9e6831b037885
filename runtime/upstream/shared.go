package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"time"

	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/http2"
)

// acquireStream returns a stream of a shared connection, and makes a connection
// when none has room. Requests that come meanwhile wait for that one instead of
// making one each; but one that was refused gets a connection of its own to start
// with, which is sure to take it.
func (e *Endpoint) acquireStream(ctx context.Context, fresh bool) (conn Conn, reused bool, err error) {
	if fresh {
		return e.acquireNew(ctx, nil)
	}
	if s := e.openStream(); s != nil {
		return s, true, nil
	}
	if e.pool.full() { // streams that others leave may come first
		return e.acquireNew(ctx, nil)
	}
	select {
	case e.dialing <- struct{}{}:
	case <-ctx.Done():
		e.end()
		return nil, false, ctx.Err()
	}
	if !e.shares() { // which the one before found out
		<-e.dialing
		return e.acquireOwn(ctx, nil, false)
	}
	defer func() { <-e.dialing }()
	if s := e.openStream(); s != nil {
		return s, true, nil
	}
	return e.acquireNew(ctx, nil)
}

// shares reports whether connections are expected to be shared. Until the first
// answer to "auto" they are.
func (e *Endpoint) shares() bool {
	if !e.key.auto {
		return e.key.http2
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.solo
}

// agreed reports whether nc speaks HTTP/2, and remembers what ALPN decided.
func (e *Endpoint) agreed(nc net.Conn) bool {
	h2 := negotiated(e.key, nc)
	if !e.key.auto {
		return h2
	}
	e.mu.Lock()
	e.solo = !h2
	e.mu.Unlock()
	return h2
}

// negotiated reports whether nc, which is new, speaks HTTP/2.
func negotiated(k key, nc net.Conn) bool {
	t, ok := nc.(*tls.Conn)
	if !k.auto || !ok {
		return k.http2
	}
	return t.ConnectionState().NegotiatedProtocol == "h2"
}

func (e *Endpoint) scheme() string {
	if e.tls != nil {
		return "https"
	}
	return "http"
}

// share makes a shared connection of nc and returns its first stream.
func (e *Endpoint) share(nc net.Conn) (Conn, error) {
	c := http2.NewClientConn(nc, e.scheme(), http1.Limits{})
	s := c.Open()
	if s == nil { // closed at once
		e.Failed("connect")
		e.end()
		return nil, ErrNoAnswer
	}
	e.mu.Lock()
	closed := e.closed
	if !closed {
		e.shared = append(e.shared, c)
	}
	e.mu.Unlock()
	if closed {
		c.Leave() // behind this request
	}
	e.left() // there is room for more
	return s, nil
}

// openStream returns nil if no connection has room.
func (e *Endpoint) openStream() *http2.ClientStream {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.shared {
		if s := c.Open(); s != nil {
			return s
		}
	}
	return nil
}

// reapShared closes shared connections that idled too long, and forgets those
// that are over.
func (e *Endpoint) reapShared() {
	e.mu.Lock()
	var old []*http2.ClientConn
	e.shared = slices.DeleteFunc(e.shared, func(c *http2.ClientConn) bool {
		since, idle := c.Idle()
		if idle = idle && time.Since(since) >= e.key.idle; idle {
			old = append(old, c)
		}
		return idle || c.Over()
	})
	e.mu.Unlock()
	for _, c := range old {
		c.Leave()
	}
}
