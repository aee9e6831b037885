package proxy

import "github.com/headgate/headgate/runtime/exchange"

// turnAway answers a request beyond limits.max_requests. It passes no filter and
// is counted, but not logged: a line for each would cost more than the answer,
// at the worst of times.
func (f *flow) turnAway() {
	x := f.x
	f.e.shed.Add(1)
	identify(x, &f.t.Settings)
	answer(x, overloaded(nil))
	x.Failure = nil
	f.editResponse()
	if err := f.write(); err != nil {
		x.Front.Reset(exchange.ResetInternal)
	}
}
