package policies

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// Format returns Rego source in its canonical layout.
func Format(src []byte, name string) ([]byte, error) {
	out, err := format.SourceWithOpts(name, src, format.Opts{RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, problems(err)
	}
	return out, nil
}

// Files lists the Rego files that paths name or that lie below them, tests
// included.
func Files(paths []string) ([]string, error) { return find(paths, isRego) }

// Check compiles the Rego below paths as a policy with these grants would be,
// and then together with its tests, which may use every builtin to replace it.
// It returns how many files there are. Its error joins one *Error for each
// problem.
func Check(ctx context.Context, s Spec) (int, error) {
	src, err := readSources(&s, isRego)
	if err != nil {
		return 0, err
	}
	caps, err := capabilities(s.Allow, src.limits)
	if err != nil {
		return 0, err
	}
	rules := slices.DeleteFunc(slices.Clone(src.rego), func(f file) bool { return !isRule(f.name) })
	if err := compiles(ctx, rules, src.data, caps); err != nil {
		return 0, err
	}
	return len(src.rego), compiles(ctx, src.rego, src.data, ast.CapabilitiesForThisVersion())
}

func compiles(ctx context.Context, rego, data []file, caps *ast.Capabilities) error {
	modules, err := parseModules(rego, caps)
	if err != nil {
		return err
	}
	if err := addLibrary(modules); err != nil {
		return err
	}
	doc, err := parseData(data)
	if err != nil {
		return err
	}
	_, err = compile(ctx, modules, caps, inmem.NewFromObjectWithOpts(doc, inmem.OptRoundTripOnWrite(false)))
	return err
}

// TestCase is the outcome of one Rego test.
type TestCase struct {
	Package string `json:"package"`
	Name    string `json:"name"`
	File    string `json:"file"`
	Row     int    `json:"row"`
	// Outcome is "pass", "fail", "error" or "skip" (its name begins with todo_).
	Outcome string        `json:"outcome"`
	Error   string        `json:"error,omitempty"`
	Output  string        `json:"output,omitempty"` // of print
	Took    time.Duration `json:"nanoseconds"`
}

// Coverage tells which lines of a file the tests evaluated.
type Coverage struct {
	File    string  `json:"file"`
	Percent float64 `json:"percent"`
	// Missed are rows.
	Missed []int `json:"missed,omitempty"`
}

// TestReport is what a run of tests found.
type TestReport struct {
	Cases    []TestCase `json:"tests"`
	Failed   int        `json:"failed"`
	Coverage []Coverage `json:"coverage,omitempty"`
	// Percent is the coverage of all files that are no tests.
	Percent float64 `json:"coverage_percent"`
}

// Test runs the Rego tests below the files of s whose name matches the regular
// expression run, "" for all. Every builtin is there, so that tests can replace
// it.
func Test(ctx context.Context, s Spec, run string, coverage bool) (*TestReport, error) {
	src, err := readSources(&s, isRego)
	if err != nil {
		return nil, err
	}
	caps := ast.CapabilitiesForThisVersion()
	modules, err := parseModules(src.rego, caps)
	if err != nil {
		return nil, err
	}
	if err := addLibrary(modules); err != nil {
		return nil, err
	}
	data, err := parseData(src.data)
	if err != nil {
		return nil, err
	}
	store := inmem.NewFromObjectWithOpts(data, inmem.OptRoundTripOnWrite(false))
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	r := tester.NewRunner().SetStore(store).SetModules(modules).CapturePrintOutput(true).Filter(run).
		SetCompiler(ast.NewCompiler().WithStrict(true).WithCapabilities(caps).WithEnablePrintStatements(true))
	c := cover.New()
	if coverage {
		r.SetCoverageQueryTracer(c)
	}
	results, err := r.RunTests(ctx, txn)
	if err != nil {
		return nil, problems(err)
	}
	report := &TestReport{Cases: []TestCase{}}
	for result := range results {
		t := testCase(result)
		if t.Outcome == "fail" || t.Outcome == "error" {
			report.Failed++
		}
		report.Cases = append(report.Cases, t)
	}
	slices.SortFunc(report.Cases, func(a, b TestCase) int {
		if n := strings.Compare(a.File, b.File); n != 0 {
			return n
		}
		return a.Row - b.Row
	})
	if coverage {
		report.cover(c.Report(modules))
	}
	return report, nil
}

func testCase(r *tester.Result) TestCase {
	t := TestCase{Package: strings.TrimPrefix(r.Package, "data."), Name: r.Name, Took: r.Duration, Output: string(r.Output), Outcome: "pass"}
	if r.Location != nil {
		t.File, t.Row = r.Location.File, r.Location.Row
	}
	switch {
	case r.Error != nil:
		t.Outcome, t.Error = "error", r.Error.Error()
	case r.Skip:
		t.Outcome = "skip"
	case r.Fail:
		t.Outcome = "fail"
	}
	return t
}

// cover adds the files that are no tests.
func (t *TestReport) cover(r cover.Report) {
	covered, missed := 0, 0
	for name, f := range r.Files {
		if strings.HasSuffix(name, "_test.rego") || strings.HasPrefix(name, "headgate/") {
			continue
		}
		c := Coverage{File: name, Percent: f.Coverage}
		for _, g := range f.NotCovered {
			for row := g.Start.Row; row <= g.End.Row; row++ {
				c.Missed = append(c.Missed, row)
			}
		}
		slices.Sort(c.Missed)
		c.Missed = slices.Compact(c.Missed)
		covered += f.CoveredLines
		missed += f.NotCoveredLines
		t.Coverage = append(t.Coverage, c)
	}
	slices.SortFunc(t.Coverage, func(a, b Coverage) int { return strings.Compare(a.File, b.File) })
	if covered > 0 {
		t.Percent = 100 * float64(covered) / float64(covered+missed)
	}
}
