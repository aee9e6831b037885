package router

import (
	"cmp"
	"slices"
	"strings"
)

// Overlap is two routes of one host and path that may match the same request,
// where nothing but their names says who takes it: A does.
type Overlap struct{ A, B int }

// Overlaps returns pairs of routes that overlap, at most limit, in the order of
// the routes. It is for those who look at a table, not for those who serve it.
func (t *Table) Overlaps(limit int) []Overlap {
	var out []Overlap
	for _, rules := range t.shared {
		for i, a := range rules {
			for _, b := range rules[i+1:] {
				if !a.ties(b) || len(out) >= 4*limit {
					break
				}
				if a.meets(b) {
					out = append(out, Overlap{a.index, b.index})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b Overlap) int { return cmp.Or(cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B)) })
	out = slices.Compact(out) // which meet on several hosts
	return out[:min(len(out), limit)]
}

// ties reports whether u and v are alike in all that decides but their names.
func (u *rule) ties(v *rule) bool {
	return (len(u.methods) > 0) == (len(v.methods) > 0) && (len(u.listeners) > 0) == (len(v.listeners) > 0) &&
		len(u.conditions) == len(v.conditions) && u.priority == v.priority
}

// meets reports whether a request may match both u and v, as far as that can be
// told without one.
func (u *rule) meets(v *rule) bool {
	common := func(a, b []string) bool {
		return len(a) == 0 || slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
	}
	if !common(u.methods, v.methods) || !common(u.listeners, v.listeners) {
		return false
	}
	for _, a := range u.conditions {
		for _, b := range v.conditions {
			if a.excludes(b) {
				return false
			}
		}
	}
	return true
}

// excludes reports whether c and d ask for different values of the same, or one
// for a value and the other for none.
func (c Condition) excludes(d Condition) bool {
	if c.Key == d.Key {
		return false
	}
	subject := func(key, op string) (string, bool) {
		i := strings.Index(key, `" `+op)
		if i < 0 {
			return key, false
		}
		return key[:i], true
	}
	a, fixed := subject(c.Key, "equals ")
	b, alsoFixed := subject(d.Key, "equals ")
	if fixed && alsoFixed {
		return a == b
	}
	for _, pair := range [][2]string{{c.Key, d.Key}, {d.Key, c.Key}} {
		if absent, ok := subject(pair[0], "present false"); ok && strings.HasPrefix(pair[1], absent+`" `) {
			return true
		}
	}
	return false
}
