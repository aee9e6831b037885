package router

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

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

// pattern is a Pattern that was understood: its literal parts are normalised as
// the paths of requests are.
type pattern struct {
	kind     PatternKind
	text     string    // Prefix: without a last slash; Regex: as written; Exact without variables
	segments []segment // Exact with variables
	re       *regexp.Regexp
}

// segment is a part of a template between slashes.
type segment struct {
	text string // literal, or the name of a variable
	kind segmentKind
}

type segmentKind uint8

// The kinds of segments, best first.
const (
	literal segmentKind = iota
	param
	rest
)

// maxParams bounds the variables of one template.
const maxParams = 16

var errSlash = errors.New("a path starts with /")

// compile understands a pattern. Equal expressions share what is compiled.
func (p Pattern) compile(expressions map[string]*regexp.Regexp) (c pattern, err error) {
	c = pattern{kind: p.Kind, text: p.Text}
	switch p.Kind {
	case Exact:
		return c, c.template()
	case Prefix:
		if !strings.HasPrefix(p.Text, "/") {
			return c, errSlash
		}
		if strings.ContainsAny(p.Text, "{}") {
			return c, errors.New("path_prefix has no variables: use path with a last segment {name...}")
		}
		c.text, err = NormalizePath(nil, p.Text)
		c.text = strings.TrimSuffix(c.text, "/")
		return c, err
	case Regex:
		if c.re = expressions[p.Text]; c.re == nil {
			c.re, err = anchored(p.Text)
			expressions[p.Text] = c.re
		}
		return c, err
	}
	return c, nil
}

// anchored compiles an expression that must match all of a path. It is parsed
// by itself first: a ")" in it must not close our group.
func anchored(text string) (*regexp.Regexp, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err == nil {
		var re *regexp.Regexp
		if re, err = regexp.Compile(`\A(?:` + parsed.String() + `)\z`); err == nil {
			return re, nil
		}
	}
	return nil, fmt.Errorf("the expression is not valid RE2: %w", err)
}

// template takes an Exact pattern apart.
func (c *pattern) template() error {
	segments, variables, err := splitTemplate(c.text)
	if err != nil {
		return err
	}
	// A name stands for any segment while the literals are normalised.
	parts := make([]string, len(segments))
	for i, s := range segments {
		parts[i] = s.text
		if s.kind != literal {
			parts[i] = "x"
		}
	}
	path := "/" + strings.Join(parts, "/")
	clean, err := NormalizePath(nil, path)
	if err != nil {
		return err
	}
	if variables == 0 {
		c.text = clean
		return nil
	}
	if parts = strings.Split(clean[1:], "/"); len(parts) != len(segments) {
		return errors.New("a path with variables has no empty and no dot segments: requests arrive without them")
	}
	for i := range segments {
		if segments[i].kind == literal {
			segments[i].text = parts[i]
		}
	}
	c.segments = segments
	return nil
}

func splitTemplate(text string) (list []segment, variables int, err error) {
	if !strings.HasPrefix(text, "/") {
		return nil, 0, errSlash
	}
	seen := map[string]bool{}
	parts := strings.Split(text[1:], "/")
	for i, p := range parts {
		if !strings.ContainsAny(p, "{}") {
			list = append(list, segment{text: p})
			continue
		}
		name, open := strings.CutPrefix(p, "{")
		name, shut := strings.CutSuffix(name, "}")
		kind := param
		if n, ok := strings.CutSuffix(name, "..."); ok {
			name, kind = n, rest
		}
		switch {
		case !open || !shut || !identifier(name):
			return nil, 0, fmt.Errorf("%q is not a variable: write {name} or {name...} as a whole segment", p)
		case seen[name]:
			return nil, 0, fmt.Errorf("the variable %q stands twice in the path", name)
		case kind == rest && i != len(parts)-1:
			return nil, 0, fmt.Errorf("{%s...} takes the rest of the path, so it is the last segment", name)
		case len(seen) == maxParams:
			return nil, 0, fmt.Errorf("a path has at most %d variables", maxParams)
		}
		seen[name] = true
		list = append(list, segment{text: name, kind: kind})
	}
	return list, len(seen), nil
}

func identifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

// params are the names of the variables in their order.
func (c *pattern) params() []string {
	var names []string
	for _, s := range c.segments {
		if s.kind != literal {
			names = append(names, s.text)
		}
	}
	return names
}

// compare puts the pattern that wins first, as far as patterns decide.
func (c *pattern) compare(d *pattern) int {
	if n := c.class() - d.class(); n != 0 {
		return n
	}
	switch c.kind {
	case Exact:
		for i := range min(len(c.segments), len(d.segments)) {
			a, b := c.segments[i], d.segments[i]
			if a.kind != b.kind {
				return int(a.kind) - int(b.kind)
			}
			if a.kind == literal && a.text != b.text {
				return strings.Compare(a.text, b.text)
			}
		}
		if n := len(c.segments) - len(d.segments); n != 0 || len(c.segments) > 0 {
			return n
		}
		return strings.Compare(c.text, d.text)
	case Regex:
		return len(d.text) - len(c.text)
	case Prefix:
		if n := len(d.text) - len(c.text); n != 0 {
			return n
		}
		return strings.Compare(c.text, d.text)
	}
	return 0
}

func (c *pattern) class() int {
	switch {
	case c.kind == Exact && len(c.segments) == 0:
		return 0
	case c.kind == Exact:
		return 1
	case c.kind == Regex:
		return 2
	case c.kind == Prefix:
		return 3
	}
	return 4
}
