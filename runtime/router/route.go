package router

import (
	"cmp"
	"slices"
	"strconv"
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

// ConflictError is two routes that only their names tell apart, on one host: ""
// for any. A comes before B in the list.
type ConflictError struct {
	A, B int
	Host string
}

// Error implements error.
func (e *ConflictError) Error() string {
	return "two routes match the same requests and none comes first"
}

// rule is a compiled route, less its hosts and its path.
type rule struct {
	index      int
	name       string
	listeners  []string
	methods    []string    // with HEAD where GET is
	conditions []Condition // those that need the body last
	params     []string
	priority   int
}

func newRule(index int, r *Route, params []string) *rule {
	u := &rule{index: index, name: r.Name, listeners: r.Listeners, methods: r.Methods, conditions: r.Conditions, params: params, priority: r.Priority}
	if slices.Contains(u.methods, "GET") && !slices.Contains(u.methods, "HEAD") {
		u.methods = append(slices.Clone(u.methods), "HEAD")
	}
	if slices.ContainsFunc(u.conditions, func(c Condition) bool { return c.NeedsBody }) {
		u.conditions = slices.Clone(u.conditions)
		slices.SortStableFunc(u.conditions, func(a, b Condition) int { return flag(b.NeedsBody, a.NeedsBody) })
	}
	return u
}

// compare is the precedence among routes of one host and path.
func (u *rule) compare(v *rule) int {
	return cmp.Or(
		flag(len(u.methods) > 0, len(v.methods) > 0),
		flag(len(u.listeners) > 0, len(v.listeners) > 0),
		cmp.Compare(len(v.conditions), len(u.conditions)),
		cmp.Compare(v.priority, u.priority),
		strings.Compare(u.name, v.name),
		cmp.Compare(u.index, v.index),
	)
}

// flag puts what is true first.
func flag(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// signature is all that tells a route from another on the same host and path,
// but for the name.
func (u *rule) signature() string {
	keys := make([]string, len(u.conditions))
	for i, c := range u.conditions {
		keys[i] = c.Key
	}
	var b strings.Builder
	for _, list := range [][]string{slices.Clone(u.listeners), slices.Clone(u.methods), keys} {
		slices.Sort(list)
		for _, s := range slices.Compact(list) {
			b.WriteString(strconv.Quote(s))
		}
		b.WriteByte(' ')
	}
	b.WriteString(strconv.Itoa(len(keys)))
	b.WriteByte(' ')
	b.WriteString(strconv.Itoa(u.priority))
	return b.String()
}
