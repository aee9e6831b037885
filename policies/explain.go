package policies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/headgate/headgate/runtime/exchange"
)

// Explanation tells how a policy came to its decision.
type Explanation struct {
	Input   any  `json:"input"`
	Result  any  `json:"result,omitempty"`
	Defined bool `json:"defined"`
	// Allowed is what the gateway makes of the result; Error why it is none.
	Allowed bool          `json:"allowed"`
	Error   string        `json:"error,omitempty"`
	Took    time.Duration `json:"nanoseconds"`
	// Rules are those that were tried, in order.
	Rules []RuleTrace `json:"rules"`
}

// RuleTrace is what became of one rule.
type RuleTrace struct {
	Rule  string `json:"rule"`
	File  string `json:"file"`
	Row   int    `json:"row"`
	Holds bool   `json:"holds"`
	// Expr is the expression that failed, in row FailedRow of File.
	Expr      string `json:"expression,omitempty"`
	FailedRow int    `json:"failed_row,omitempty"`
}

// Explain decides about an exchange, which is not changed, and tells how. The
// rules are evaluated without an index, so that those that can't hold show up.
func (p *Policy) Explain(ctx context.Context, x *exchange.Exchange, contextExtensions map[string]string) (*Explanation, error) {
	return p.explainIn(ctx, x, extensionsTerm(contextExtensions))
}

func (p *Policy) explainIn(ctx context.Context, x *exchange.Exchange, extensions *ast.Term) (*Explanation, error) {
	g := p.program.Load()
	if g == nil {
		return nil, errNoBundle
	}
	w := g.want
	w.metadata = w.metadata && x.Metadata != nil
	b := builder{w: &w, x: x}
	input, err := b.build(extensions, "")
	if err != nil {
		return nil, err
	}
	return p.explain(ctx, g, input)
}

// maxWhy bounds the reasons that a filter gives.
const maxWhy = 40

// Why tells which rules hold for x and what fails in the others, one line each.
func (f *filter) Why(x *exchange.Exchange) []string {
	var out []string
	e, err := f.p.explainIn(x.Context(), x, f.extensions)
	if e != nil {
		for i, r := range e.Rules {
			if i == maxWhy {
				return append(out, fmt.Sprintf("and %d more", len(e.Rules)-maxWhy))
			}
			out = append(out, r.String())
		}
	}
	if err != nil {
		out = append(out, err.Error())
	}
	return out
}

// ExplainInput does so for an input document as JSON values.
func (p *Policy) ExplainInput(ctx context.Context, input any) (*Explanation, error) {
	g := p.program.Load()
	if g == nil {
		return nil, errNoBundle
	}
	v, err := ast.InterfaceToValue(input)
	if err != nil {
		return nil, err
	}
	return p.explain(ctx, g, v)
}

func (p *Policy) explain(ctx context.Context, g *program, input ast.Value) (*Explanation, error) {
	in, err := ast.JSON(input)
	if err != nil {
		return nil, err
	}
	e := &Explanation{Input: in}
	events := topdown.NewBufferTracer()
	start := time.Now()
	result, err := p.evaluate(ctx, g, input, &printer{p.opts.Log, nil}, rego.EvalQueryTracer(events), rego.EvalRuleIndexing(false))
	e.Took = time.Since(start)
	e.Rules = rulesOf(*events)
	if err != nil {
		return e, err
	}
	if result == nil {
		return e, nil
	}
	e.Defined = true
	if e.Result, err = ast.JSON(result); err != nil {
		return nil, err
	}
	d, err := decode(result)
	if err != nil {
		e.Error = err.Error()
	}
	e.Allowed = d.allowed && err == nil
	return e, nil
}

// rulesOf reads the trace of an evaluation: for each rule that was entered
// whether its body held, or what failed last.
func rulesOf(events []*topdown.Event) []RuleTrace {
	at := map[uint64]int{}
	var out []RuleTrace
	for _, e := range events {
		switch e.Op {
		case topdown.EnterOp:
			if r, ok := e.Node.(*ast.Rule); ok {
				t := RuleTrace{Rule: r.Head.Name.String()}
				if ref := r.Head.Ref(); len(ref) > 0 {
					t.Rule = ref.String()
				}
				if r.Location != nil {
					t.File, t.Row = r.Location.File, r.Location.Row
				}
				at[e.QueryID] = len(out)
				out = append(out, t)
			}
		case topdown.FailOp:
			i, ok := at[e.QueryID]
			if expr, is := e.Node.(*ast.Expr); ok && is && expr.Location != nil {
				out[i].Expr, out[i].FailedRow = firstLine(expr.Location.Text), expr.Location.Row
			}
		case topdown.ExitOp:
			if i, ok := at[e.QueryID]; ok {
				out[i].Holds = true
			}
		}
	}
	for i := range out {
		if out[i].Holds {
			out[i].Expr, out[i].FailedRow = "", 0
		}
	}
	return slices.DeleteFunc(out, func(t RuleTrace) bool { return t.File == "" })
}

func firstLine(text []byte) string {
	s, rest, more := strings.Cut(string(text), "\n")
	if more && strings.TrimSpace(rest) != "" {
		s += " ..."
	}
	return s
}

// String is one line for people.
func (t RuleTrace) String() string {
	switch {
	case t.Holds:
		return fmt.Sprintf("%s:%d: %s holds", t.File, t.Row, t.Rule)
	case t.FailedRow != 0:
		return fmt.Sprintf("%s:%d: %s does not hold: %s", t.File, t.FailedRow, t.Rule, t.Expr)
	}
	return fmt.Sprintf("%s:%d: %s does not hold", t.File, t.Row, t.Rule)
}

// BodyStatus is the status with which a request is refused because its body
// can't be parsed; 0 if err is something else.
func BodyStatus(err error) int {
	var bad *bodyError
	if errors.As(err, &bad) {
		return bad.status
	}
	return 0
}
