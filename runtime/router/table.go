package router

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// Table is the routes of one generation. It is immutable and safe for
// concurrent use.
type Table struct {
	exact map[string]*host
	wild  map[string]*host // by the name behind "*."
	any   *host
	// wildLabels is how many labels the longest name in wild has.
	wildLabels int
	order      []int
	// shared are the rules of each host and path that has several, best first.
	shared [][]*rule
}

// host is the paths of one host.
type host struct {
	exact    index[leaf]
	template *node // nil: none
	regexes  []regexRule
	prefixes index[leaf] // by the prefix without its last slash
	depth    int         // slashes of the deepest prefix
	all      leaf
}

// leaf is the rules of one host and path, best first. Mostly there is one, which
// is then found without a detour.
type leaf struct {
	first *rule // nil: none
	more  []*rule
}

type regexRule struct {
	pattern pattern
	rule    *rule
}

// node is a segment of the templates of a host.
type node struct {
	next  index[*node]
	param *node
	rest  *node // its end alone is in use
	end   leaf
}

// Build makes a table. Lookup's results are indices into routes. Errors are
// *PatternError and *ConflictError, all of them, in the order of the routes; the
// table is nil then.
func Build(routes []Route) (*Table, []error) {
	t := &Table{exact: map[string]*host{}, wild: map[string]*host{}, any: &host{}}
	var errs []error
	expressions := map[string]*regexp.Regexp{}
	list := make([]placed, 0, len(routes))
	for i := range routes {
		r := &routes[i]
		p, err := r.Path.compile(expressions)
		if err != nil {
			errs = append(errs, &PatternError{i, err.Error()})
			continue
		}
		u := newRule(i, r, p.params())
		at := placed{rule: u, pattern: p}
		if len(r.Hosts) == 0 {
			t.any.add(&p, u)
		}
		for j, name := range r.Hosts {
			h, norm, err := t.host(name)
			if err != nil {
				errs = append(errs, &PatternError{i, err.Error()})
				continue
			}
			h.add(&p, u)
			if j == 0 || compareHosts(norm, at.host) < 0 {
				at.host = norm
			}
		}
		list = append(list, at)
	}
	conflicts := t.finish()
	slices.SortFunc(conflicts, func(a, b *ConflictError) int {
		return cmp.Or(cmp.Compare(a.B, b.B), cmp.Compare(a.A, b.A), compareHosts(a.Host, b.Host))
	})
	// Two routes that share several hosts are one conflict.
	for _, c := range slices.CompactFunc(conflicts, func(a, b *ConflictError) bool { return a.A == b.A && a.B == b.B }) {
		errs = append(errs, c)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	slices.SortFunc(list, placed.compare)
	t.order = make([]int, len(list))
	for i := range list {
		t.order[i] = list[i].rule.index
	}
	return t, nil
}

// Order returns the indices of the routes by precedence. A route stands where
// the best of its hosts puts it.
func (t *Table) Order() []int { return t.order }

// host returns the table of a host pattern and its normal form.
func (t *Table) host(name string) (*host, string, error) {
	base, wild := strings.CutPrefix(name, "*.")
	norm, err := NormalizeHost(base, &exchange.Arena{})
	if err != nil || norm == "" || wild && norm[0] == '[' {
		return nil, "", fmt.Errorf("%q is not a host: write a name, or *.name", name)
	}
	m := t.exact
	if wild {
		m = t.wild
		t.wildLabels = max(t.wildLabels, strings.Count(norm, ".")+1)
	}
	h := m[norm]
	if h == nil {
		h = &host{}
		m[norm] = h
	}
	if wild {
		norm = "*." + norm
	}
	return h, norm, nil
}

// with appends u. A route that names a host twice, in two spellings, counts
// once.
func (l leaf) with(u *rule) leaf {
	switch n := len(l.more); {
	case l.first == nil:
		l.first = u
	case l.first != u && (n == 0 || l.more[n-1] != u):
		l.more = append(l.more, u)
	}
	return l
}

// add appends u to the rules of a pattern.
func (h *host) add(p *pattern, u *rule) {
	switch p.kind {
	case Any:
		h.all = h.all.with(u)
	case Prefix:
		h.prefixes.put(p.text, h.prefixes.get(p.text).with(u))
		h.depth = max(h.depth, strings.Count(p.text, "/"))
	case Regex:
		if n := len(h.regexes); n == 0 || h.regexes[n-1].rule != u {
			h.regexes = append(h.regexes, regexRule{*p, u})
		}
	case Exact:
		if len(p.segments) == 0 {
			h.exact.put(p.text, h.exact.get(p.text).with(u))
			return
		}
		if h.template == nil {
			h.template = &node{}
		}
		n := h.template.descend(p.segments)
		n.end = n.end.with(u)
	}
}

// descend returns the node where a template ends, made if need be.
func (n *node) descend(segments []segment) *node {
	child := func(at **node) *node {
		if *at == nil {
			*at = &node{}
		}
		return *at
	}
	for _, s := range segments {
		switch s.kind {
		case literal:
			next := n.next.get(s.text)
			if next == nil {
				next = &node{}
				n.next.put(s.text, next)
			}
			n = next
		case param:
			n = child(&n.param)
		case rest:
			n = child(&n.rest)
		}
	}
	return n
}

// finish puts all rules in order and returns those that have none.
func (t *Table) finish() []*ConflictError {
	var conflicts []*ConflictError
	sorter := func(name string) func(leaf) leaf {
		return func(l leaf) leaf {
			if len(l.more) == 0 {
				return l
			}
			rules := append([]*rule{l.first}, l.more...)
			conflicts = findConflicts(conflicts, rules, name)
			slices.SortFunc(rules, (*rule).compare)
			t.shared = append(t.shared, rules)
			return leaf{rules[0], rules[1:]}
		}
	}
	for name, h := range t.exact {
		h.finish(sorter(name))
	}
	for name, h := range t.wild {
		h.finish(sorter("*." + name))
	}
	t.any.finish(sorter(""))
	return conflicts
}

func (h *host) finish(sorted func(leaf) leaf) {
	h.all = sorted(h.all)
	h.exact.each(sorted)
	h.prefixes.each(sorted)
	slices.SortFunc(h.regexes, func(a, b regexRule) int {
		return cmp.Or(a.pattern.compare(&b.pattern), a.rule.compare(b.rule))
	})
	same := map[string]leaf{} // by expression, to find conflicts
	for _, r := range h.regexes {
		same[r.pattern.text] = same[r.pattern.text].with(r.rule)
	}
	for _, l := range same {
		sorted(l)
	}
	h.template.finish(sorted)
}

func (n *node) finish(sorted func(leaf) leaf) {
	if n == nil {
		return
	}
	n.end = sorted(n.end)
	n.next.each(func(c *node) *node {
		c.finish(sorted)
		return c
	})
	n.param.finish(sorted)
	n.rest.finish(sorted)
}

// findConflicts appends the conflicts among rules of one host and path, each
// with the first of its kind in the list of routes.
func findConflicts(to []*ConflictError, rules []*rule, host string) []*ConflictError {
	slices.SortFunc(rules, func(a, b *rule) int { return cmp.Compare(a.index, b.index) })
	first := make(map[string]int, len(rules))
	for _, u := range rules {
		sign := u.signature()
		i, ok := first[sign]
		if !ok {
			first[sign] = u.index
			continue
		}
		to = append(to, &ConflictError{i, u.index, host})
	}
	return to
}

// placed is a route where precedence puts it.
type placed struct {
	rule    *rule
	host    string
	pattern pattern
}

func (a placed) compare(b placed) int {
	return cmp.Or(compareHosts(a.host, b.host), a.pattern.compare(&b.pattern), a.rule.compare(b.rule))
}

// compareHosts puts exact names before wildcards, longer wildcards first, and
// any host last.
func compareHosts(a, b string) int {
	class := func(h string) int {
		switch {
		case h == "":
			return 2
		case strings.HasPrefix(h, "*."):
			return 1
		}
		return 0
	}
	if c := class(a) - class(b); c != 0 {
		return c
	}
	if class(a) == 1 && len(a) != len(b) {
		return len(b) - len(a)
	}
	return strings.Compare(a, b)
}
