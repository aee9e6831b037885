package router

import (
	"slices"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// Result is the outcome of a look-up.
type Result struct {
	// Route is the index of the route; -1 if none matches.
	Route int
	// Allow are the methods that routes take for this request, if only the
	// method stands in the way.
	Allow []string
}

// search is one look-up under way.
type search struct {
	x      *exchange.Exchange
	path   string
	found  *rule
	allow  []string
	values [maxParams]string
	count  int
}

// Lookup finds the route of x, whose Host and Request.Path are normalised, and
// sets x.Params. It does not allocate unless a variable needs decoding or no
// route matches.
func (t *Table) Lookup(x *exchange.Exchange) Result {
	s := search{x: x, path: x.Request.Path}
	if h := t.exact[x.Host]; h != nil && s.host(h) {
		return s.result()
	}
	if len(t.wild) > 0 {
		name := x.Host
		for {
			i := strings.IndexByte(name, '.')
			if i < 0 {
				break
			}
			name = name[i+1:]
			if h := t.wild[name]; h != nil && s.host(h) {
				return s.result()
			}
		}
	}
	s.host(t.any)
	return s.result()
}

func (s *search) result() Result {
	if s.found == nil {
		slices.Sort(s.allow)
		return Result{Route: -1, Allow: slices.Compact(s.allow)}
	}
	s.x.Params = s.x.Params[:0]
	for i, name := range s.found.params {
		s.x.Params = append(s.x.Params, exchange.Param{Name: name, Value: decode(s.values[i], &s.x.Arena)})
	}
	return Result{Route: s.found.index}
}

// host tries the paths of h in order of precedence.
func (s *search) host(h *host) bool {
	if s.try(h.exact.get(s.path)) {
		return true
	}
	if h.template != nil && strings.HasPrefix(s.path, "/") && s.template(h.template, s.path[1:]) {
		return true
	}
	for i := range h.regexes {
		if e := &h.regexes[i]; e.re.MatchString(s.path) && s.try(e.rules) {
			return true
		}
	}
	return s.prefix(h) || s.try(h.all)
}

// template matches the segments of path below n, best first.
func (s *search) template(n *node, path string) bool {
	part, after, more := strings.Cut(path, "/")
	if next := n.next[part]; next != nil && s.below(next, after, more) {
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
		s.count++
		if s.try(n.rest) {
			return true
		}
		s.count--
	}
	return false
}

func (s *search) below(n *node, path string, more bool) bool {
	if more {
		return s.template(n, path)
	}
	return s.try(n.end)
}

// prefix tries the prefixes of the path, longest first.
func (s *search) prefix(h *host) bool {
	if h.prefixes.few == nil && h.prefixes.many == nil {
		return false
	}
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

// try takes the first rule that holds. Bodies are looked at last: only if no
// cheaper rule of a better rank holds.
func (s *search) try(rules []*rule) bool {
	for _, u := range rules {
		if s.holds(u) {
			s.found = u
			return true
		}
	}
	return false
}

func (s *search) holds(u *rule) bool {
	if len(u.listeners) > 0 && (s.x.Conn == nil || !slices.Contains(u.listeners, s.x.Conn.Listener.Name)) {
		return false
	}
	for i := range u.plain {
		if !u.plain[i].Match(s.x) {
			return false
		}
	}
	if len(u.methods) > 0 && !slices.Contains(u.methods, s.x.Request.Method) {
		if len(u.body) == 0 {
			s.allow = append(s.allow, u.methods...)
		}
		return false
	}
	for i := range u.body {
		if !u.body[i].Match(s.x) {
			return false
		}
	}
	return true
}
