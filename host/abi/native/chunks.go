package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tetratelabs/wazero/api"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// What headgate_request_chunk and headgate_response_chunk return.
const (
	chunkContinue = iota // it passes as it is
	chunkBuffer          // the guest waits for more behind it
	chunkReplace         // what the guest wrote passes instead
	chunkEnd             // and nothing more
)

// chunks passes a body through a guest as it is pulled.
type chunks struct {
	g     *Guest
	entry abi.Entry
	x     *exchange.Exchange
	s     *Session
	cfg   *abi.Config
	phase phase
	f     api.Function

	in     exchange.Body
	memory *exchange.Budget
	held   []byte // what the guest waits with
	taken  int64  // of memory
	mute   bool   // the rest is dropped
	ended  bool   // nothing more comes
	err    error
}

var errOver = errors.New("the exchange is over")

// through makes the guest part of a message's body, whose length nobody knows then.
func (g *Guest) through(x *exchange.Exchange, s *Session, cfg *abi.Config, m *exchange.Message, p phase) *chunks {
	c := &chunks{g: g, entry: s.entry, x: x, s: s, cfg: cfg, phase: p, f: g.chunkOf[p-phaseRequestChunk], in: m.Body, memory: x.Memory}
	m.Body, m.Buffered, m.Whole, m.Length = c, nil, false, exchange.Unknown
	m.Head.Del("content-length")
	return c
}

// Ready implements exchange.Body.
func (c *chunks) Ready() bool { return c.ended || c.err != nil || c.in.Ready() }

// Next implements exchange.Body.
func (c *chunks) Next() ([]byte, error) {
	for c.err == nil && !c.ended {
		p, err := c.in.Next()
		if err != nil && err != io.EOF {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				c.err = err
			}
			return nil, err
		}
		end := err == io.EOF
		if len(p) == 0 && !end {
			return nil, nil
		}
		out, err := c.pass(p, end)
		if err != nil {
			c.err = fmt.Errorf("%w: %w", exchange.ErrFilter, err)
			return nil, c.err
		}
		if c.ended = end; end {
			return out, io.EOF
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	return nil, io.EOF
}

// pass shows the guest p behind what it waits with, and returns what goes on.
func (c *chunks) pass(p []byte, end bool) ([]byte, error) {
	if c.mute {
		return nil, nil
	}
	own := len(c.held) > 0
	if own {
		if err := c.hold(len(c.held) + len(p)); err != nil {
			return nil, err
		}
		p = append(c.held, p...)
		c.held = nil
	}
	res, out, err := c.call(p, end)
	switch {
	case err != nil:
		return nil, err
	case res == chunkReplace:
		return out, nil
	case res == chunkEnd:
		c.mute = true
		return out, nil
	case res == chunkBuffer && !end:
		return nil, c.keep(p, own)
	}
	return p, nil
}

// keep keeps p, which the next read overwrites unless it is our own.
func (c *chunks) keep(p []byte, own bool) error {
	if own {
		c.held = p
		return nil
	}
	if err := c.hold(len(p)); err != nil {
		return err
	}
	c.held = append([]byte(nil), p...)
	return nil
}

// call runs the guest on a chunk.
func (c *chunks) call(p []byte, end bool) (res uint32, out []byte, err error) {
	g := c.g
	if err := c.entry.Enter(context.Background()); err != nil {
		return 0, nil, err
	}
	g.enter(c.phase, c.x, c.s, c.cfg)
	g.chunk = chunk{in: p}
	g.stack[0], g.stack[1], g.stack[2] = uint64(c.s.context), uint64(uint32(len(p))), 0
	if end {
		g.stack[2] = 1
	}
	err = c.f.CallWithStack(g, g.stack[:])
	res, out = uint32(g.stack[0]), g.chunk.out
	switch {
	case err != nil:
	case g.failed:
		err = &abi.FailError{Reason: g.failure}
	case res > chunkEnd:
		err = fmt.Errorf("the guest returned %d for a chunk", res)
	}
	g.leave()
	return res, out, c.entry.Leave(err)
}

// hold makes sure that n bytes may be kept.
func (c *chunks) hold(n int) error {
	if n > c.g.env.MaxBody {
		return exchange.ErrTooLarge
	}
	if more := int64(n) - c.taken; more > 0 {
		if !c.memory.Take(more) {
			return exchange.ErrMemory
		}
		c.taken += more
	}
	return nil
}

// forget ends a body whose exchange is over.
func (c *chunks) forget() {
	c.memory.Give(c.taken)
	c.err, c.taken, c.held = errOver, 0, nil
}

// chunk is the piece of a body that the guest has, and what it writes instead.
type chunk struct {
	in, out []byte
	off     int
}

// readChunk is read_body for a chunk.
func (g *Guest) readChunk(dst []byte) (n int, end bool) {
	c := &g.chunk
	n = copy(dst, c.in[c.off:])
	c.off += n
	return n, c.off == len(c.in)
}

// inChunk reports whether headers have gone already.
func (g *Guest) inChunk() bool { return g.phase == phaseRequestChunk || g.phase == phaseResponseChunk }
