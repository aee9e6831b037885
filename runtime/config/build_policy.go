package config

import (
	"errors"
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/headgate/headgate/policies"
	"github.com/headgate/headgate/runtime/telemetry"
)

// decisions counts the decisions of one policy.
type decisions struct{ m *telemetry.Policy }

func (d decisions) Decision(_, result string, took time.Duration) { d.m.Decision(result, took) }

func (b *builder) policy(p *Policy) {
	o := policies.Options{Log: b.d.Log, Stdout: b.d.Stdout, Stderr: b.d.Stderr}
	if b.d.Metrics != nil {
		o.Decisions = decisions{b.d.Metrics.Policy(p.Name)}
	}
	made, err := b.d.Policies.Compile(b.ctx, policies.Spec{
		Name: p.Name, Files: p.Rego, Data: p.Data, Decide: p.Decide, Response: p.Response, Deadline: p.Deadline, Allow: p.Allow, Capabilities: p.Capabilities, DecisionLog: b.decisionLog(p), Bundle: p.Bundle,
	}, o, b.d.Starting)
	if err != nil {
		for _, e := range joined(err) {
			b.policyError(p, e)
		}
		return
	}
	b.policies[p.Name] = made
	b.onClose(made.Close)
}

// policyError reports one problem. One in a Rego file is shown there, as the
// file and line that its author looks for.
func (b *builder) policyError(p *Policy, err error) {
	var e *policies.Error
	if errors.As(err, &e) && p.DecisionLog != nil && e.File != "" && e.File == p.DecisionLog.Path {
		b.diags.errorf(p.Range, "Unusable decision log", "%s.", err)
		return
	}
	if !errors.As(err, &e) || e.File == "" {
		rng := p.DecideRange
		b.diags.errorf(rng, "Invalid policy", "The policy %q can't be used: %s.", p.Name, err)
		return
	}
	if e.Row == 0 {
		b.diags.errorf(p.RegoRange, "Invalid policy", "The policy %q can't be used: %s.", p.Name, err)
		return
	}
	if src, err := readFile(e.File); err == nil {
		b.diags.file(e.File, src)
	}
	at := lineRange(b.diags.files[e.File], e.File, e.Row, e.Col)
	// Without the policy's name: several that share a file report it once.
	b.diags.add(&hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "Invalid policy", Detail: e.Message + ".", Subject: &at,
		Extra: extra{related: &p.RegoRange, note: "used by policy " + strconv.Quote(p.Name)},
	})
}

// joined returns the errors that were joined into err.
func joined(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

func (b *builder) decisionLog(p *Policy) *policies.LogSpec {
	if b.d.Check {
		return nil
	}
	return p.DecisionLog
}

// lineRange is the range from a row and column of src to the end of the word.
func lineRange(src []byte, name string, row, col int) hcl.Range {
	at, line := 0, 1
	for at < len(src) && line < row {
		if src[at] == '\n' {
			line++
		}
		at++
	}
	start := hcl.Pos{Line: row, Column: max(col, 1), Byte: min(at+max(col, 1)-1, len(src))}
	end := start
	for end.Byte < len(src) && src[end.Byte] > ' ' {
		end.Byte++
		end.Column++
	}
	return hcl.Range{Filename: name, Start: start, End: end}
}
