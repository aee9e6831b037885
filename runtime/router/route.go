package router

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// Route is what must hold for a request to match.
type Route struct {
	Name string
	// Listeners are names of listeners; none means any.
	Listeners []string
	// Hosts are names, or "*.name" for one or more labels before name; none
	// means any.
	Hosts []string
	Path  Pattern
	// Methods are as sent; none means any; GET includes HEAD.
	Methods    []string
	Conditions []Condition
	Priority   int
}

// PatternKind is how a path is compared.
type PatternKind uint8

// The kinds of patterns.
const (
	Any    PatternKind = iota // every path
	Exact                     // the path, with {name} and {name...} segments
	Prefix                    // the path and what is below it, by whole segments
	Regex                     // RE2, anchored at both ends
)

// Pattern is a path pattern.
type Pattern struct {
	Kind PatternKind
	Text string
}

// Condition is a predicate on a request.
type Condition struct {
	// Key says what is asked, the same for the same question.
	Key   string
	Match func(*exchange.Exchange) bool
	// NeedsBody conditions are asked after all others.
	NeedsBody bool
}

// PatternError is a route whose pattern or host is not valid.
type PatternError struct {
	Route  int
	Detail string
}

// Error implements error.
func (e *PatternError) Error() string { return e.Detail }

// ConflictError is two routes that only their names tell apart.
type ConflictError struct {
	A, B int
	Host string
}

// Error implements error.
func (e *ConflictError) Error() string {
	return "two routes match the same requests and none comes first"
}

// rule is a compiled route.
type rule struct {
	index     int
	listeners []string
	methods   []string // with HEAD where GET is
	given     []string // as configured, for Allow
	plain     []Condition
	body      []Condition
	params    []string
	rank      rank
}

// rank is the precedence among routes of one host and path.
type rank struct {
	methods, listeners bool
	conditions         int
	priority           int
	name               string
}

func (a rank) compare(b rank) int {
	flag := func(x, y bool) int {
		switch {
		case x == y:
			return 0
		case x:
			return -1
		}
		return 1
	}
	if c := flag(a.methods, b.methods); c != 0 {
		return c
	}
	if c := flag(a.listeners, b.listeners); c != 0 {
		return c
	}
	if a.conditions != b.conditions {
		return b.conditions - a.conditions
	}
	if a.priority != b.priority {
		return b.priority - a.priority
	}
	return strings.Compare(a.name, b.name)
}

// maxParams bounds the variables of one template, and with them the work of
// matching.
const maxParams = 16

// segment is a part of a template between slashes.
type segment struct {
	text string // literal, or the name of a variable
	kind segmentKind
}

type segmentKind uint8

const (
	literal segmentKind = iota
	param
	rest
)

// parseTemplate splits the pattern of an Exact path.
func parseTemplate(text string) ([]segment, error) {
	if !strings.HasPrefix(text, "/") {
		return nil, fmt.Errorf("a path starts with /")
	}
	var list []segment
	seen := map[string]bool{}
	parts := strings.Split(text[1:], "/")
	for i, p := range parts {
		if !strings.ContainsAny(p, "{}") {
			list = append(list, segment{text: p})
			continue
		}
		name, ok := strings.CutPrefix(p, "{")
		name, ok2 := strings.CutSuffix(name, "}")
		kind := param
		if n, more := strings.CutSuffix(name, "..."); more {
			name, kind = n, rest
		}
		switch {
		case !ok || !ok2 || !identifier(name):
			return nil, fmt.Errorf("%q is not a variable: write {name} or {name...} as a whole segment", p)
		case seen[name]:
			return nil, fmt.Errorf("the variable %q stands twice in the path", name)
		case kind == rest && i != len(parts)-1:
			return nil, fmt.Errorf("{%s...} takes the rest of the path, so it is the last segment", name)
		case len(seen) == maxParams:
			return nil, fmt.Errorf("a path has at most %d variables", maxParams)
		}
		seen[name] = true
		list = append(list, segment{text: name, kind: kind})
	}
	return list, nil
}

func identifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || i > 0 && ('0' <= c && c <= '9' || c == '-')) {
			return false
		}
	}
	return s != ""
}

// Params returns the names of the variables of a path template.
func Params(template string) []string {
	segments, err := parseTemplate(template)
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range segments {
		if s.kind != literal {
			names = append(names, s.text)
		}
	}
	return names
}

// normalise returns the pattern as it is compared: literal parts normalised as
// request paths are.
func (p Pattern) normalise() (Pattern, []segment, *regexp.Regexp, error) {
	switch p.Kind {
	case Exact:
		segments, err := parseTemplate(p.Text)
		if err != nil {
			return p, nil, nil, err
		}
		// Braces are put back after normalising, which would refuse nothing here
		// but must see whole literal segments.
		plain := make([]string, len(segments))
		for i, s := range segments {
			plain[i] = s.text
			if s.kind != literal {
				plain[i] = "x"
			}
		}
		path := "/" + strings.Join(plain, "/")
		clean, err := NormalizePath(nil, path)
		if err != nil {
			return p, nil, nil, err
		}
		parts := strings.Split(clean[1:], "/")
		if len(parts) != len(segments) {
			return p, nil, nil, fmt.Errorf("requests for %q arrive as %q: write that", path, clean)
		}
		for i := range segments {
			if segments[i].kind == literal {
				segments[i].text = parts[i]
			}
		}
		return p, segments, nil, nil
	case Prefix:
		if !strings.HasPrefix(p.Text, "/") {
			return p, nil, nil, fmt.Errorf("a path starts with /")
		}
		if strings.ContainsAny(p.Text, "{}") {
			return p, nil, nil, fmt.Errorf("path_prefix has no variables: use path with a last segment {name...}")
		}
		clean, err := NormalizePath(nil, p.Text)
		p.Text = strings.TrimSuffix(clean, "/")
		return p, nil, nil, err
	case Regex:
		re, err := regexp.Compile("^(?:" + p.Text + ")$")
		if err != nil {
			return p, nil, nil, fmt.Errorf("the expression is not valid RE2: %w", err)
		}
		return p, nil, re, nil
	}
	return p, nil, nil, nil
}

// key is the pattern with the names of variables left out.
func (p Pattern) key(segments []segment) string {
	if p.Kind != Exact {
		return string(rune('0'+p.Kind)) + p.Text
	}
	var b strings.Builder
	b.WriteByte('0' + byte(Exact))
	for _, s := range segments {
		b.WriteByte('/')
		switch s.kind {
		case literal:
			b.WriteString(s.text)
		case param:
			b.WriteString("{}")
		case rest:
			b.WriteString("{...}")
		}
	}
	return b.String()
}

func newRule(index int, r *Route, params []string) *rule {
	u := &rule{index: index, listeners: r.Listeners, given: r.Methods, params: params}
	u.methods = slices.Clone(r.Methods)
	if slices.Contains(u.methods, "GET") && !slices.Contains(u.methods, "HEAD") {
		u.methods = append(u.methods, "HEAD")
	}
	for _, c := range r.Conditions {
		if c.NeedsBody {
			u.body = append(u.body, c)
		} else {
			u.plain = append(u.plain, c)
		}
	}
	u.rank = rank{len(r.Methods) > 0, len(r.Listeners) > 0, len(r.Conditions), r.Priority, r.Name}
	return u
}
