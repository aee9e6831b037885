package proxy

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/upstream"
)

// Stream passes connections of a TCP listener on to upstreams, as they are. It
// is immutable and safe for concurrent use.
type Stream struct {
	fallback *upstream.Cluster
	exact    map[string]*upstream.Cluster
	below    map[string]*upstream.Cluster // by what follows "*."
}

// NewStream makes a stream to the upstreams by server name, "*.x" for everything
// below x, and to fallback for everything else; nil refuses it.
func NewStream(fallback *upstream.Cluster, names map[string]*upstream.Cluster) *Stream {
	s := &Stream{fallback: fallback, exact: map[string]*upstream.Cluster{}, below: map[string]*upstream.Cluster{}}
	for name, c := range names {
		if parent, ok := strings.CutPrefix(name, "*."); ok {
			s.below[parent] = c
		} else {
			s.exact[name] = c
		}
	}
	return s
}

// ReadsServerName implements listen.Stream.
func (s *Stream) ReadsServerName() bool { return len(s.exact)+len(s.below) > 0 }

// cluster returns the upstream for a server name: that of the name itself, else
// of the longest wildcard, else the one for everything.
func (s *Stream) cluster(server string) *upstream.Cluster {
	if c := s.exact[server]; c != nil {
		return c
	}
	for parent := server; len(s.below) > 0; {
		var ok bool
		if _, parent, ok = strings.Cut(parent, "."); !ok {
			break
		}
		if c := s.below[parent]; c != nil {
			return c
		}
	}
	return s.fallback
}

// ServeConn implements listen.Stream.
func (s *Stream) ServeConn(ctx context.Context, nc net.Conn, read []byte, server string, info *exchange.Conn) error {
	c := s.cluster(server)
	if c == nil {
		return exchange.ErrServerName
	}
	up, release, err := connect(ctx, c, info)
	if err != nil {
		return fmt.Errorf("upstream %q: %w", c.Name(), err)
	}
	defer release()
	defer up.Close()
	defer nc.Close()
	defer context.AfterFunc(ctx, func() {
		up.Close()
		nc.Close()
	})()
	if _, err := up.Write(read); err != nil {
		return nil
	}
	j := &joint{}
	idle := info.Listener.Idle()
	var both sync.WaitGroup
	both.Go(func() { j.copy(nc, up, idle) })
	j.copy(up, nc, idle)
	both.Wait()
	return nil
}

// connect opens a connection to an endpoint of c. If that fails, another one is
// tried: nothing was sent yet.
func connect(ctx context.Context, c *upstream.Cluster, info *exchange.Conn) (net.Conn, func(), error) {
	x := &exchange.Exchange{}
	x.Reset(ctx, info, nil)
	x.RemoteIP = info.Peer.Addr()
	var avoid *upstream.Endpoint
	for {
		e, err := c.Pick(x, avoid)
		if err != nil {
			return nil, nil, err
		}
		release := e.Hold()
		nc, err := e.Dial(ctx, info)
		if err == nil {
			return nc, release, nil
		}
		release()
		if avoid != nil || ctx.Err() != nil {
			return nil, nil, err
		}
		avoid = e
	}
}
