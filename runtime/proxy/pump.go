package proxy

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/upstream"
)

// pump sends a request body that was not at hand whole, beside the goroutine
// that reads the response.
type pump struct {
	done    chan struct{}
	running atomic.Bool
	broken  atomic.Bool // set before the upstream connection is closed for err
	err     error       // of the client's side; valid after done
}

// sending reports whether the body is still under way. A nil pump has nothing
// to send.
func (p *pump) sending() bool { return p != nil && p.running.Load() }

// ended waits for the end of the body, for d at the most.
func (p *pump) ended(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.done:
		return true
	case <-t.C:
		return false
	}
}

// startPump sends the rest of the request body from a goroutine of its own. A
// client that breaks its body closes the upstream connection: a request that is
// not complete must never look complete.
func (f *flow) startPump() {
	p := &pump{done: make(chan struct{})}
	p.running.Store(true)
	f.try.pump = p
	x, conn := f.x, f.try.conn
	idle := x.Conn.Listener.Idle()
	go func() {
		defer close(p.done)
		defer p.running.Store(false)
		defer func() {
			if r := recover(); r != nil {
				f.e.metrics.Panic()
				p.fail(fmt.Errorf("panic: %v", r), conn)
			}
		}()
		if err := send(&x.Request, conn, idle); err != nil {
			p.fail(err, conn)
		}
	}()
}

func (p *pump) fail(err error, conn upstream.Conn) {
	p.err = err
	p.broken.Store(true)
	conn.Close()
}

// send returns errors of reading only: an upstream that stops reading may still
// answer.
func send(r *exchange.Request, conn upstream.Conn, idle time.Duration) error {
	for {
		b, err := r.Body.Next()
		if err != nil && err != io.EOF {
			return err
		}
		if len(b) > 0 {
			if conn.SetWriteDeadline(time.Now().Add(idle)) != nil || conn.WriteBody(b) != nil {
				return nil
			}
		}
		if err == io.EOF {
			r.Trailer.DropFrom(&r.Head)
			_ = conn.EndBody(&r.Trailer)
			return nil
		}
	}
}

// stopPump ends the pump and waits for it, and returns the error of the
// request body, if the body broke by itself.
func (f *flow) stopPump() error {
	p := f.try.pump
	if p == nil {
		return nil
	}
	f.try.pump = nil
	select {
	case <-p.done:
		return p.err
	default:
	}
	if p.broken.Load() {
		<-p.done
		return p.err
	}
	f.x.Front.StopBody()
	<-p.done
	return nil
}
