package host

import (
	"context"

	"github.com/headgate/headgate/host/abi/native"
	"github.com/headgate/headgate/runtime/exchange"
)

// filter is a plugin with one configuration, as a step of a chain.
type filter struct {
	pool  *pool
	cfg   *config
	needs exchange.Needs
}

// session is what a filter keeps for one exchange.
type session struct {
	native.Session
	in *instance // a place in it is held; nil if the guest needs to see no more
}

// newFilter configures an instance, so that a bad configuration fails the load,
// and asks it what it needs.
func (p *pool) newFilter(ctx context.Context, cfg *config) (exchange.Filter, error) {
	f := &filter{pool: p, cfg: cfg}
	in, _, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer p.release(in)
	if _, err := in.ready(ctx, &cfg.Config, p.spec.StartCPU); err != nil {
		return nil, err
	}
	defer in.unlock()
	if in.proxy != nil {
		return &streams{pool: p, cfg: cfg}, nil
	}
	f.needs = in.guest.(*native.Guest).Needs(cfg.ID)
	return f, nil
}

// Needs implements exchange.Filter.
func (f *filter) Needs() exchange.Needs { return f.needs }

// Request implements exchange.Filter.
func (f *filter) Request(x *exchange.Exchange) exchange.Verdict { return f.pool.admitted(x, f) }

func (f *filter) request(x *exchange.Exchange) (exchange.Verdict, error) {
	p := f.pool
	for again := false; ; again = true {
		in, waited, err := p.place(x.Context())
		if err != nil {
			return exchange.Fail, err
		}
		s, _ := p.sessions.Get().(*session)
		if s == nil {
			s = &session{}
		}
		s.Bind(in)
		v, wanted, err := in.request(x, &s.Session, &f.cfg.Config, waited)
		if wanted {
			s.in = in
		} else {
			p.release(in)
		}
		if err == nil {
			x.SetState(s)
			return v, nil
		}
		p.sessions.Put(s)
		if err == errDead && !again {
			continue // nothing ran yet
		}
		return exchange.Fail, err
	}
}

// Response implements exchange.Filter.
func (f *filter) Response(x *exchange.Exchange) exchange.Verdict {
	s, ok := x.State().(*session)
	if !ok {
		return exchange.Continue
	}
	s.BeginResponse(x)
	if s.in == nil {
		return exchange.Continue
	}
	err := s.in.response(x, &s.Session, &f.cfg.Config)
	if !s.Stays() {
		f.pool.release(s.in)
		s.in = nil
	}
	if err != nil {
		return x.Fail(err)
	}
	return exchange.Continue
}

// Done implements exchange.Filter.
func (f *filter) Done(x *exchange.Exchange) {
	s, ok := x.State().(*session)
	if !ok {
		return
	}
	x.SetState(nil)
	s.Forget()
	if s.in != nil {
		if f.pool.module.ends {
			s.in.end(&s.Session, &f.cfg.Config)
		}
		f.pool.release(s.in)
		s.in = nil
	}
	f.pool.sessions.Put(s)
}
