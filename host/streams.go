package host

import (
	"time"

	"github.com/headgate/headgate/host/abi/proxywasm"
	"github.com/headgate/headgate/runtime/exchange"
)

// streamsPerInstance is how many exchanges an instance of proxy-wasm has at once
// unless the plugin says otherwise.
const streamsPerInstance = 128

// streams is a proxy-wasm plugin with one configuration, as a step of a chain. An
// exchange stays in its instance from the request to its end.
type streams struct {
	pool *pool
	cfg  *config
}

// stream is an exchange in an instance.
type stream struct {
	proxywasm.Stream
	in *instance
}

// Needs implements exchange.Filter: bodies pass through as they come.
func (f *streams) Needs() exchange.Needs { return exchange.Needs{} }

// Request implements exchange.Filter.
func (f *streams) Request(x *exchange.Exchange) exchange.Verdict { return f.pool.admitted(x, f) }

func (f *streams) request(x *exchange.Exchange) (exchange.Verdict, error) {
	p := f.pool
	for again := false; ; again = true {
		in, waited, err := p.place(x.Context())
		if err != nil {
			return exchange.Fail, err
		}
		s := &stream{in: in}
		if err := in.open(x, s, f.cfg, waited); err != nil {
			p.release(in)
			if err == errDead && !again {
				continue // nothing ran yet
			}
			return exchange.Fail, err
		}
		x.SetState(s)
		return s.Stream.Request()
	}
}

// open makes the context of an exchange; the guest stays entered.
func (in *instance) open(x *exchange.Exchange, s *stream, cfg *config, waited time.Duration) error {
	spec := &in.pool.spec
	more, err := in.ready(x.Context(), &cfg.Config, spec.Deadline-waited)
	if err != nil {
		return err
	}
	in.begin(spec.CPU, spec.Deadline-waited-more)
	if err := in.proxy.Open(&s.Stream, x, &cfg.Config, spec.Deadline); err != nil {
		return in.Leave(err)
	}
	return nil
}

// Response implements exchange.Filter.
func (f *streams) Response(x *exchange.Exchange) exchange.Verdict {
	s, ok := x.State().(*stream)
	if !ok {
		return exchange.Continue
	}
	v, err := s.Stream.Response()
	if err != nil {
		return x.Fail(err)
	}
	return v
}

// Done implements exchange.Filter.
func (f *streams) Done(x *exchange.Exchange) {
	s, ok := x.State().(*stream)
	if !ok {
		return
	}
	x.SetState(nil)
	s.Stream.Done()
	f.pool.release(s.in)
}
