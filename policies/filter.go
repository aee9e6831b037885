package policies

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/headgate/headgate/runtime/exchange"
)

// filter is a policy at one place of the configuration.
type filter struct {
	p          *Policy
	extensions *ast.Term
}

// Needs implements exchange.Filter.
func (f *filter) Needs() exchange.Needs {
	if f.p.want.needsBody() {
		return exchange.Needs{Request: exchange.NeedPrefix}
	}
	return exchange.Needs{}
}

// Request implements exchange.Filter.
func (f *filter) Request(x *exchange.Exchange) exchange.Verdict {
	start := time.Now()
	e := event{start: start}
	verdict, result := f.decide(x, &e)
	if d := f.p.opts.Decisions; d != nil {
		d.Decision(f.p.name, result, time.Since(start))
	}
	if f.p.log != nil {
		e.record(f.p, x)
	}
	return verdict
}

// Response implements exchange.Filter.
func (f *filter) Response(x *exchange.Exchange) exchange.Verdict {
	if list, ok := x.State().([]field); ok {
		for _, f := range list {
			for _, v := range f.values {
				x.Response.Head.Add(f.name, v)
			}
		}
	}
	return exchange.Continue
}

// Done implements exchange.Filter.
func (f *filter) Done(*exchange.Exchange) {}

// The results, as they are counted.
const (
	allowed = "allow"
	denied  = "deny"
	failed  = "error"
)

func (f *filter) decide(x *exchange.Exchange, e *event) (exchange.Verdict, string) {
	p := f.p
	if p.log != nil || p.want.metadata {
		e.id = uuid.NewString()
	}
	b := builder{w: &p.want, x: x}
	input, err := b.build(f.extensions, e.id)
	if err != nil {
		e.err = err
		var bad *bodyError
		if errors.As(err, &bad) {
			p.opts.Log.Info("request refused before the policy could decide", "policy", p.name, "request_id", x.ID, "route", x.Route, "reason", bad.reason)
			return x.Reply(bad.status, "", nil), denied
		}
		return x.Fail(fmt.Errorf("policy %s: input: %w", p.name, err)), failed
	}
	e.input, e.size = input, b.size
	result, err := p.evaluate(x.Context(), input)
	if err != nil {
		e.err = err
		return x.Fail(fmt.Errorf("policy %s: %w", p.name, err)), failed
	}
	if result == nil {
		p.opts.Log.Debug("the decision is undefined, which denies", "policy", p.name, "request_id", x.ID, "route", x.Route)
		return x.Reply(403, "", nil), denied
	}
	e.result = result
	d, err := decode(result)
	if err != nil {
		e.err = err
		p.opts.Log.Error("the decision has the wrong form, which denies", "policy", p.name, "decide", p.path, "request_id", x.ID, "route", x.Route, "error", err.Error())
		return x.Reply(403, "", nil), denied
	}
	if d.metadata != nil {
		if x.Metadata == nil {
			x.Metadata = map[string]any{}
		}
		x.Metadata[p.name] = d.metadata
	}
	if !d.allowed {
		return d.answer(x), denied
	}
	d.editRequest(&x.Request)
	if len(d.responseHeaders) > 0 {
		x.SetState(d.responseHeaders)
	}
	return exchange.Continue, allowed
}

// evaluate returns the value of the rule, nil if it is undefined.
func (p *Policy) evaluate(ctx context.Context, input ast.Value) (ast.Value, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	if p.network {
		// Builtins that wait for others listen to the context only.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.deadline)
		defer cancel()
	}
	t := p.start()
	rs, err := p.query.Eval(ctx,
		rego.EvalParsedInput(input),
		rego.EvalExternalCancel(t),
		rego.EvalMetrics(metrics.NoOp()),
		rego.EvalGenerateJSON(asTerm),
	)
	p.stop(t)
	switch {
	case err != nil && (topdown.IsCancel(err) || t.Cancelled()):
		return nil, fmt.Errorf("stopped at its deadline of %v", p.deadline)
	case err != nil:
		return nil, problems(err)
	case len(rs) == 0 || len(rs[0].Expressions) == 0:
		return nil, nil
	}
	term, ok := rs[0].Expressions[0].Value.(*ast.Term)
	if !ok {
		return nil, fmt.Errorf("unexpected result %T", rs[0].Expressions[0].Value)
	}
	return term.Value, nil
}

// asTerm keeps results in OPA's form: only dynamic metadata and the decision log
// need them converted.
func asTerm(t *ast.Term, _ *rego.EvalContext) (any, error) { return t, nil }
