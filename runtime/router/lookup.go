package router

import (
	"regexp"
	"slices"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// Result is the outcome of a look-up.
type Result struct {
	// Route is the index of the route; -1 if none matches.
	Route int
	// Allow are the methods that routes take for this request, if only the
	// method stands in the way. Conditions on the body are left out of account:
	// they are not asked of a request with the wrong method.
	Allow []string
}

// search is one look-up under way.
type search struct {
	x       *exchange.Exchange
	path    string
	found   *rule
	refused bool // a method stood in the way
	collect bool // gather the methods of the routes where that is so
	allow   []string
	values  [maxParams]string
	count   int
}

// Lookup finds the route of x, whose Host and Request.Path are normalised, and
// sets x.Params. It does not allocate, but for the decoding of variables and for
// Allow.
func (t *Table) Lookup(x *exchange.Exchange) Result {
	x.Params = x.Params[:0]
	s := search{x: x, path: x.Request.Path}
	if t.find(&s) {
		for i, name := range s.found.params {
			x.Params = append(x.Params, exchange.Param{Name: name, Value: decode(s.values[i], &x.Arena)})
		}
		return Result{Route: s.found.index}
	}
	if !s.refused {
		return Result{Route: -1}
	}
	s.collect = true
	t.find(&s)
	slices.Sort(s.allow)
	return Result{Route: -1, Allow: slices.Compact(s.allow)}
}

// find tries the hosts in order of precedence.
func (t *Table) find(s *search) bool {
	name := s.x.Host
	if h := t.exact[name]; h != nil && s.host(h) {
		return true
	}
	// Of a name with many labels only as many count as the longest wildcard has.
	at, left := -1, name
	for range t.wildLabels {
		i := strings.LastIndexByte(left, '.')
		if i < 0 {
			break
		}
		at, left = i, left[:i]
	}
	for at >= 0 {
		name = name[at+1:]
		if h := t.wild[name]; h != nil && s.host(h) {
			return true
		}
		at = strings.IndexByte(name, '.')
	}
	return s.host(t.any)
}

// host tries the paths of h in order of precedence.
func (s *search) host(h *host) bool {
	if s.try(h.exact.get(s.path)) {
		return true
	}
	if h.template != nil && s.path != "" && s.path[0] == '/' && s.template(h.template, s.path[1:]) {
		return true
	}
	return len(h.regexes) > 0 && s.regex(h.regexes) || !h.prefixes.empty() && s.prefix(h) || s.try(h.all)
}

// template matches the segments of path below n, best first. It visits a node at
// most once.
func (s *search) template(n *node, path string) bool {
	part, after, more := strings.Cut(path, "/")
	if next := n.next.get(part); next != nil && s.below(next, after, more) {
		return true
	}
	if n.param != nil && part != "" {
		s.values[s.count] = part
		s.count++
		if s.below(n.param, after, more) {
			return true
		}
		s.count--
	}
	if n.rest != nil {
		s.values[s.count] = path
		return s.try(n.rest.end)
	}
	return false
}

func (s *search) below(n *node, path string, more bool) bool {
	if more {
		return s.template(n, path)
	}
	return s.try(n.end)
}

// regex tries expressions in their order. Routes with the same one that stand
// together run it once.
func (s *search) regex(list []regexRule) bool {
	var last *regexp.Regexp
	matches := false
	for i := range list {
		r := &list[i]
		if r.pattern.re != last {
			last = r.pattern.re
			matches = last.MatchString(s.path)
		}
		if matches && s.takes(r.rule) {
			return true
		}
	}
	return false
}

// prefix tries the prefixes of the path, longest first.
func (s *search) prefix(h *host) bool {
	// Nothing longer than the deepest prefix needs a look.
	p, slashes := s.path, 0
	for i := range len(p) {
		if p[i] == '/' {
			if slashes++; slashes > h.depth {
				p = p[:i]
				break
			}
		}
	}
	for {
		if s.try(h.prefixes.get(p)) {
			return true
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			return false
		}
		p = p[:i]
	}
}

// try takes the first rule that holds.
func (s *search) try(l leaf) bool {
	if l.first == nil {
		return false
	}
	if s.takes(l.first) {
		return true
	}
	for _, u := range l.more {
		if s.takes(u) {
			return true
		}
	}
	return false
}

// takes finds the request's route if u holds. What is cheap is asked first, the
// body last.
func (s *search) takes(u *rule) bool {
	if len(u.listeners) > 0 && (s.x.Conn == nil || s.x.Conn.Listener == nil || !slices.Contains(u.listeners, s.x.Conn.Listener.Name)) {
		return false
	}
	fits := len(u.methods) == 0 || slices.Contains(u.methods, s.x.Request.Method)
	if s.collect && fits || !fits && s.refused && !s.collect {
		return false
	}
	for i := range u.conditions {
		c := &u.conditions[i]
		if c.NeedsBody && !fits {
			break
		}
		if !c.Match(s.x) {
			return false
		}
	}
	if !fits {
		s.refused = true
		if s.collect {
			s.allow = append(s.allow, u.methods...)
		}
		return false
	}
	s.found = u
	return true
}
