package proxy

import (
	"errors"
	"strconv"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// requestSide runs the chain in order until a step answers or fails.
func (f *flow) requestSide() (replied bool, err error) {
	x, steps := f.x, f.chain.steps
	for i := range steps {
		s := &steps[i]
		x.Enter(i, len(steps))
		if s.When != nil {
			v, err := s.When(x)
			if err != nil {
				f.trace.broke(i, err)
				if s.AllowOnError {
					continue
				}
				var b *exchange.BodyError
				if errors.As(err, &b) {
					return false, f.bodyError(b.Err)
				}
				return false, filterFailed(s.Name, err)
			}
			if v.Kind != exchange.KindBool || !v.Bool {
				f.trace.skipped(i)
				continue
			}
		}
		if s.needs.Request > exchange.NeedNothing {
			if err := f.readRequest(s.needs.Request); err != nil {
				return false, err
			}
		}
		f.started |= 1 << i
		f.trace.ask(i, s.Filter, x)
		start := time.Now()
		v, would := s.request(x)
		x.Now = time.Now()
		f.trace.ran(i, would, x, x.Now.Sub(start))
		f.observe(i, s, v, x.Now.Sub(start))
		switch v {
		case exchange.Continue:
			f.passed |= 1 << i
		case exchange.Reply:
			completeDenial(x)
			return true, nil
		default:
			if err := f.failed(s); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// responseSide runs the passed steps in reverse. A step that fails replaces the
// response by an error, which the remaining steps still see.
func (f *flow) responseSide() {
	if f.passed == 0 {
		return
	}
	x, steps := f.x, f.chain.steps
	for i := len(steps) - 1; i >= 0; i-- {
		if f.passed&(1<<i) == 0 {
			continue
		}
		s := &steps[i]
		x.Enter(i, len(steps))
		if s.needs.Response > exchange.NeedNothing {
			if err := f.readResponse(s.needs.Response); err != nil {
				answer(x, err)
			}
		}
		start := time.Now()
		v := s.response(x)
		x.Now = time.Now()
		f.observe(i, s, v, x.Now.Sub(start))
		if v == exchange.Fail {
			if err := f.failed(s); err != nil {
				answer(x, err)
			}
		}
	}
}

func (f *flow) observe(i int, s *Step, v exchange.Verdict, d time.Duration) {
	s.Metrics.Observe(v, d)
	if f.times != nil {
		f.times[i] += d
	}
}

// failed applies on_error to a step that failed.
func (f *flow) failed(s *Step) error {
	err := f.x.Failure
	f.x.Failure = nil
	if err == nil {
		err = errors.New("no reason given")
	}
	f.e.warn("filter failed", "request_id", f.x.ID, "route", f.x.Route, "filter", s.Name, "allowed", s.AllowOnError, "error", err.Error())
	if s.AllowOnError {
		return nil
	}
	return filterFailed(s.Name, err)
}

// serverTiming is the Server-Timing field (W3C Server Timing) of what each
// filter and the upstream took, in milliseconds.
func (f *flow) serverTiming() string {
	var b []byte
	put := func(name string, d time.Duration) {
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		for i := range len(name) { // a metric name is a token; x["k"] is none
			if c := name[i : i+1]; exchange.ValidName(c) {
				b = append(b, c...)
			} else {
				b = append(b, '_')
			}
		}
		b = append(b, ";dur="...)
		b = strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 3, 64)
	}
	for i := range f.chain.steps {
		if f.started&(1<<i) != 0 {
			put(f.chain.steps[i].Name, f.times[i])
		}
	}
	if d := f.times[len(f.times)-1]; d > 0 {
		put("upstream", d)
	}
	put("total", time.Since(f.x.Start))
	return string(b)
}
