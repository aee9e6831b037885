package proxy

import (
	"io"
	"sync/atomic"

	"github.com/headgate/headgate/runtime/exchange"
)

// replay is a request body that keeps what it yields, so that a further try can
// send it again. It keeps no more than limit bytes and what memory allows;
// beyond that the body can't be sent twice.
type replay struct {
	body   exchange.Body
	limit  int64
	memory *exchange.Budget

	kept  []byte
	held  int64 // taken of memory
	ended bool  // body has
	lost  bool  // more was read than is kept

	pos  int         // of what this try still has to send of kept
	done atomic.Bool // nothing is kept any more
}

// Next implements exchange.Body.
func (r *replay) Next() ([]byte, error) {
	if r.pos < len(r.kept) {
		p := r.kept[r.pos:]
		r.pos = len(r.kept)
		if r.ended {
			return p, io.EOF
		}
		return p, nil
	}
	if r.ended {
		return nil, io.EOF
	}
	p, err := r.body.Next()
	if err == nil || err == io.EOF {
		r.ended = err == io.EOF
		r.keep(p)
	}
	return p, err
}

func (r *replay) keep(p []byte) {
	if r.lost || len(p) == 0 {
		return
	}
	n := int64(len(p))
	if r.done.Load() || r.held+n > r.limit || !r.memory.Take(n) {
		r.lost = true
		r.memory.Give(r.held)
		r.kept, r.held, r.pos = nil, 0, 0
		return
	}
	r.held += n
	r.kept = append(r.kept, p...)
	r.pos = len(r.kept)
}

// Ready implements exchange.Body.
func (r *replay) Ready() bool { return r.pos < len(r.kept) || r.ended || r.body.Ready() }

// rewind starts anew for another try, and reports whether that is possible. No
// other goroutine may be in Next. A nil replay is that of no body.
func (r *replay) rewind() bool {
	if r == nil {
		return true
	}
	r.pos = 0
	return !r.lost
}

// settled tells that there will be no further try. It may be called while
// another goroutine is in Next.
func (r *replay) settled() {
	if r != nil {
		r.done.Store(true)
	}
}

// forget gives the memory back, when nobody reads the body any more.
func (r *replay) forget() {
	if r != nil {
		r.memory.Give(r.held)
		r.kept, r.held, r.lost = nil, 0, true
	}
}
