package listen

import (
	"context"
	"net"
	"slices"
	"sync/atomic"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/http2"
)

// socket is one bound address.
type socket struct {
	set   *Set
	l     net.Listener
	spec  atomic.Pointer[Spec]
	info  atomic.Pointer[exchange.ListenerInfo]
	http1 *http1.Server
	http2 *http2.Server
	conns atomic.Int64
	done  atomic.Bool
	// stopped is closed when nothing accepts any more.
	stopped chan struct{}
	// ctx ends when connections are cut.
	ctx    context.Context
	cancel context.CancelFunc

	openings openings
	counts   counts

	// quic is nil without HTTP/3; silenced are those before it that drain. They
	// belong to whoever changes the set.
	quic     *quicSide
	silenced []*quicSide
}

func newSocket(s *Set, l net.Listener, u *net.UDPConn, spec Spec) *socket {
	k := &socket{
		set: s, l: l, stopped: make(chan struct{}),
		http1: http1.NewServer(s.handler, spec.Limits, spec.Timeouts),
		http2: http2.NewServer(s.handler, spec.Limits, spec.Timeouts),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.spec.Store(&spec)
	k.speakQUIC(u, spec)
	k.configure(spec)
	return k
}

// speakQUIC begins to speak HTTP/3, on u, or ceases to. configure comes next.
func (k *socket) speakQUIC(u *net.UDPConn, spec Spec) {
	switch {
	case u != nil:
		q, err := startQUIC(k, u, &spec)
		if err != nil {
			k.set.log.Error("HTTP/3 is not served", "listener", spec.Name, "error", err.Error())
			return
		}
		k.quic = q
	case !spec.HTTP3 && k.quic != nil:
		k.quic.drain()
		k.silenced = slices.DeleteFunc(k.silenced, func(q *quicSide) bool { return q.ended.Load() })
		k.silenced, k.quic = append(k.silenced, k.quic), nil
	}
}

// counts are what happened to the connections of a socket.
type counts struct {
	accepted atomic.Int64
	refused  [refusals]atomic.Int64
}

// configure takes new settings; a listener that keeps name and timeouts keeps
// its identity.
func (k *socket) configure(spec Spec) {
	spec = spec.withDefaults()
	k.spec.Store(&spec)
	info := exchange.ListenerInfo{Name: spec.Name, StreamIdle: spec.Timeouts.StreamIdle, ForwardClientCert: spec.ForwardClientCert, GRPCWeb: spec.GRPCWeb}
	if k.quic != nil {
		info.AltSvc = k.quic.altSvc()
	}
	if old := k.info.Load(); old == nil || *old != info {
		k.info.Store(&info)
	}
	k.http1.Configure(spec.Limits, spec.Timeouts)
	k.http2.Configure(spec.Limits, spec.Timeouts)
	if k.quic != nil {
		k.quic.h3.Configure(spec.Limits, spec.Timeouts)
	}
}

// drain stops accepting and ends idle connections.
func (k *socket) drain() {
	k.openings.drain()
	if k.quic != nil {
		k.quic.drain()
	}
	k.http1.Drain(silentGrace)
	k.stopAccepting()
	k.http2.Drain() // last: it reaches only connections that it has
}

// cut ends everything.
func (k *socket) cut() {
	k.cancel()
	k.http1.Close()
	k.http2.Close()
	if k.quic != nil {
		k.quic.cut()
	}
	for _, q := range k.silenced {
		q.cut()
	}
	k.openings.close()
}
