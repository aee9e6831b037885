package proxywasm

import (
	"context"
	"errors"
	"time"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// stage is where an exchange stands when its guest is called: it says what of the
// exchange the guest may look at and change.
type stage uint8

const (
	stageNone stage = iota // it has nothing to show
	stageRequestHeaders
	stageRequestBody
	stageRequestTrailers
	stageResponseHeaders
	stageResponseBody
	stageResponseTrailers
	stageLog
)

// The two sides of an exchange, and the types of streams in the ABI.
const (
	requestSide = iota
	responseSide
)

// headerMaps are the maps of the two sides.
var headerMaps = [2]uint32{mapRequestHeaders, mapResponseHeaders}

// side is one direction of a stream.
type side struct {
	paused bool
	parked stage         // where its goroutine waits; stageNone: it does not
	buffer *[]byte       // of the body, while it waits
	woken  chan struct{} // closed to end the wait; nil: nobody waits
}

// Stream is an exchange in a guest: a context of the ABI. Its fields belong to
// whoever has entered the guest.
type Stream struct {
	g    *Guest
	root *root
	id   uint32
	x    *exchange.Exchange
	wait time.Duration // that a guest may pause it for

	sides [2]side
	reply *exchange.Answer // the guest's own answer
	over  bool             // the exchange ended; the guest may still keep the context
	err   error            // why nothing goes on here

	edits int // bytes of fields that the guest wrote

	request, response body
	memory            *exchange.Budget
}

// errPaused is a guest that keeps an exchange for too long.
var errPaused = errors.New("the plugin paused the exchange and did not go on within limits.deadline")

// errOver is what a body gets whose exchange is over.
var errOver = errors.New("the exchange is over")

// Open makes s the context of an exchange. The guest is entered and knows cfg. wait
// bounds each pause.
func (g *Guest) Open(s *Stream, x *exchange.Exchange, cfg *abi.Config, wait time.Duration) error {
	g.lastID++
	*s = Stream{g: g, root: g.roots[cfg.ID], id: g.lastID, x: x, wait: wait, memory: x.Memory}
	g.streams[s.id] = s
	g.about(s.root, s, stageNone)
	_, err := g.call(g.on.contextCreate, uint64(s.id), uint64(s.root.id))
	return err
}

// Request runs the request side up to the headers. The guest is entered, and
// left when it returns.
func (s *Stream) Request() (exchange.Verdict, error) {
	g, x := s.g, s.x
	g.about(s.root, s, stageRequestHeaders)
	end := x.Request.Body == nil
	if x.Properties == nil {
		x.Properties = &exchange.Properties{}
	}
	v, err := s.headers(requestSide, end)
	if err != nil || v != exchange.Continue {
		return v, err
	}
	if !end && (g.on.requestBody != nil || g.on.requestTrailers != nil) {
		s.request = body{s: s, side: requestSide, in: x.Request.Body, m: &x.Request.Message}
		x.Request.Body, x.Request.Buffered, x.Request.Whole = &s.request, nil, false
	}
	return exchange.Continue, nil
}

// Response runs the response side up to the headers.
func (s *Stream) Response() (exchange.Verdict, error) {
	g, x := s.g, s.x
	if err := g.entry.Enter(x.Context()); err != nil {
		return exchange.Fail, err
	}
	r := &x.Response
	end := r.Body == nil || x.Request.Method == "HEAD" || r.Status == 204 || r.Status == 304 || r.Status == 101
	g.about(s.root, s, stageResponseHeaders)
	v, err := s.headers(responseSide, end)
	if err != nil || v != exchange.Continue {
		return v, err
	}
	if !end && r.Body != nil && (g.on.responseBody != nil || g.on.responseTrailers != nil) {
		s.response = body{s: s, side: responseSide, in: r.Body, m: &r.Message}
		r.Body, r.Buffered, r.Whole = &s.response, nil, false
		x.Attached = true
	}
	return exchange.Continue, nil
}

// headers calls the guest for the headers of a side, waits while it pauses, and
// leaves it.
func (s *Stream) headers(which int, end bool) (exchange.Verdict, error) {
	g := s.g
	f, at := g.on.requestHeaders, stageRequestHeaders
	if which == responseSide {
		f, at = g.on.responseHeaders, stageResponseHeaders
	}
	var res uint64
	var err error
	if f != nil {
		n := uint64(g.count(headerMaps[which]))
		if g.legacy {
			res, err = g.call(f, uint64(s.id), n)
		} else {
			res, err = g.call(f, uint64(s.id), n, uint64(count(end)))
		}
	}
	const continueAndEnd = 2 // an old status that does not pause
	sd := &s.sides[which]
	if err == nil && res != 0 && res != continueAndEnd && s.reply == nil {
		sd.paused = true
		if err = s.park(which, at, nil); err != nil {
			return exchange.Fail, err
		}
	}
	sd.paused = false
	reply, closed := s.reply, s.err
	s.reply = nil
	if err = g.entry.Leave(err); err != nil {
		return exchange.Fail, err
	}
	if closed != nil {
		return exchange.Fail, closed
	}
	if reply != nil {
		reply.Give(s.x)
		return exchange.Reply, nil
	}
	return exchange.Continue, nil
}

// park leaves the guest until it lets the side go on, and enters it again. After
// an error the guest is left.
func (s *Stream) park(which int, at stage, buffer *[]byte) error {
	g, sd := s.g, &s.sides[which]
	t := time.NewTimer(s.wait)
	defer t.Stop()
	for sd.paused && s.reply == nil && s.err == nil {
		woken := make(chan struct{})
		sd.woken, sd.parked, sd.buffer = woken, at, buffer
		if err := g.entry.Leave(nil); err != nil {
			return err
		}
		var gaveUp error
		ctx := context.Background()
		if at < stageRequestBody || at == stageResponseHeaders {
			ctx = s.x.Context()
		}
		select {
		case <-woken:
		case <-t.C:
			gaveUp = errPaused
		case <-ctx.Done():
			gaveUp = context.Cause(ctx)
		}
		if err := g.entry.Enter(context.Background()); err != nil {
			return err
		}
		sd.woken, sd.parked, sd.buffer = nil, stageNone, nil
		if gaveUp != nil && sd.paused && s.reply == nil && s.err == nil {
			return errors.Join(gaveUp, g.entry.Leave(nil))
		}
	}
	if err := s.err; err != nil {
		return errors.Join(err, g.entry.Leave(nil))
	}
	return nil
}

// wake ends the waits of both sides.
func (s *Stream) wake() {
	for i := range s.sides {
		if w := s.sides[i].woken; w != nil {
			s.sides[i].woken = nil
			close(w)
		}
	}
}

// stageNow is what a callback that is not about the stream may see of it: what
// is there while its goroutine waits.
func (s *Stream) stageNow() (stage, *[]byte) {
	for i := len(s.sides) - 1; i >= 0; i-- {
		if p := s.sides[i].parked; p != stageNone {
			return p, s.sides[i].buffer
		}
	}
	return stageNone, nil
}

// Done tells the guest that the exchange is over.
func (s *Stream) Done() {
	g := s.g
	if err := g.entry.Enter(context.Background()); err != nil {
		return
	}
	_ = g.entry.Leave(s.finish()) // logged and counted; the exchange is over
}

func (s *Stream) finish() error {
	g := s.g
	s.over, s.err = true, errOver
	s.wake()
	for _, b := range []*body{&s.request, &s.response} {
		if b.s != nil {
			b.forget()
		}
	}
	g.about(s.root, s, stageLog)
	if _, err := g.call(g.on.log, uint64(s.id)); err != nil {
		return err
	}
	finished := uint64(1)
	if g.on.done != nil {
		var err error
		if finished, err = g.call(g.on.done, uint64(s.id)); err != nil {
			return err
		}
	}
	s.x = nil
	if finished == 0 && len(g.streams) < maxKept {
		return nil // until proxy_done
	}
	return s.delete()
}

// maxKept bounds the contexts that a guest keeps when their exchanges are over.
const maxKept = 10_000

// delete ends the context.
func (s *Stream) delete() error {
	g := s.g
	if g.streams[s.id] != s {
		return nil
	}
	g.about(s.root, s, stageNone)
	_, err := g.call(g.on.delete, uint64(s.id))
	delete(g.streams, s.id)
	return err
}
