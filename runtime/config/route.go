package config

import (
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/headgate/headgate/runtime/exchange"
)

// defaultBuffer is what a route reads ahead of a body.
const defaultBuffer = 1 << 20

// Route is a route block, or one instance of it.
type Route struct {
	Name      string
	Listeners []Ref
	Hosts     []string
	// At most one of Path, PathPrefix and PathRegex is not "".
	Path, PathPrefix, PathRegex string
	Methods                     []string
	Priority                    int
	Match                       []Condition
	Use                         []Ref
	Filters                     []*Filter
	Timeout                     time.Duration
	Buffer                      int64
	// MaxBody bounds the body: 0 is no limit, and -1 the gateway's limit.
	MaxBody int64

	// Exactly one of Split, Redirect and Respond is set; a single upstream is a
	// Split of one.
	Split           []Target
	Redirect        *Redirect
	Respond         *Respond
	Rewrite         *Rewrite
	Mirror          *Mirror // nil: none
	RequestHeaders  []HeaderEdit
	ResponseHeaders []HeaderEdit

	Range, PathRange hcl.Range

	broken bool // something of it was reported
}

func (l *loader) decodeRoute(b block) {
	before := l.diags.Errors()
	s := l.read(b, routeSchema)
	r := &Route{Name: b.id, Range: b.DefRange, PathRange: b.DefRange, Buffer: defaultBuffer, MaxBody: -1}
	r.Listeners = s.refs("listeners", "listener")
	s.hosts(r)
	opt := s.routePath(r)
	s.methods(r)
	s.shown("hosts", "path", "path_prefix", "path_regex", "methods")
	s.number("priority", &r.Priority, -1<<31, 1<<31-1)
	s.duration("timeout", &r.Timeout)
	s.size("buffer", &r.Buffer)
	s.size("max_body", &r.MaxBody)
	opt.buffer = r.Buffer
	if n, ok := s.one("match"); ok {
		r.Match = l.decodeMatch(n, r.Buffer)
	}
	r.Use = s.refs("use", "chain")
	r.Filters = s.filters(opt)
	s.action(r, opt)
	if n, ok := s.one("rewrite"); ok {
		r.Rewrite = l.decodeRewrite(n, opt)
	}
	if n, ok := s.one("request_headers"); ok {
		r.RequestHeaders = l.decodeHeaderEdits(n, opt)
	}
	if n, ok := s.one("response_headers"); ok {
		opt.response = true
		r.ResponseHeaders = l.decodeHeaderEdits(n, opt)
	}
	if n, ok := s.one("mirror"); ok {
		r.Mirror = l.decodeMirror(n, r)
	}
	r.broken = l.diags.Errors() > before
	l.cfg.Routes = append(l.cfg.Routes, r)
}

// routePath decodes the path and returns what expressions of the route see.
func (s *section) routePath(r *Route) exprScope {
	s.text("path", &r.Path, "/orders/{id}")
	s.text("path_prefix", &r.PathPrefix, "/orders")
	s.text("path_regex", &r.PathRegex, "/orders/[0-9]+")
	first := ""
	for _, name := range []string{"path", "path_prefix", "path_regex"} {
		a := s.attrs[name]
		switch {
		case a == nil:
			continue
		case first != "":
			s.l.diags.twice(a.rng, s.attrs[first].rng, "Conflicting arguments", "A route has at most one of path, path_prefix and path_regex; this one has %s already.", first)
			continue
		}
		first = name
		r.PathRange = a.expr.Range()
	}
	for name, p := range map[string]string{"path": r.Path, "path_prefix": r.PathPrefix, "path_regex": r.PathRegex} {
		switch {
		case p == "" && s.has(name) && !s.l.unsure():
			s.l.diags.errorf(s.rangeOf(name), "Invalid path", "route.%s is empty. Leave it out to match every path.", name)
		case p != "" && p[0] != '/' && name != "path_regex":
			s.l.diags.errorf(s.rangeOf(name), "Invalid path", "A path starts with \"/\". Write for example: %s = %q", name, "/"+p)
		}
	}
	opt := exprScope{params: map[string]bool{}}
	if r.PathPrefix != "" || r.PathRegex != "" || r.Path == "" {
		opt.noPath = "The route has no path with variables. Write for example: path = \"/orders/{id}\""
		return opt
	}
	for _, m := range variablePattern.FindAllStringSubmatch(r.Path, -1) {
		opt.params[m[1]] = m[2] != ""
	}
	return opt
}

var variablePattern = regexp.MustCompile(`\{([^{}/.]+)(\.\.\.)?\}`)

func (s *section) hosts(r *Route) {
	if !s.list("hosts", &r.Hosts, `["api.example.com"]`) {
		return
	}
	for i, h := range r.Hosts {
		bare := strings.TrimPrefix(h, "*.")
		if bare == "" || strings.ContainsAny(bare, "*/ \t@?#") || strings.Contains(h, "://") {
			s.l.diags.errorf(s.itemRange("hosts", i), "Invalid host", "%q is not a host name. Write for example: \"api.example.com\" or \"*.example.com\"", h)
		}
	}
}

func (s *section) methods(r *Route) {
	if !s.list("methods", &r.Methods, `["GET"]`) {
		return
	}
	for i, m := range r.Methods {
		switch upper := strings.ToUpper(m); {
		case !exchange.ValidName(m):
			s.l.diags.errorf(s.itemRange("methods", i), "Invalid method", "%q can't be a method. Write for example: \"GET\"", m)
		case m != upper && isMethod(upper):
			s.l.diags.errorf(s.itemRange("methods", i), "Invalid method", "Methods are case-sensitive. Did you mean %q?", upper)
		}
	}
}

func isMethod(m string) bool {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH":
		return true
	}
	return false
}
