package policies

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reads is a tree of the parts of input that a policy can read. A node with all
// set stands for everything below it.
type reads struct {
	all  bool
	kids map[string]*reads
}

// analysis is what is known of a policy before it runs.
type analysis struct {
	reads *reads
	// impure are the reachable builtins whose results the input and the data do
	// not determine, and those that have an effect of their own.
	impure []string
}

// analyse walks the rules that the decision can reach. It errs on the side of
// more: a reference that continues with a variable reads everything from there
// on, and input used as a value (passed to a function such as walk, compared,
// returned) or replaced with "with" reads everything.
func analyse(c *ast.Compiler, decide ast.Ref) *analysis {
	a := &analysis{reads: &reads{}}
	reached := map[*ast.Rule]bool{}
	var queue []*ast.Rule
	reach := func(ref ast.Ref) {
		for _, r := range c.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true}) {
			if !reached[r] {
				reached[r] = true
				queue = append(queue, r)
			}
		}
	}
	var gets map[*ast.Expr]ast.Ref // of the rule that is walked
	var v *ast.GenericVisitor
	v = ast.NewGenericVisitor(func(n any) bool {
		switch n := n.(type) {
		case *ast.Expr:
			if object := gets[n]; object != nil {
				if len(object) > 0 {
					a.reads.add(object)
				}
				for _, w := range n.With {
					v.Walk(w)
				}
				for i, t := range n.Operands() {
					if len(object) > 0 && i > 0 {
						v.Walk(t)
					}
				}
				return true
			}
		case *ast.With:
			if ref, ok := n.Target.Value.(ast.Ref); ok && ref.HasPrefix(ast.InputRootRef) || isInput(n.Target.Value) {
				a.reads.all = true
			}
		case ast.Ref:
			if len(n) == 0 {
				return true
			}
			switch {
			case isInput(n[0].Value):
				a.reads.add(n[1:])
			case n[0].Equal(ast.DefaultRootDocument):
				reach(n)
			default:
				a.builtin(n)
				v.Walk(n[0])
			}
			for _, t := range n[1:] {
				v.Walk(t)
			}
			return true
		case ast.Var:
			if isInput(n) {
				a.reads.all = true
			}
		}
		return false
	})
	reach(decide)
	for len(queue) > 0 {
		r := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		gets = getsOf(r)
		v.Walk(r)
	}
	slices.Sort(a.impure)
	return a
}

// builtin notes a call that makes decisions unfit to be remembered.
func (a *analysis) builtin(name ast.Ref) {
	b := ast.BuiltinMap[name.String()]
	if b == nil || slices.Contains(a.impure, b.Name) {
		return
	}
	if b.IsNondeterministic() || b.Name == ast.InternalPrint.Name || b.Name == ast.Trace.Name {
		a.impure = append(a.impure, b.Name)
	}
}

// getsOf finds the calls object.get(input.a.b, "c", default) in a rule, which read
// c only. The compiler writes them as "v = input.a.b" and "object.get(v, "c", ...)":
// the result has what the second reads, and for the first, which reads nothing by
// itself, an empty reference.
//
// It is so only for objects that are there whatever they hold: that they are is all
// else that the call can find out.
func getsOf(r *ast.Rule) map[*ast.Expr]ast.Ref {
	uses := map[ast.Var]int{}
	objects := map[ast.Var]*ast.Expr{}
	var calls []*ast.Expr
	ast.NewGenericVisitor(func(n any) bool {
		switch n := n.(type) {
		case ast.Var:
			uses[n]++
		case *ast.Expr:
			if name, object := definition(n); object != nil {
				objects[name] = n
			}
			if n.IsCall() && n.Operator().Equal(ast.ObjectGet.Ref()) && len(n.Operands()) >= 3 {
				calls = append(calls, n)
			}
		}
		return false
	}).Walk(r)
	gets := map[*ast.Expr]ast.Ref{}
	for _, call := range calls {
		name, ok := call.Operand(0).Value.(ast.Var)
		if !ok || uses[name] != 2 || objects[name] == nil {
			continue
		}
		if _, ok := call.Operand(1).Value.(ast.String); !ok {
			continue
		}
		_, object := definition(objects[name])
		gets[objects[name]] = ast.Ref{}
		gets[call] = append(slices.Clone(object[1:]), call.Operand(1))
	}
	return gets
}

// definition reports what object of the input a generated variable stands for.
func definition(e *ast.Expr) (ast.Var, ast.Ref) {
	if !e.IsEquality() || len(e.With) > 0 || e.Negated {
		return "", nil
	}
	name, ok := e.Operand(0).Value.(ast.Var)
	ref, is := e.Operand(1).Value.(ast.Ref)
	if !ok || !is || !name.IsGenerated() {
		return "", nil
	}
	switch ref.String() {
	case "input.attributes.request.http.headers", "input.parsed_query", "input.headgate.path", "input.headgate.auth.claims":
		return name, ref
	}
	return "", nil
}

func isInput(v ast.Value) bool {
	name, ok := v.(ast.Var)
	return ok && name.Equal(ast.InputRootDocument.Value)
}

func (r *reads) add(path []*ast.Term) {
	for _, t := range path {
		key := memberName(t)
		if key == "" {
			break
		}
		if r.kids == nil {
			r.kids = map[string]*reads{}
		}
		next := r.kids[key]
		if next == nil {
			next = &reads{}
			r.kids[key] = next
		}
		r = next
	}
	r.all = true
}

// memberName is the name of the member that t selects: of an array, "#" and the
// index; "" if it can be any.
func memberName(t *ast.Term) string {
	switch v := t.Value.(type) {
	case ast.String:
		return string(v)
	case ast.Number:
		if n, ok := v.Int(); ok && n >= 0 {
			return "#" + strconv.Itoa(n)
		}
	}
	return ""
}

// at returns the node at a path: nil if nothing there is read.
func (r *reads) at(path ...string) *reads {
	for _, key := range path {
		if r == nil || r.all {
			return r
		}
		r = r.kids[key]
	}
	return r
}

// has reports whether the value at the path, or a part of it, is read.
func (r *reads) has(path ...string) bool { return r.at(path...) != nil }

// want is reads in the form that building the input and the key of the cache
// use: one flag for each part that is read or not. A list of names is nil if any
// name may be read.
type want struct {
	source, sourcePort, sourcePrincipal, destination bool

	time, id, method, host, path, protocol, scheme, query, size, body, truncatedHTTP bool
	// headers are the names read; allHeaders overrides it.
	headers    []string
	allHeaders bool

	extensions, metadata bool
	metadataNames        []string

	parsedPath, parsedQuery                bool
	segments                               []int
	queryNames                             []string
	parsedBody, truncated, principal, vers bool

	route, params, remoteIP                                      bool
	respStatus, respHeaders, respBody, respParsed, respTruncated bool

	// filters is what other filters published.
	filters, allFilters       bool
	filterNames               []string
	paramNames                []string
	subject, consumer, claims bool
	claimNames                []string
}

// everything is all that there is before there is a response.
func everything() want { return (&reads{all: true}).want().ofRequest() }

func (r *reads) want() want {
	http := func(name string) bool { return r.has("attributes", "request", "http", name) }
	w := want{
		source:          r.has("attributes", "source", "address"),
		sourcePort:      r.has("attributes", "source", "address", "socketAddress", "portValue"),
		sourcePrincipal: r.has("attributes", "source", "principal"),
		destination:     r.has("attributes", "destination"),
		time:            r.has("attributes", "request", "time"),
		id:              http("id"), method: http("method"), host: http("host"), path: http("path"),
		protocol: http("protocol"), scheme: http("scheme"), query: http("query"), size: http("size"),
		body: http("body"), truncatedHTTP: http("truncated_body"),
		extensions: r.has("attributes", "contextExtensions"),
		metadata:   r.has("attributes", "metadataContext"),
		parsedPath: r.has("parsed_path"), segments: r.indexes("parsed_path"),
		parsedQuery: r.has("parsed_query"), queryNames: r.names("parsed_query"),
		parsedBody: r.has("parsed_body"), truncated: r.has("truncated_body"),
		principal: r.has("source_principal"), vers: r.has("version"),
		route: r.has("headgate", "route"), remoteIP: r.has("headgate", "remote_ip"),
		filters: r.has("headgate", "filters"),
		params:  r.has("headgate", "path"), paramNames: r.names("headgate", "path"),
		subject: r.has("headgate", "auth", "subject"), consumer: r.has("headgate", "auth", "consumer"),
		claims: r.has("headgate", "auth", "claims"), claimNames: r.names("headgate", "auth", "claims"),
	}
	answer := func(name string) bool { return r.has("response", name) }
	w.respStatus, w.respHeaders = answer("status"), answer("headers")
	w.respBody, w.respParsed, w.respTruncated = answer("body"), answer("parsed_body"), answer("truncated_body")
	w.metadataNames = r.names("attributes", "metadataContext", "filterMetadata")
	w.filterNames, w.allFilters = r.names("headgate", "filters"), w.filters && r.at("headgate", "filters").all
	if h := r.at("attributes", "request", "http", "headers"); h != nil {
		w.allHeaders = h.all
		for name := range h.kids {
			w.headers = append(w.headers, name)
		}
		slices.Sort(w.headers)
	}
	return w
}

// logged is what a decision log shows: everything but a body that the rules do
// not read. A log must not make the gateway wait for a body, or refuse one.
func (w *want) logged() want {
	all := everything()
	all.body, all.parsedBody = w.body, w.parsedBody
	all.truncated, all.truncatedHTTP = w.needsBody(), w.needsBody()
	all.respBody, all.respParsed, all.respTruncated = w.respBody, w.respParsed, w.respTruncated
	return all
}

// ofRequest is w before there is a response.
func (w want) ofRequest() want {
	w.respStatus, w.respHeaders, w.respBody, w.respParsed, w.respTruncated = false, false, false, false, false
	return w
}

// names lists the members of the object at the path that are read; nil if any
// may be.
func (r *reads) names(path ...string) []string {
	n := r.at(path...)
	if n == nil || n.all {
		return nil
	}
	return slices.Sorted(maps.Keys(n.kids))
}

// indexes does so for an array.
func (r *reads) indexes(path ...string) []int {
	var out []int
	for _, name := range r.names(path...) {
		if i, err := strconv.Atoi(strings.TrimPrefix(name, "#")); err == nil {
			out = append(out, i)
		}
	}
	return out
}

// uncacheable says why decisions can't be remembered: "" if they can.
func (a *analysis) uncacheable() string {
	r := a.reads
	changes := func(what string) string { return "it reads " + what + ", which is different for every request" }
	switch {
	case len(a.impure) > 0:
		return "it can call " + strings.ReplaceAll(strings.Join(a.impure, ", "), ast.InternalPrint.Name, "print")
	case r.all:
		return "it uses input as a whole (walk, a variable as key, or with)"
	case r.has("attributes", "request", "http", "id"):
		return changes("input.attributes.request.http.id")
	case r.has("attributes", "request", "time"):
		return changes("input.attributes.request.time")
	}
	if m := r.at("attributes", "metadataContext", "filterMetadata"); m != nil && (m.all || m.kids[openPolicyAgent] != nil) {
		return changes("the decision id in input.attributes.metadataContext")
	}
	return ""
}

// openPolicyAgent is the member of the metadata that holds the decision id.
const openPolicyAgent = "open_policy_agent"

// needsBody reports whether the policy can read the content of the request.
func (w *want) needsBody() bool {
	return w.body || w.parsedBody || w.truncated || w.truncatedHTTP
}

// readsAnswer reports whether the policy can read the content of the response.
func (w *want) readsAnswer() bool { return w.respBody || w.respParsed || w.respTruncated }

// response reports whether it can read anything of the response.
func (w *want) response() bool { return w.respStatus || w.respHeaders || w.readsAnswer() }

func (w *want) header(name string) bool { return w.allHeaders || slices.Contains(w.headers, name) }

func (w *want) anyHeader() bool { return w.allHeaders || len(w.headers) > 0 }
