package proxy

import "github.com/headgate/headgate/runtime/exchange"

// A step in shadow mode runs its filter on a copy of the exchange. Its verdicts
// are measured as any other's; the exchange goes on untouched.

// request returns the verdict and, in shadow mode, what it would have been.
func (s *Step) request(x *exchange.Exchange) (v, would exchange.Verdict) {
	if !s.Shadow {
		v = s.Filter.Request(x)
		return v, v
	}
	y := x.Shadow()
	x.SetState(y)
	would = s.Filter.Request(y)
	s.Metrics.Shadow(would)
	if would != exchange.Continue {
		s.Filter.Done(y)
		x.SetState(nil)
	}
	return exchange.Continue, would
}

func (s *Step) response(x *exchange.Exchange) exchange.Verdict {
	if !s.Shadow {
		return s.Filter.Response(x)
	}
	if y, ok := x.State().(*exchange.Exchange); ok {
		y.ShadowResponse(x)
		s.Metrics.Shadow(s.Filter.Response(y))
	}
	return exchange.Continue
}

func (s *Step) done(x *exchange.Exchange) {
	if !s.Shadow {
		s.Filter.Done(x)
		return
	}
	if y, ok := x.State().(*exchange.Exchange); ok {
		s.Filter.Done(y)
	}
}
