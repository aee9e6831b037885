package listen

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// The waits after a failed accept: descriptors may come free.
const (
	backoffMin = 5 * time.Millisecond
	backoffMax = time.Second
)

// backlogTime is how long a socket that stops goes on to accept, so that those
// who connected before it stopped are served.
const backlogTime = 5 * time.Millisecond

// accept runs until the socket is closed. No error of a single connection, nor
// a want of descriptors, ends it or makes it spin.
func (k *socket) accept() {
	defer close(k.stopped)
	var wait time.Duration
	var trouble trouble
	for {
		nc, err := k.l.Accept()
		switch {
		case err == nil:
			wait = 0
			if !trouble.since.IsZero() {
				trouble.calm(k)
			}
			k.admit(nc)
			continue
		case k.done.Load() || errors.Is(err, net.ErrClosed):
			return
		}
		trouble.note(k, err)
		wait = min(max(2*wait, backoffMin), backoffMax)
		if starved(err) && k.set.reserve.spend(k.shed) {
			wait = backoffMin
		}
		time.Sleep(wait)
	}
}

// trouble is a time in which connections can't be accepted, or not all of them.
// It is logged when it begins and when it is over.
type trouble struct {
	since, last time.Time // zero: there is none
	failures    int
}

// calmTime is how long nothing must fail until trouble is over.
const calmTime = time.Second

func (t *trouble) note(k *socket, err error) {
	t.last = time.Now()
	if t.failures++; t.since.IsZero() {
		t.since = t.last
		k.set.log.Error("connections can't be accepted", "listener", k.spec.Load().Name, "error", err.Error())
	}
}

// calm takes notice of a connection that was accepted.
func (t *trouble) calm(k *socket) {
	if now := time.Now(); now.Sub(t.last) > calmTime {
		k.set.log.Info("connections are accepted again", "listener", k.spec.Load().Name,
			"after", t.last.Sub(t.since).Round(time.Millisecond).String(), "failures", t.failures)
		*t = trouble{}
	}
}

// starved reports whether err is a want of descriptors.
func starved(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// shed takes one connection from the backlog only to turn it away. Without it,
// clients would wait there for their own timeouts.
func (k *socket) shed() {
	d, ok := k.l.(interface{ SetDeadline(time.Time) error })
	if !ok || d.SetDeadline(time.Now().Add(backoffMin)) != nil {
		return
	}
	nc, err := k.l.Accept()
	_ = d.SetDeadline(time.Time{})
	if k.done.Load() { // it set a deadline, which is now gone
		_ = d.SetDeadline(time.Now())
	}
	if err != nil {
		return
	}
	k.counts.refused[refusedFiles].Add(1)
	k.answerBusy(nc)
	nc.Close()
}

// reserve is a descriptor that is there when all others are in use.
type reserve struct {
	mu   sync.Mutex
	file *os.File
}

// hold takes the descriptor, unless it is held.
func (r *reserve) hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		r.file, _ = os.Open(os.DevNull)
	}
}

// spend lets f run while the descriptor is free, if there is one.
func (r *reserve) spend(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		r.file.Close()
		r.file = nil
		f()
	}
	r.file, _ = os.Open(os.DevNull)
	return r.file != nil
}

func (r *reserve) free() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

func (k *socket) admit(nc net.Conn) {
	s := k.set
	k.counts.accepted.Add(1)
	n := s.conns.Add(1)
	if limit := s.maxConns.Load(); limit > 0 && n > limit {
		s.conns.Add(-1)
		k.counts.refused[refusedLimit].Add(1)
		k.refuse(nc)
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

// The bounds of what refused connections cost: this many may read their answer
// at a time, each for so long.
const (
	maxShedding = 256
	shedTime    = time.Second
)

// refuse ends a connection beyond the limit, without looking at it.
func (k *socket) refuse(nc net.Conn) {
	s := k.set
	if !k.answerBusy(nc) || s.shedding.Load() >= maxShedding {
		nc.Close()
		return
	}
	s.shedding.Add(1)
	s.running.Go(func() {
		defer s.shedding.Add(-1)
		linger(nc, shedTime)
		nc.Close()
	})
}

// answerBusy answers 503 where the client is sure to speak HTTP/1.1 in the clear.
// A new socket takes so little without waiting.
func (k *socket) answerBusy(nc net.Conn) bool {
	spec := k.spec.Load()
	if spec.TLS != nil || spec.Stream != nil || !spec.HTTP1 {
		return false
	}
	_, err := io.WriteString(nc, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n")
	return err == nil
}

// stopAccepting takes in who has connected already, and closes the socket.
func (k *socket) stopAccepting() {
	k.done.Store(true)
	if d, ok := k.l.(interface{ SetDeadline(time.Time) error }); ok && d.SetDeadline(time.Now().Add(backlogTime)) == nil {
		<-k.stopped
	}
	k.l.Close()
}
