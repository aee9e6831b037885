package upstream

import (
	"context"
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
	if !fresh {
		if s := e.openStream(); s != nil {
			return s, true, nil
		}
		select {
		case e.dialing <- struct{}{}:
		case <-ctx.Done():
			e.end()
			return nil, false, ctx.Err()
		}
		defer func() { <-e.dialing }()
		if s := e.openStream(); s != nil {
			return s, true, nil
		}
	}
	nc, err := e.dial(ctx)
	if err != nil {
		return nil, false, err
	}
	c := http2.NewClientConn(nc, "http", http1.Limits{})
	s := c.Open()
	if s == nil { // closed at once
		e.Failed("connect")
		e.end()
		return nil, false, ErrNoAnswer
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
	return s, false, nil
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
