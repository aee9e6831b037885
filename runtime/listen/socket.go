package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

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
	// ctx ends when connections are cut.
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	sniffing map[net.Conn]struct{} // connections whose protocol is not known yet
}

func newSocket(s *Set, l net.Listener, spec Spec) *socket {
	k := &socket{
		set: s, l: l, sniffing: map[net.Conn]struct{}{},
		http1: http1.NewServer(s.handler, spec.Limits, spec.Timeouts),
		http2: http2.NewServer(s.handler, spec.Limits, spec.Timeouts),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.configure(spec)
	return k
}

// configure takes new settings; a listener that keeps name and timeouts keeps
// its identity.
func (k *socket) configure(spec Spec) {
	k.spec.Store(&spec)
	info := exchange.ListenerInfo{Name: spec.Name, StreamIdle: spec.Timeouts.StreamIdle}
	if old := k.info.Load(); old == nil || *old != info {
		k.info.Store(&info)
	}
	k.http1.Configure(spec.Limits, spec.Timeouts)
	k.http2.Configure(spec.Limits, spec.Timeouts)
}

// The waits after a failed accept: descriptors may come free.
const (
	backoffMin = 5 * time.Millisecond
	backoffMax = time.Second
)

// accept runs until the socket is closed. No error of a single connection, nor
// a want of descriptors, ends it or makes it spin.
func (k *socket) accept() {
	wait := time.Duration(0)
	for {
		nc, err := k.l.Accept()
		switch {
		case err == nil:
			wait = 0
			k.admit(nc)
		case k.done.Load() || errors.Is(err, net.ErrClosed):
			return
		default:
			if wait == 0 || wait == backoffMax {
				k.set.log.Error("accept failed", "listener", k.spec.Load().Name, "error", err.Error())
			}
			wait = min(max(2*wait, backoffMin), backoffMax)
			time.Sleep(wait)
		}
	}
}

func (k *socket) admit(nc net.Conn) {
	s := k.set
	n := s.conns.Add(1)
	if limit := s.maxConns.Load(); limit > 0 && n > limit {
		s.conns.Add(-1)
		s.running.Go(func() { refuse(nc) })
		return
	}
	k.conns.Add(1)
	s.running.Go(func() {
		defer s.conns.Add(-1)
		defer k.conns.Add(-1)
		defer func() {
			if r := recover(); r != nil {
				nc.Close()
				s.log.Error("panic in a connection", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			}
		}()
		k.serve(nc)
	})
}

// refuse answers a connection beyond the limit, without reading it.
func refuse(nc net.Conn) {
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Second))
	_, _ = nc.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"))
}

func (k *socket) serve(nc net.Conn) {
	spec := k.spec.Load()
	info := exchange.NewConn(k.info.Load(), nc.RemoteAddr(), nc.LocalAddr(), nil, k.set.shard.Add(1))
	switch {
	case !spec.H2C:
		k.http1.ServeConn(k.ctx, nc, info)
	case !spec.HTTP1:
		k.http2.ServeConn(k.ctx, nc, info)
	default:
		read, isH2, err := k.sniff(nc, spec.Timeouts)
		switch {
		case err != nil:
			nc.Close()
		case isH2:
			k.http2.ServeConn(k.ctx, &prefixed{Conn: nc, read: read}, info)
		default:
			k.http1.ServeRead(k.ctx, nc, info, read)
		}
	}
}

// preface opens an HTTP/2 connection (RFC 9113 section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// sniff reads until the first bytes tell HTTP/2 from HTTP/1.1: commonly one
// read that the protocol then need not make.
func (k *socket) sniff(nc net.Conn, to http1.Timeouts) (read []byte, isH2 bool, err error) {
	k.mu.Lock()
	k.sniffing[nc] = struct{}{}
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		delete(k.sniffing, nc)
		k.mu.Unlock()
	}()
	if k.done.Load() {
		return nil, false, net.ErrClosed
	}
	wait := to.Idle
	if wait <= 0 {
		wait = 75 * time.Second
	}
	_ = nc.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 0, 2048)
	for {
		n, err := nc.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n == 0 && err != nil {
			return nil, false, err
		}
		m := min(len(buf), len(preface))
		if string(buf[:m]) != preface[:m] {
			break
		}
		if m == len(preface) {
			isH2 = true
			break
		}
	}
	_ = nc.SetReadDeadline(time.Time{})
	return buf, isH2, nil
}

// prefixed is a connection whose first bytes were read already.
type prefixed struct {
	net.Conn
	read []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.read) > 0 {
		n := copy(b, p.read)
		p.read = p.read[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// drain stops accepting and ends idle connections.
func (k *socket) drain() {
	k.done.Store(true)
	k.l.Close()
	k.http1.Drain()
	k.http2.Drain()
	k.closeSniffing()
}

// cut ends everything.
func (k *socket) cut() {
	k.cancel()
	k.http1.Close()
	k.http2.Close()
	k.closeSniffing()
}

func (k *socket) closeSniffing() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for nc := range k.sniffing {
		nc.Close()
	}
}
