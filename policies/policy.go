package policies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/headgate/headgate/runtime/exchange"
)

// Spec is what a policy is made of.
type Spec struct {
	Name string
	// Files are Rego files and folders, which are read recursively. Files that
	// end in _test.rego are left out.
	Files []string
	// Data are JSON and YAML files, merged at the root of data.
	Data []string
	// Bundle is where more rules and data come from; nil: nowhere.
	Bundle *BundleSpec
	// Decide names the rule that decides: "data.orders.authz.decision".
	Decide string
	// Response names the rule that decides about responses; "": none does.
	Response string
	// Deadline bounds one evaluation; 0: 50 milliseconds.
	Deadline time.Duration
	// Allow grants builtins that reach outside the process: names of Guarded.
	Allow []string
	// Capabilities is a file as OPA writes it: builtins that it does not list are
	// not there; "" for all.
	Capabilities string
	// DecisionLog says where decisions are logged, in OPA's format; nil: nowhere.
	DecisionLog *LogSpec
}

// Decisions counts what policies decide: "allow", "deny" or "error".
type Decisions interface {
	Decision(policy, result string, d time.Duration)
}

// Options are what a policy uses of its surroundings. All may be nil.
type Options struct {
	Decisions Decisions
	// Limiter counts for rate_limits; nil: they are not enforced.
	Limiter Limiter
	Log     *slog.Logger
	// Stdout and Stderr are the streams of decision logs with these names.
	Stdout, Stderr io.Writer
}

// Policy is compiled Rego with its data. It serves many exchanges at once.
type Policy struct {
	name string
	path string // of the decision, as decision logs write it
	// responsePath is that of the decision about responses.
	responsePath string
	deadline     time.Duration
	network      bool      // a granted builtin waits on something outside
	timers       sync.Pool // of *timer
	keyers       keyers
	opts         Options
	log          *decisionLog // nil for none

	// program is what decides now; nil until the first bundle is there.
	program atomic.Pointer[program]
	spec    Spec
	sources *sources

	bundle *bundleSource // nil for none

	// release gives back a policy that is shared; nil: it is not.
	release func()
}

// Error is one problem of a policy with its position in the Rego source, if it
// has one.
type Error struct {
	File      string
	Row, Col  int
	Message   string
	FromRules bool // the Rego is wrong, as opposed to a file that can't be read
}

func (e *Error) Error() string {
	if e.File == "" {
		return e.Message
	}
	if e.Row == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Row, e.Col, e.Message)
}

// Compile reads, checks and prepares a policy from files. Its error joins one
// *Error for each problem found. The caller closes the policy.
func Compile(ctx context.Context, s Spec, o Options) (*Policy, error) {
	if s.Bundle != nil {
		return nil, &Error{Message: "a policy with a bundle needs a Store"}
	}
	src, err := readSources(&s, isRule)
	if err != nil {
		return nil, err
	}
	return newPolicy(ctx, s, o, src)
}

// newPolicy makes a policy of sources. With a bundle it has no program yet.
func newPolicy(ctx context.Context, s Spec, o Options, src *sources) (*Policy, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	decide, response, err := s.rules()
	if err != nil {
		return nil, err
	}
	p := &Policy{
		name: s.Name, path: logPath(decide), responsePath: logPath(response), deadline: s.Deadline, opts: o, spec: s, sources: src,
		network: slices.Contains(s.Allow, "http.send") || slices.Contains(s.Allow, "net.lookup_ip_addr"),
	}
	if p.deadline <= 0 {
		p.deadline = 50 * time.Millisecond
	}
	if s.Bundle == nil {
		g, err := link(ctx, &s, src, nil)
		if err != nil {
			return nil, err
		}
		p.program.Store(g)
	}
	if s.DecisionLog != nil {
		if p.log, err = openDecisionLog(s.DecisionLog, s.Name, o); err != nil {
			return nil, &Error{File: s.DecisionLog.Path, Message: fmt.Sprintf("the decision log can't be written: %v", err)}
		}
	}
	return p, nil
}

// rules are the rules that decide, about requests and about responses; nil if no
// rule does.
func (s *Spec) rules() (decide, response ast.Ref, err error) {
	if decide, err = ruleOf(s.Decide); err == nil && s.Response != "" {
		response, err = ruleOf(s.Response)
	}
	return decide, response, err
}

func ruleOf(text string) (ast.Ref, error) {
	ref, err := ast.ParseRef(text)
	if err != nil || !ref.HasPrefix(ast.DefaultRootRef) || len(ref) < 2 || !ref.IsGround() {
		return nil, &Error{Message: fmt.Sprintf("%q names no rule; write for example data.authz.decision", text)}
	}
	return ref, nil
}

// Filter makes a filter of the policy. contextExtensions become
// input.attributes.contextExtensions; the map is not changed afterwards.
func (p *Policy) Filter(contextExtensions map[string]string) exchange.Filter {
	f := &filter{p: p, extensions: extensionsTerm(contextExtensions)}
	var k keyer
	for _, name := range slices.Sorted(maps.Keys(contextExtensions)) {
		k.text(name)
		k.text(contextExtensions[name])
	}
	f.extensionsKey = string(k.buf)
	return f
}

// Close ends the policy; no filter of it is used any more. It waits a moment
// for the decision log to be written.
func (p *Policy) Close() {
	if p.release != nil {
		p.release()
		return
	}
	p.close()
}

func (p *Policy) close() {
	if p.log != nil {
		p.log.close()
	}
}

// problems turns OPA's errors into ours.
func problems(err error) error {
	var list ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &list):
	case errors.As(err, &one):
		list = ast.Errors{one}
	default:
		return &Error{Message: err.Error()}
	}
	out := make([]error, 0, len(list))
	for _, e := range list {
		p := &Error{Message: hint(e.Message), FromRules: true}
		if e.Location != nil {
			p.File, p.Row, p.Col = e.Location.File, e.Location.Row, e.Location.Col
		}
		out = append(out, p)
	}
	return errors.Join(out...)
}
