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
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

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
	// Decide names the rule that decides: "data.orders.authz.decision".
	Decide string
	// Deadline bounds one evaluation; 0: 50 milliseconds.
	Deadline time.Duration
	// Allow grants builtins that reach outside the process: names of Guarded.
	Allow []string
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

// Policy is compiled Rego with its data. It is immutable and serves many
// exchanges at once.
type Policy struct {
	name     string
	path     string // of the decision, as decision logs write it
	deadline time.Duration
	network  bool // a granted builtin waits on something outside
	query    rego.PreparedEvalQuery
	want     want   // what the input holds
	reads    want   // what the rules read; less than want if there is a decision log
	cache    *cache // nil if decisions can't be remembered
	keyers   keyers
	analysis *analysis
	timers   sync.Pool // of *timer
	opts     Options
	log      *decisionLog // nil for none
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

// Compile reads, checks and prepares a policy. Its error joins one *Error for
// each problem found. The caller closes the policy.
func Compile(ctx context.Context, s Spec, o Options) (*Policy, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	decide, err := ast.ParseRef(s.Decide)
	if err != nil || !decide.HasPrefix(ast.DefaultRootRef) || len(decide) < 2 || !decide.IsGround() {
		return nil, &Error{Message: fmt.Sprintf("%q names no rule; write for example data.authz.decision", s.Decide)}
	}
	caps, err := capabilities(s.Allow)
	if err != nil {
		return nil, err
	}
	modules, err := readModules(s.Files, caps, isRule)
	if err != nil {
		return nil, err
	}
	data, err := readData(s.Data)
	if err != nil {
		return nil, err
	}
	store := inmem.NewFromObjectWithOpts(data, inmem.OptRoundTripOnWrite(false))
	compiler, err := compile(ctx, modules, caps, store)
	if err != nil {
		return nil, err
	}
	// A rule may also be data, or a package as a whole.
	if len(compiler.GetRulesForVirtualDocument(decide)) == 0 && len(compiler.GetRulesWithPrefix(decide)) == 0 && !inData(data, decide) {
		return nil, &Error{Message: fmt.Sprintf("no rule is called %s%s", s.Decide, suggestion(compiler, s.Decide))}
	}
	opts := []func(*rego.Rego){
		rego.Compiler(compiler), rego.Store(store), rego.Capabilities(caps),
	}
	if slices.Contains(s.Allow, "opa.runtime") {
		opts = append(opts, rego.Runtime(runtimeTerm()))
	}
	query, err := rego.New(append(opts, rego.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(decide)))))...).PrepareForEval(ctx)
	if err != nil {
		return nil, problems(err)
	}
	p := &Policy{
		name: s.Name, path: logPath(decide), deadline: s.Deadline, query: query, opts: o,
		network: slices.Contains(s.Allow, "http.send") || slices.Contains(s.Allow, "net.lookup_ip_addr"),
	}
	a := analyse(compiler, decide)
	p.analysis, p.reads = a, a.reads.want()
	p.want = p.reads
	if a.uncacheable() == "" {
		p.cache = newCache()
	}
	if p.deadline <= 0 {
		p.deadline = 50 * time.Millisecond
	}
	if s.DecisionLog != nil {
		p.want = p.reads.logged()
		m, err := masksOf(ctx, compiler, opts)
		if err != nil {
			return nil, err
		}
		if p.log, err = openDecisionLog(s.DecisionLog, s.Name, m, o); err != nil {
			return nil, &Error{File: s.DecisionLog.Path, Message: fmt.Sprintf("the decision log can't be written: %v", err)}
		}
	}
	return p, nil
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
	if p.log != nil {
		p.log.close()
	}
}

// compile checks the modules against each other and the data.
func compile(ctx context.Context, modules map[string]*ast.Module, caps *ast.Capabilities, store storage.Store) (*ast.Compiler, error) {
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	c := ast.NewCompiler().
		WithStrict(true).
		WithCapabilities(caps).
		WithEnablePrintStatements(true).
		WithPathConflictsCheck(storage.NonEmpty(ctx, store, txn))
	if c.Compile(modules); c.Failed() {
		return nil, problems(c.Errors)
	}
	return c, nil
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
