package policies

import (
	"maps"
	"slices"
	"strings"
)

// Cost says what a policy costs each request.
type Cost struct {
	// Reads are the parts of input that the decision can read, as references;
	// only these are built, and decisions are remembered by their values.
	Reads []string `json:"reads"`
	// Body is set if the gateway has to wait for the body of a request.
	Body bool `json:"body"`
	// Uncacheable says why decisions are not remembered; "" if they are.
	Uncacheable string `json:"uncacheable,omitempty"`
}

// Cost tells what the policy costs now.
func (p *Policy) Cost() Cost {
	g := p.program.Load()
	if g == nil {
		return Cost{Uncacheable: "its bundle is not there yet"}
	}
	return Cost{Reads: g.analysis.reads.paths("input"), Body: g.reads.needsBody(), Uncacheable: g.analysis.uncacheable()}
}

// paths lists the leaves below at.
func (r *reads) paths(at string) []string {
	if r.all {
		return []string{at}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.kids)) {
		out = append(out, r.kids[name].paths(at+selector(name))...)
	}
	return out
}

// selector writes a member's name as Rego does.
func selector(name string) string {
	if i, ok := strings.CutPrefix(name, "#"); ok {
		return "[" + i + "]"
	}
	for _, c := range name {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return `["` + name + `"]`
		}
	}
	return "." + name
}
