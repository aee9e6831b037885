package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/headgate/headgate/policies"
)

const policyUsage = `
Work on Rego policies without a gateway. Each command has -h.

  headgate policy check policies/
  headgate policy test -coverage policies/
  headgate policy fmt -check policies/
  headgate policy eval -decide data.shop.authz.allow -i request.http policies/
  headgate policy explain-cost -decide data.shop.authz.allow policies/
  headgate policy library lib/
`

// policyCommands are the commands below policy.
func policyCommands() []command {
	return []command{
		{"check", "compile policies and their tests", runPolicyCheck},
		{"test", "run the tests in *_test.rego", runPolicyTest},
		{"fmt", "lay Rego files out in the canonical way", runPolicyFmt},
		{"eval", "decide about one request and tell how", runPolicyEval},
		{"library", "write the library for other tools", runPolicyLibrary},
		{"explain-cost", "tell what a policy reads and whether decisions are remembered", runPolicyCost},
	}
}

func runPolicy(args []string, s streams) int {
	all := policyCommands()
	if len(args) > 0 {
		if i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] }); i >= 0 {
			return all[i].run(args[1:], s)
		}
	}
	f := newFlags("policy", policyUsage)
	rest, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(rest) == 0:
		return f.misuse(s, "name what to do: check, test, fmt, eval, library or explain-cost")
	}
	return f.misuse(s, "there is no command %q.%s", rest[0], suggest(rest[0], all))
}

// sources are the flags that say what a policy is made of.
type sources struct {
	data, allow list
	decide      string
}

// list is the values of a flag that may be repeated.
type list []string

// String implements flag.Value.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

func (f *flags) sources() *sources {
	var c sources
	f.Var(&c.data, "data", "JSON or YAML `file` or folder for data; may be repeated")
	return &c
}

func (c *sources) spec(name string, paths []string) policies.Spec {
	return policies.Spec{Name: name, Files: paths, Data: c.data, Allow: c.allow, Decide: c.decide}
}

// policyProblems prints what is wrong with Rego files.
func policyProblems(err error, command string, s streams) int {
	list := []error{err}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		list = j.Unwrap()
	}
	code := exitInput
	for _, e := range list {
		var p *policies.Error
		if !errors.As(e, &p) {
			code = exitRuntime
		}
		fmt.Fprintf(s.err, "headgate %s: %v\n", command, e)
	}
	return code
}

const policyCheckUsage = `
Compile policies as a gateway would, then again with their tests.

  headgate policy check PATH...
  headgate policy check -allow http.send -data data.json policies/
`

func runPolicyCheck(args []string, s streams) int {
	f := newFlags("policy check", policyCheckUsage)
	c := f.sources()
	f.Var(&c.allow, "allow", "grant a `builtin`: http.send, net.lookup_ip_addr or opa.runtime; may be repeated")
	paths, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(paths) == 0:
		return f.misuse(s, "name a file or folder with Rego")
	}
	n, err := policies.Check(background(), c.spec("check", paths))
	if err != nil {
		return policyProblems(err, "policy check", s)
	}
	fmt.Fprintf(s.out, "%s: checked %s; no errors\n", strings.Join(paths, " "), count(n, "file"))
	return exitOK
}

const policyFmtUsage = `
Lay Rego files out in the canonical way, in place. The names of changed files are
printed; "-" is standard input.

  headgate policy fmt [-check|-diff] PATH...
  headgate policy fmt -check policies/
`

func runPolicyFmt(args []string, s streams) int {
	f := newFlags("policy fmt", policyFmtUsage)
	r := &formatter{s: s, layout: policies.Format}
	f.BoolVar(&r.check, "check", false, "change nothing; exit 1 if a file would change")
	f.BoolVar(&r.diff, "diff", false, "change nothing; print what would change")
	paths, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(paths) == 0:
		return f.misuse(s, "name a file or folder with Rego")
	}
	if len(paths) != 1 || paths[0] != "-" {
		var err error
		if paths, err = policies.Files(paths); err != nil {
			return policyProblems(err, "policy fmt", s)
		}
	}
	for _, p := range paths {
		if err := r.path(p); err != nil {
			code = policyProblems(err, "policy fmt", s)
		}
	}
	if r.wrong != nil {
		code = policyProblems(r.wrong, "policy fmt", s)
	}
	if r.check && r.differs {
		code = exitInput
	}
	return code
}

const policyTestUsage = `
Run the tests in *_test.rego: rules whose name begins with test_. Every builtin is
there, so that tests can replace it ("with http.send as ...").

  headgate policy test [-coverage] [-run REGEXP] PATH...
  headgate policy test -coverage -threshold 90 policies/
`

func runPolicyTest(args []string, s streams) int {
	f := newFlags("policy test", policyTestUsage)
	c, format := f.sources(), f.format()
	run := f.String("run", "", "run only tests whose name matches the `pattern`")
	coverage := f.Bool("coverage", false, "tell which lines no test evaluates")
	threshold := f.Float64("threshold", 0, "fail if fewer `percent` of the lines are covered")
	verbose := f.Bool("v", false, "list the tests that pass as well")
	paths, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case !knownFormat(*format):
		return f.misuse(s, "there is no output format %q; write text or json", *format)
	case len(paths) == 0:
		return f.misuse(s, "name a file or folder with Rego")
	}
	measured := *coverage || *threshold > 0
	report, err := policies.Test(background(), c.spec("test", paths), *run, measured)
	if err != nil {
		return policyProblems(err, "policy test", s)
	}
	if *format == "json" {
		code = writeJSON(s.out, report)
	} else {
		writeTests(s.out, report, *verbose, measured)
	}
	switch {
	case report.Failed > 0:
		code = exitInput
	case len(report.Cases) == 0:
		fmt.Fprintln(s.err, "headgate policy test: there are no tests")
		code = exitInput
	case report.Percent < *threshold:
		fmt.Fprintf(s.err, "headgate policy test: %.1f%% of the lines are covered, less than %g%%\n", report.Percent, *threshold)
		code = exitInput
	}
	return code
}

func writeTests(w io.Writer, r *policies.TestReport, verbose, coverage bool) {
	skipped := 0
	for _, t := range r.Cases {
		if t.Outcome == "skip" {
			skipped++
		}
		if t.Outcome == "pass" && !verbose {
			continue
		}
		fmt.Fprintf(w, "%s:%d: %s: %s.%s", t.File, t.Row, t.Outcome, t.Package, t.Name)
		if t.Error != "" {
			fmt.Fprintf(w, ": %s", t.Error)
		}
		fmt.Fprintln(w)
		if out := strings.TrimRight(t.Output, "\n"); out != "" {
			fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(out, "\n", "\n    "))
		}
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", len(r.Cases)-r.Failed-skipped, r.Failed, skipped)
	if !coverage {
		return
	}
	for _, c := range r.Coverage {
		fmt.Fprintf(w, "%6.1f%%  %s%s\n", c.Percent, c.File, missed(c.Missed))
	}
	fmt.Fprintf(w, "%6.1f%%  in all\n", r.Percent)
}

// missed writes rows as ranges.
func missed(rows []int) string {
	var out []string
	for i := 0; i < len(rows); {
		j := i
		for j+1 < len(rows) && rows[j+1] == rows[j]+1 {
			j++
		}
		if i == j {
			out = append(out, fmt.Sprint(rows[i]))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", rows[i], rows[j]))
		}
		i = j + 1
	}
	if out == nil {
		return ""
	}
	return ", without " + strings.Join(out, ", ")
}

const policyLibraryUsage = `
Write the library, which policies import as data.headgate.NAME, into a folder. The
gateway needs no such folder; editors and "opa build" do.

  headgate policy library DIR
  headgate policy library lib/ && opa build -b policies/ lib/
`

func runPolicyLibrary(args []string, s streams) int {
	f := newFlags("policy library", policyLibraryUsage)
	dirs, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(dirs) != 1:
		return f.misuse(s, "name one folder")
	}
	if err := policies.WriteLibrary(dirs[0]); err != nil {
		fmt.Fprintf(s.err, "headgate policy library: %v\n", err)
		return exitRuntime
	}
	return exitOK
}

const policyCostUsage = `
Tell what a policy reads of each request, which is all that is built for it, and
whether its decisions are remembered; if not, why.

  headgate policy explain-cost -decide RULE PATH...
  headgate policy explain-cost -decide data.shop.authz.allow policies/
`

func runPolicyCost(args []string, s streams) int {
	f := newFlags("policy explain-cost", policyCostUsage)
	p, code := f.policy(args, s, f.format(), nil)
	if p == nil {
		return code
	}
	defer p.Close()
	cost := p.Cost()
	if f.Lookup("o").Value.String() == "json" {
		return writeJSON(s.out, cost)
	}
	if len(cost.Reads) == 0 {
		fmt.Fprintln(s.out, "reads    nothing of the input")
	}
	for i, r := range cost.Reads {
		fmt.Fprintf(s.out, "%-8s %s\n", []string{"reads", ""}[min(i, 1)], r)
	}
	if cost.Body {
		fmt.Fprintln(s.out, "body     the gateway waits for the body, up to the route's buffer")
	} else {
		fmt.Fprintln(s.out, "body     not needed")
	}
	if cost.Uncacheable != "" {
		fmt.Fprintf(s.out, "cache    no: %s\n", cost.Uncacheable)
	} else {
		fmt.Fprintln(s.out, "cache    yes: decisions are remembered by the values of what it reads")
	}
	return exitOK
}

// policy compiles the policy that the arguments name. It is nil if the command is
// over, with its exit code. ready may check further flags.
func (f *flags) policy(args []string, s streams, format *string, ready func() string) (*policies.Policy, int) {
	c := f.sources()
	f.Var(&c.allow, "allow", "grant a `builtin`: http.send, net.lookup_ip_addr or opa.runtime; may be repeated")
	f.StringVar(&c.decide, "decide", "", "the `rule` that decides, such as data.shop.authz.allow (required)")
	paths, code, done := f.parse(args, s)
	switch {
	case done:
		return nil, code
	case !knownFormat(*format):
		return nil, f.misuse(s, "there is no output format %q; write text or json", *format)
	case len(paths) == 0:
		return nil, f.misuse(s, "name a file or folder with Rego")
	case c.decide == "":
		return nil, f.misuse(s, "name the rule that decides: -decide data.shop.authz.allow")
	}
	if ready != nil {
		if wrong := ready(); wrong != "" {
			return nil, f.misuse(s, "%s", wrong)
		}
	}
	p, err := policies.Compile(background(), c.spec("policy", paths), policies.Options{Log: textLog(s.err)})
	if err != nil {
		return nil, policyProblems(err, f.Name(), s)
	}
	return p, exitOK
}

// readInput reads a file or, for "-", standard input.
func readInput(name string, s streams) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(s.in)
	}
	return os.ReadFile(name)
}
