package policies

import (
	"context"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// program is one revision of a policy's rules and data. It is immutable but for
// its cache.
type program struct {
	// response decides about responses; nil if no rule does.
	response *program

	query    rego.PreparedEvalQuery
	analysis *analysis
	reads    want // what the rules read
	want     want // what the input holds: more than that if there is a decision log
	cache    *cache
	masks    *masks // nil for none
	bundles  map[string]logBundle
}

// link compiles rules and data, and those of a bundle if it is not nil.
func link(ctx context.Context, s *Spec, src *sources, b *activation) (*program, error) {
	decide, response, err := s.rules()
	if err != nil {
		return nil, err
	}
	caps, err := capabilities(s.Allow, src.limits)
	if err != nil {
		return nil, err
	}
	modules, err := parseModules(src.rego, caps)
	if err != nil {
		return nil, err
	}
	data, err := parseData(src.data)
	if err != nil {
		return nil, err
	}
	g := &program{}
	if b != nil {
		if err := b.join(modules, data); err != nil {
			return nil, err
		}
		g.bundles = map[string]logBundle{b.name: {Revision: b.bundle.Manifest.Revision}}
	}
	if err := addLibrary(modules); err != nil {
		return nil, err
	}
	store := inmem.NewFromObjectWithOpts(data, inmem.OptRoundTripOnWrite(false))
	compiler, err := compile(ctx, modules, caps, store)
	if err != nil {
		return nil, err
	}
	opts := []func(*rego.Rego){rego.Compiler(compiler), rego.Store(store), rego.Capabilities(caps)}
	if slices.Contains(s.Allow, "opa.runtime") {
		opts = append(opts, rego.Runtime(runtimeTerm()))
	}
	if s.DecisionLog != nil {
		if g.masks, err = masksOf(ctx, compiler, opts); err != nil {
			return nil, err
		}
	}
	if response != nil {
		g.response = &program{}
		if err := g.response.decideBy(ctx, s, response, compiler, data, opts); err != nil {
			return nil, err
		}
		if g.response.want = g.response.reads; s.DecisionLog != nil {
			g.response.want = g.response.reads.logged()
			g.response.want.respStatus, g.response.want.respHeaders = true, true
		}
	}
	if err := g.decideBy(ctx, s, decide, compiler, data, opts); err != nil {
		return nil, err
	}
	// There is no answer yet.
	g.reads = g.reads.ofRequest()
	g.want = g.reads
	if s.DecisionLog != nil {
		g.want = g.reads.logged()
	}
	if g.analysis.uncacheable() == "" {
		g.cache = newCache()
	}
	return g, nil
}

// decideBy makes the rule at ref the one that decides.
func (g *program) decideBy(ctx context.Context, s *Spec, ref ast.Ref, c *ast.Compiler, data map[string]any, opts []func(*rego.Rego)) (err error) {
	// A rule may also be data, or a package as a whole.
	if len(c.GetRulesForVirtualDocument(ref)) == 0 && len(c.GetRulesWithPrefix(ref)) == 0 && !inData(data, ref) {
		return &Error{Message: fmt.Sprintf("no rule is called %s%s", ref, suggestion(c, ref.String()))}
	}
	g.query, err = prepare(ctx, ref, opts)
	g.analysis = analyse(c, ref)
	g.reads = g.analysis.reads.want()
	return err
}

func prepare(ctx context.Context, ref ast.Ref, opts []func(*rego.Rego)) (rego.PreparedEvalQuery, error) {
	q, err := rego.New(append(slices.Clone(opts), rego.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(ref)))))...).PrepareForEval(ctx)
	if err != nil {
		err = problems(err)
	}
	return q, err
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
