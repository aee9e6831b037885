package http2

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// front takes streams through their life, whichever version they are of.
type front struct {
	handler  exchange.Handler
	timeouts atomic.Pointer[http1.Timeouts]
	limits   atomic.Pointer[http1.Limits]
	pool     sync.Pool // *stream
}

// Configure replaces the limits on header fields for the requests to come.
func (f *front) Configure(lim http1.Limits, to http1.Timeouts) {
	if lim.MaxHeaders <= 0 {
		lim.MaxHeaders = 128
	}
	if lim.MaxTarget <= 0 {
		lim.MaxTarget = 8 << 10
	}
	f.limits.Store(&lim)
	f.timeouts.Store(&to)
}

// serve takes one stream through its life.
func (f *front) serve(info *exchange.Conn, w http.ResponseWriter, r *http.Request) {
	t, ok := f.pool.Get().(*stream)
	if !ok {
		t = &stream{}
	}
	t.begin(w, r, f.timeouts.Load())
	t.x.Reset(r.Context(), info, t)
	if status, reason := t.request(r, f.limits.Load()); status != 0 {
		if h, ok := f.handler.(http1.Refuser); ok {
			h.Refuse(&t.x, status, reason)
		} else {
			w.WriteHeader(status)
			t.state = done
		}
	} else {
		f.handler.Serve(&t.x)
	}
	broken := t.reset || t.state != done
	if broken && r.ProtoMajor == 3 && cancelled(w, t.code) {
		broken = false
	}
	t.x.Reset(context.Background(), nil, nil)
	t.end()
	f.pool.Put(t)
	if broken {
		panic(http.ErrAbortHandler) // the library's way to reset a stream
	}
}
