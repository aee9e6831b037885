package policies

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reads is a tree of the parts of input that a policy can read. A node with all
// set stands for everything below it.
type reads struct {
	all  bool
	kids map[string]*reads
}

// readsOf collects what any rule of the compiled modules reads. It errs on the
// side of more: rules that the decision never reaches count as well, a reference
// that continues with a variable reads everything from there on, and input used
// as a value (passed to a function such as walk, compared, returned) or replaced
// with "with" reads everything.
func readsOf(c *ast.Compiler) *reads {
	root := &reads{}
	var v *ast.GenericVisitor
	v = ast.NewGenericVisitor(func(n any) bool {
		switch n := n.(type) {
		case *ast.With:
			if ref, ok := n.Target.Value.(ast.Ref); ok && ref.HasPrefix(ast.InputRootRef) || isInput(n.Target.Value) {
				root.all = true
			}
		case ast.Ref:
			if len(n) == 0 {
				return true
			}
			if isInput(n[0].Value) {
				root.add(n[1:])
			} else {
				v.Walk(n[0])
			}
			for _, t := range n[1:] {
				v.Walk(t)
			}
			return true
		case ast.Var:
			if isInput(n) {
				root.all = true
			}
		}
		return false
	})
	for _, m := range c.Modules {
		for _, r := range m.Rules {
			v.Walk(r)
		}
	}
	return root
}

func isInput(v ast.Value) bool {
	name, ok := v.(ast.Var)
	return ok && name.Equal(ast.InputRootDocument.Value)
}

func (r *reads) add(path []*ast.Term) {
	for _, t := range path {
		key, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		if r.kids == nil {
			r.kids = map[string]*reads{}
		}
		next := r.kids[string(key)]
		if next == nil {
			next = &reads{}
			r.kids[string(key)] = next
		}
		r = next
	}
	r.all = true
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

// want is reads in the form that building the input uses: one flag for each
// part that is built or not.
type want struct {
	source, sourcePrincipal, destination bool

	time, id, method, host, path, protocol, scheme, query, size, body, truncatedHTTP bool
	// headers are the names read; allHeaders overrides it.
	headers    []string
	allHeaders bool

	extensions, metadata                   bool
	parsedPath, parsedQuery                bool
	parsedBody, truncated, principal, vers bool

	route, params, auth, remoteIP bool
}

func everything() want { return (&reads{all: true}).want() }

func (r *reads) want() want {
	http := func(name string) bool { return r.has("attributes", "request", "http", name) }
	w := want{
		source:          r.has("attributes", "source", "address"),
		sourcePrincipal: r.has("attributes", "source", "principal"),
		destination:     r.has("attributes", "destination"),
		time:            r.has("attributes", "request", "time"),
		id:              http("id"), method: http("method"), host: http("host"), path: http("path"),
		protocol: http("protocol"), scheme: http("scheme"), query: http("query"), size: http("size"),
		body: http("body"), truncatedHTTP: http("truncated_body"),
		extensions: r.has("attributes", "contextExtensions"),
		metadata:   r.has("attributes", "metadataContext"),
		parsedPath: r.has("parsed_path"), parsedQuery: r.has("parsed_query"),
		parsedBody: r.has("parsed_body"), truncated: r.has("truncated_body"),
		principal: r.has("source_principal"), vers: r.has("version"),
		route: r.has("headgate", "route"), params: r.has("headgate", "path"),
		auth: r.has("headgate", "auth"), remoteIP: r.has("headgate", "remote_ip"),
	}
	if h := r.at("attributes", "request", "http", "headers"); h != nil {
		w.allHeaders = h.all
		for name := range h.kids {
			w.headers = append(w.headers, name)
		}
		slices.Sort(w.headers)
	}
	return w
}

// needsBody reports whether the policy can read the content of the request.
func (w *want) needsBody() bool {
	return w.body || w.parsedBody || w.truncated || w.truncatedHTTP
}

func (w *want) header(name string) bool { return w.allHeaders || slices.Contains(w.headers, name) }

func (w *want) anyHeader() bool { return w.allHeaders || len(w.headers) > 0 }
