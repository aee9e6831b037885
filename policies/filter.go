package policies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/print"

	"github.com/headgate/headgate/runtime/exchange"
)

// filter is a policy at one place of the configuration.
type filter struct {
	p          *Policy
	extensions *ast.Term
	// extensionsKey tells filters of one policy apart in its cache.
	extensionsKey string
}

// Needs implements exchange.Filter.
func (f *filter) Needs() exchange.Needs {
	var n exchange.Needs
	g := f.p.program.Load()
	// A bundle may bring rules that read the bodies at any time.
	bundle := f.p.spec.Bundle != nil
	if bundle || g.reads.needsBody() || g.response != nil && g.response.reads.needsBody() {
		n.Request = exchange.NeedPrefix
	}
	if f.p.spec.Response != "" && (bundle || g.response.reads.readsAnswer()) {
		n.Response = exchange.NeedPrefix
	}
	return n
}

// Request implements exchange.Filter.
func (f *filter) Request(x *exchange.Exchange) exchange.Verdict {
	start := time.Now()
	e := event{start: start, program: f.p.program.Load()}
	verdict, result := f.decide(x, &e)
	if d := f.p.opts.Decisions; d != nil {
		d.Decision(f.p.name, result, time.Since(start))
	}
	if f.p.log != nil && e.program != nil {
		e.record(f.p, x)
	}
	return verdict
}

// Response implements exchange.Filter.
func (f *filter) Response(x *exchange.Exchange) exchange.Verdict {
	switch s := x.State().(type) {
	case *outcome:
		s.editResponse(&x.Response.Head)
	case *answerPart:
		s.out.editResponse(&x.Response.Head)
		addLimits(&x.Response.Head, s.limits)
	}
	if f.p.spec.Response != "" {
		return f.answer(x)
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
	p, g := f.p, e.program
	if g == nil {
		return x.Fail(fmt.Errorf("policy %s: %w", p.name, errNoBundle)), failed
	}
	if p.log != nil || g.want.metadata {
		e.id = uuid.NewString()
	}
	var k *keyer
	if g.cache != nil {
		k = p.keyers.take()
		defer p.keyers.give(k)
		if !k.write(&g.reads, x, f) {
			k = nil
		} else if out := g.cache.get(k.buf); out != nil {
			return f.remembered(x, e, out)
		}
	}
	if verdict, result := f.input(x, e); verdict != exchange.Continue {
		return verdict, result
	}
	result, err := p.evaluate(x.Context(), g, e.input, p.printer(g, x))
	if err != nil {
		e.err = err
		return x.Fail(fmt.Errorf("policy %s: %w", p.name, err)), failed
	}
	out, err := p.outcome(g, result)
	e.result = result
	if err != nil {
		e.err = err
		p.opts.Log.Error("the decision has the wrong form, which denies", "policy", p.name, "decide", p.path, "request_id", x.ID, "route", x.Route, "error", err.Error())
		return x.Reply(403, "", nil), denied
	}
	if k != nil {
		// Texts of the decision may be parts of the input's, which they then keep.
		out.size += e.size + slabSize
		g.cache.put(k.buf, out)
	}
	return f.apply(x, out)
}

// remembered applies a decision that the cache has. The log shows the input of
// this exchange, as if it had been evaluated.
func (f *filter) remembered(x *exchange.Exchange, e *event, out *outcome) (exchange.Verdict, string) {
	if f.p.log != nil {
		if verdict, result := f.input(x, e); verdict != exchange.Continue {
			return verdict, result
		}
		e.result, e.cached = out.result, true
	}
	return f.apply(x, out)
}

// input builds the document into e. It answers a request whose body can't be
// parsed.
func (f *filter) input(x *exchange.Exchange, e *event) (exchange.Verdict, string) {
	p := f.p
	b := builder{w: &e.program.want, x: x}
	input, err := b.build(f.extensions, e.id)
	if err == nil {
		e.input, e.size = input, b.size
		return exchange.Continue, ""
	}
	e.err = err
	var bad *bodyError
	if errors.As(err, &bad) {
		p.opts.Log.Info("request refused before the policy could decide", "policy", p.name, "request_id", x.ID, "route", x.Route, "reason", bad.reason)
		return x.Reply(bad.status, "", nil), denied
	}
	return x.Fail(fmt.Errorf("policy %s: input: %w", p.name, err)), failed
}

// outcome reads the value of the rule, nil if it is undefined.
func (p *Policy) outcome(g *program, result ast.Value) (*outcome, error) {
	if result == nil {
		return &outcome{undefined: true}, nil
	}
	d, err := decode(result)
	if err != nil {
		return nil, err
	}
	out := &outcome{decision: d}
	if p.log != nil {
		out.result = result
	}
	if g.cache != nil {
		out.size = sizeOf(result)
	}
	return out, nil
}

// apply does to the exchange what was decided.
func (f *filter) apply(x *exchange.Exchange, out *outcome) (exchange.Verdict, string) {
	p := f.p
	if out.undefined {
		p.opts.Log.Debug("the decision is undefined, which denies", "policy", p.name, "request_id", x.ID, "route", x.Route)
		return x.Reply(403, "", nil), denied
	}
	if out.metadata != nil {
		if x.Metadata == nil {
			x.Metadata = map[string]any{}
		}
		x.Metadata[p.name] = out.metadata
	}
	x.Fields = append(x.Fields, out.log...)
	if !out.allowed {
		return out.answer(x), denied
	}
	if len(out.limits) > 0 && p.opts.Limiter != nil {
		ok, fields, wait := p.limited(x, out.limits)
		if !ok {
			return tooMany(x, fields, wait), denied
		}
		x.SetState(&answerPart{out, fields})
	} else if len(out.responseHeaders) > 0 {
		x.SetState(out)
	}
	out.editRequest(&x.Request)
	out.extend(x)
	return exchange.Continue, allowed
}

// printer takes what the policy prints for x; nil if it prints nothing.
func (p *Policy) printer(g *program, x *exchange.Exchange) print.Hook {
	if !slices.Contains(g.analysis.impure, ast.InternalPrint.Name) {
		return nil
	}
	return &printer{p.opts.Log, []any{"policy", p.name, "request_id", x.ID, "route", x.Route}}
}

// errNoBundle is why a policy can't decide before its first bundle.
var errNoBundle = errors.New("the bundle is not there yet")

// evaluate returns the value of the rule, nil if it is undefined.
func (p *Policy) evaluate(ctx context.Context, g *program, input ast.Value, out print.Hook, more ...rego.EvalOption) (ast.Value, error) {
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
	rs, err := g.query.Eval(ctx, append(more,
		rego.EvalParsedInput(input),
		rego.EvalExternalCancel(t),
		rego.EvalMetrics(metrics.NoOp()),
		rego.EvalGenerateJSON(asTerm),
		rego.EvalPrintHook(out),
	)...)
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
