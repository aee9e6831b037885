package proxywasm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/headgate/headgate/runtime/exchange"
)

// What proxy_on_request_body and proxy_on_response_body return.
const (
	dataContinue = 0
	dataBuffer   = 1 // keep it, and come again with more
	dataKeep     = 2 // the same with backpressure, which there always is here
	dataDrop     = 3 // the guest took it
)

// body passes the chunks of a message through a guest as they are pulled.
type body struct {
	s    *Stream
	side int
	in   exchange.Body
	m    *exchange.Message

	held    []byte // what the guest keeps back
	ended   bool   // the message has no more
	flushed bool   // and neither has the guest
	taken   int64  // of the memory for bodies
	err     error
}

// Ready implements exchange.Body. What the guest keeps back, the reader has to
// wait for.
func (b *body) Ready() bool { return b.flushed || b.err != nil || b.in.Ready() }

// Next implements exchange.Body.
func (b *body) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	if b.flushed {
		return nil, io.EOF
	}
	for {
		p, err := b.in.Next()
		if err != nil && err != io.EOF {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				b.err = err
			}
			return nil, err
		}
		b.ended = err == io.EOF
		if len(p) == 0 && !b.ended {
			return nil, nil
		}
		out, err := b.pass(p)
		if err != nil {
			b.err = failure(err)
			return nil, b.err
		}
		if b.flushed {
			return out, io.EOF
		}
		if len(out) > 0 {
			return out, nil
		}
	}
}

// pass shows the guest what it keeps back with p behind it, and returns what it
// lets go.
func (b *body) pass(p []byte) ([]byte, error) {
	s, g := b.s, b.s.g
	if err := g.entry.Enter(context.Background()); err != nil {
		return nil, err
	}
	if s.err != nil {
		return nil, errors.Join(s.err, g.entry.Leave(nil))
	}
	out, err := b.run(p)
	switch {
	case err == errLeft:
		return nil, b.err
	case errors.Is(err, exchange.ErrTooLarge), errors.Is(err, exchange.ErrMemory):
		return nil, errors.Join(err, g.entry.Leave(nil))
	case err != nil:
		return nil, g.entry.Leave(err)
	}
	reply := s.reply
	s.reply = nil
	if err := g.entry.Leave(nil); err != nil {
		return nil, err
	}
	if reply != nil {
		return nil, reply
	}
	return out, nil
}

// errLeft means that the guest was left already, with the error in b.err.
var errLeft = errors.New("left")

func (b *body) run(p []byte) ([]byte, error) {
	s, g, sd := b.s, b.s.g, &b.s.sides[b.side]
	f, at := g.on.requestBody, stageRequestBody
	if b.side == responseSide {
		f, at = g.on.responseBody, stageResponseBody
	}
	trailers := b.ended && b.m.Trailer.Len() > 0
	var free []byte
	switch {
	case len(b.held) == 0:
	case sd.paused:
		if err := b.hold(len(b.held) + len(p)); err != nil {
			return nil, err
		}
		p = append(b.held, p...)
	default: // it went on since
		free = b.held
	}
	b.held = nil
	var res uint64
	if f != nil {
		g.about(s.root, s, at)
		g.buffer = &p
		var err error
		res, err = g.call(f, uint64(s.id), uint64(len(p)), uint64(count(b.ended && !trailers)))
		if err != nil {
			return nil, err
		}
	}
	if s.reply != nil {
		return nil, nil
	}
	if res == dataDrop {
		p = nil
	}
	if sd.paused = res != dataContinue; sd.paused && (!b.ended || trailers) {
		if !b.ended {
			return free, b.keep(p)
		}
	} else if sd.paused {
		if err := b.park(at, &p); err != nil || s.reply != nil {
			return nil, err
		}
	}
	if trailers {
		if err := b.trailers(&p); err != nil || s.reply != nil {
			return nil, err
		}
	}
	b.flushed = b.ended
	if len(free) > 0 {
		p = append(free, p...)
	}
	return p, nil
}

// trailers shows the guest the trailers; it may go on with the body that it kept.
func (b *body) trailers(p *[]byte) error {
	s, g, sd := b.s, b.s.g, &b.s.sides[b.side]
	f, at, which := g.on.requestTrailers, stageRequestTrailers, uint32(mapRequestTrailers)
	if b.side == responseSide {
		f, at, which = g.on.responseTrailers, stageResponseTrailers, mapResponseTrailers
	}
	if f != nil {
		g.about(s.root, s, at)
		g.buffer = p
		res, err := g.call(f, uint64(s.id), uint64(g.count(which)))
		if err != nil {
			return err
		}
		sd.paused = res != dataContinue
	}
	if sd.paused && s.reply == nil {
		return b.park(at, p)
	}
	return nil
}

func (b *body) park(at stage, p *[]byte) error {
	if err := b.keep(*p); err != nil {
		return err
	}
	*p = b.held
	if err := b.s.park(b.side, at, p); err != nil {
		b.err = err
		return errLeft
	}
	b.held = nil
	return nil
}

// keep holds p, which the next read of the message may overwrite.
func (b *body) keep(p []byte) error {
	if err := b.hold(len(p)); err != nil {
		return err
	}
	b.held = append([]byte(nil), p...)
	return nil
}

// hold makes sure that n bytes may be kept.
func (b *body) hold(n int) error {
	if n > b.s.g.env.MaxBody {
		return exchange.ErrTooLarge
	}
	if more := int64(n) - b.taken; more > 0 {
		if !b.s.memory.Take(more) {
			return exchange.ErrMemory
		}
		b.taken += more
	}
	return nil
}

func (b *body) forget() {
	b.s.memory.Give(b.taken)
	b.taken = 0
}

// failure says what err means for the message.
func failure(err error) error {
	var a *exchange.Answer
	if errors.As(err, &a) || errors.Is(err, exchange.ErrTooLarge) || errors.Is(err, exchange.ErrMemory) {
		return err
	}
	return fmt.Errorf("%w: %w", exchange.ErrFilter, err)
}
