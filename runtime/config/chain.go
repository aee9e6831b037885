package config

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Chain is a chain block, or one instance of it: filters under a name.
type Chain struct {
	Name string
	// Use are chains that run before the chain's own filters.
	Use     []Ref
	Filters []*Filter
	Range   hcl.Range
}

func (l *loader) decodeChain(b block) {
	s := l.read(b, chainSchema)
	l.cfg.Chains = append(l.cfg.Chains, &Chain{
		Name: b.id, Range: b.DefRange,
		Use: s.refs("use", "chain"),
		Filters: s.filters(exprScope{
			noPath: "A chain is used by many routes, and path variables belong to one of them. Put the filter into the route.",
			buffer: defaultBuffer,
		}),
	})
}

// checkChains reports chains that use themselves.
func (l *loader) checkChains() {
	byName := map[string]*Chain{}
	for _, c := range l.cfg.Chains {
		byName[c.Name] = c
	}
	l.cfg.chains = byName
	const busy, done = 1, 2
	state := map[string]int{}
	var visit func(c *Chain, path []string)
	visit = func(c *Chain, path []string) {
		state[c.Name] = busy
		path = append(path, c.Name)
		for _, r := range c.Use {
			next := byName[r.ID]
			switch {
			case next == nil:
			case state[r.ID] == busy:
				from := path
				for from[0] != r.ID {
					from = from[1:]
				}
				l.diags.errorf(r.Range, "Cyclic chains", "The chain %q uses itself: %s -> %s.", r.ID, strings.Join(from, " -> "), r.ID)
			case state[r.ID] != done:
				visit(next, path)
			}
		}
		state[c.Name] = done
	}
	for _, c := range l.cfg.Chains {
		if state[c.Name] != done {
			visit(c, nil)
		}
	}
}

// filters returns the filters of a route in the order in which they run: those
// of its chains, then its own. The chains have no cycle.
func (c *Config) filters(r *Route) []*Filter {
	var out []*Filter
	var use func(refs []Ref)
	use = func(refs []Ref) {
		for _, ref := range refs {
			if chain := c.chains[ref.ID]; chain != nil {
				use(chain.Use)
				out = append(out, chain.Filters...)
			}
		}
	}
	use(r.Use)
	return append(out, r.Filters...)
}
