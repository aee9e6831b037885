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
	decide, err := s.rule()
	if err != nil {
		return nil, err
	}
	caps, err := capabilities(s.Allow)
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
	// A rule may also be data, or a package as a whole.
	if len(compiler.GetRulesForVirtualDocument(decide)) == 0 && len(compiler.GetRulesWithPrefix(decide)) == 0 && !inData(data, decide) {
		return nil, &Error{Message: fmt.Sprintf("no rule is called %s%s", s.Decide, suggestion(compiler, s.Decide))}
	}
	opts := []func(*rego.Rego){rego.Compiler(compiler), rego.Store(store), rego.Capabilities(caps)}
	if slices.Contains(s.Allow, "opa.runtime") {
		opts = append(opts, rego.Runtime(runtimeTerm()))
	}
	if g.query, err = prepare(ctx, decide, opts); err != nil {
		return nil, err
	}
	g.analysis = analyse(compiler, decide)
	g.reads = g.analysis.reads.want()
	g.want = g.reads
	if g.analysis.uncacheable() == "" {
		g.cache = newCache()
	}
	if s.DecisionLog != nil {
		g.want = g.reads.logged()
		g.masks, err = masksOf(ctx, compiler, opts)
	}
	return g, err
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
