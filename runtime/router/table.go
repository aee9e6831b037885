package router

import (
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
	order []int
}

// host is the paths of one host.
type host struct {
	exact    index
	template *node // nil: none
	regexes  []regexEntry
	prefixes index
	depth    int // segments of the deepest prefix
	all      []*rule
}

type regexEntry struct {
	text  string
	re    *regexp.Regexp
	rules []*rule
}

// node is a segment of the templates of a host.
type node struct {
	next  map[string]*node
	param *node
	rest  []*rule
	end   []*rule
}

// index maps paths to rules: by a scan while there are few, which takes a tenth
// of a map's memory.
type index struct {
	few  []entry
	many map[string][]*rule
}

type entry struct {
	key   string
	rules []*rule
}

const fewEntries = 8

func (x *index) get(key string) []*rule {
	if x.many != nil {
		return x.many[key]
	}
	for i := range x.few {
		if x.few[i].key == key {
			return x.few[i].rules
		}
	}
	return nil
}

func (x *index) add(key string, r *rule) {
	if x.many != nil {
		x.many[key] = append(x.many[key], r)
		return
	}
	for i := range x.few {
		if x.few[i].key == key {
			x.few[i].rules = append(x.few[i].rules, r)
			return
		}
	}
	if len(x.few) < fewEntries {
		x.few = append(x.few, entry{key, []*rule{r}})
		return
	}
	x.many = map[string][]*rule{key: {r}}
	for _, e := range x.few {
		x.many[e.key] = e.rules
	}
	x.few = nil
}

func (x *index) each(f func([]*rule)) {
	for _, e := range x.few {
		f(e.rules)
	}
	for _, r := range x.many {
		f(r)
	}
}

// Build makes a table. Lookup's results are indices into routes. Errors are
// *PatternError and *ConflictError, all of them; the table is nil then.
func Build(routes []Route) (*Table, []error) {
	t := &Table{exact: map[string]*host{}, wild: map[string]*host{}, any: &host{}}
	var errs []error
	seen := map[string]int{}
	sorted := make([]placed, 0, len(routes))
	for i := range routes {
		r := &routes[i]
		p, segments, re, err := r.Path.normalise()
		if err != nil {
			errs = append(errs, &PatternError{i, err.Error()})
			continue
		}
		var params []string
		for _, s := range segments {
			if s.kind != literal {
				params = append(params, s.text)
			}
		}
		u := newRule(i, r, params)
		key := p.key(segments)
		sign := signature(r, key)
		hosts := r.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		best := ""
		for j, name := range hosts {
			h, norm, err := t.host(name)
			if err != nil {
				errs = append(errs, &PatternError{i, err.Error()})
				continue
			}
			full := norm + "\x00" + sign
			if first, ok := seen[full]; ok {
				if first != i {
					errs = append(errs, &ConflictError{first, i, norm})
				}
				continue
			}
			seen[full] = i
			h.add(p, segments, re, u)
			if j == 0 || compareHosts(norm, best) < 0 {
				best = norm
			}
		}
		sorted = append(sorted, placed{u, best, p, segments})
	}
	if len(errs) > 0 {
		return nil, errs
	}
	t.each((*host).sort)
	slices.SortFunc(sorted, placed.compare)
	for _, p := range sorted {
		t.order = append(t.order, p.rule.index)
	}
	return t, nil
}

// signature is all that tells a route from another on the same host.
func signature(r *Route, path string) string {
	keys := make([]string, 0, len(r.Conditions))
	for _, c := range r.Conditions {
		keys = append(keys, c.Key)
	}
	slices.Sort(keys)
	listeners, methods := slices.Sorted(slices.Values(r.Listeners)), slices.Sorted(slices.Values(r.Methods))
	return fmt.Sprintf("%q %q %q %q %d", path, listeners, methods, keys, r.Priority)
}

// host returns the table of a host pattern and its normal form.
func (t *Table) host(name string) (*host, string, error) {
	if name == "" || name == "*" {
		return t.any, "", nil
	}
	base, wild := strings.CutPrefix(name, "*.")
	norm, err := NormalizeHost(base, &exchange.Arena{})
	if err != nil || norm == "" || strings.Contains(norm, "*") {
		return nil, "", fmt.Errorf("%q is not a host: write a name, or *.name", name)
	}
	m := t.exact
	if wild {
		m = t.wild
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

func (t *Table) each(f func(*host)) {
	for _, h := range t.exact {
		f(h)
	}
	for _, h := range t.wild {
		f(h)
	}
	f(t.any)
}

func (h *host) add(p Pattern, segments []segment, re *regexp.Regexp, u *rule) {
	switch p.Kind {
	case Any:
		h.all = append(h.all, u)
	case Prefix:
		h.prefixes.add(p.Text, u)
		h.depth = max(h.depth, strings.Count(p.Text, "/"))
	case Regex:
		for i := range h.regexes {
			if h.regexes[i].text == p.Text {
				h.regexes[i].rules = append(h.regexes[i].rules, u)
				return
			}
		}
		h.regexes = append(h.regexes, regexEntry{p.Text, re, []*rule{u}})
	case Exact:
		if len(u.params) == 0 {
			h.exact.add(join(segments), u)
			return
		}
		if h.template == nil {
			h.template = &node{}
		}
		h.template.add(segments, u)
	}
}

func join(segments []segment) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + s.text)
	}
	return b.String()
}

func (n *node) add(segments []segment, u *rule) {
	for _, s := range segments {
		switch s.kind {
		case literal:
			if n.next == nil {
				n.next = map[string]*node{}
			}
			if n.next[s.text] == nil {
				n.next[s.text] = &node{}
			}
			n = n.next[s.text]
		case param:
			if n.param == nil {
				n.param = &node{}
			}
			n = n.param
		case rest:
			n.rest = append(n.rest, u)
			return
		}
	}
	n.end = append(n.end, u)
}

func (h *host) sort() {
	byRank := func(rules []*rule) {
		slices.SortFunc(rules, func(a, b *rule) int { return a.rank.compare(b.rank) })
	}
	byRank(h.all)
	h.exact.each(byRank)
	h.prefixes.each(byRank)
	for _, e := range h.regexes {
		byRank(e.rules)
	}
	slices.SortFunc(h.regexes, func(a, b regexEntry) int { return compareRegex(a.text, b.text) })
	var walk func(*node)
	walk = func(n *node) {
		if n == nil {
			return
		}
		byRank(n.rest)
		byRank(n.end)
		for _, c := range n.next {
			walk(c)
		}
		walk(n.param)
	}
	walk(h.template)
}

func compareRegex(a, b string) int {
	if len(a) != len(b) {
		return len(b) - len(a)
	}
	return strings.Compare(a, b)
}

// Order returns the indices of the routes by precedence.
func (t *Table) Order() []int { return t.order }

// placed is a route where precedence puts it.
type placed struct {
	rule     *rule
	host     string
	path     Pattern
	segments []segment
}

func (a placed) compare(b placed) int {
	if c := compareHosts(a.host, b.host); c != 0 {
		return c
	}
	if c := a.pathClass() - b.pathClass(); c != 0 {
		return c
	}
	switch a.path.Kind {
	case Exact:
		for i := range min(len(a.segments), len(b.segments)) {
			x, y := a.segments[i], b.segments[i]
			if x.kind != y.kind {
				return int(x.kind) - int(y.kind)
			}
			if x.kind == literal && x.text != y.text {
				return strings.Compare(x.text, y.text)
			}
		}
		if c := len(a.segments) - len(b.segments); c != 0 {
			return c
		}
	case Regex:
		if c := compareRegex(a.path.Text, b.path.Text); c != 0 {
			return c
		}
	case Prefix:
		if c := len(b.path.Text) - len(a.path.Text); c != 0 {
			return c
		}
		if c := strings.Compare(a.path.Text, b.path.Text); c != 0 {
			return c
		}
	}
	return a.rule.rank.compare(b.rule.rank)
}

func (a placed) pathClass() int {
	switch {
	case a.path.Kind == Exact && len(a.rule.params) == 0:
		return 0
	case a.path.Kind == Exact:
		return 1
	case a.path.Kind == Regex:
		return 2
	case a.path.Kind == Prefix:
		return 3
	}
	return 4
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
