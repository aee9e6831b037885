package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/headgate/headgate/runtime/exchange"
)

// Condition is one condition of a match block.
type Condition struct {
	// Key is what it says, in a form in which equal conditions are equal.
	Key string
	// Text is Key as it may be shown: without sensitive values.
	Text      string
	Match     func(*exchange.Exchange) bool
	NeedsBody bool
	Range     hcl.Range
}

// test is what a value is compared with. A value that is absent passes only
// present = false.
type test struct {
	key     string
	present bool // the value has to be there
	holds   func(exchange.Value) bool
}

func (t test) match(v exchange.Value) bool {
	if v.Kind == exchange.KindNull {
		return !t.present
	}
	return t.present && t.holds(v)
}

func (l *loader) decodeMatch(b block, buffer int64) []Condition {
	s := l.read(b, matchSchema)
	var out []Condition
	if nets := s.prefixes("remote_ip"); len(nets) > 0 {
		out = append(out, remoteCondition(nets, s.rangeOf("remote_ip")))
	} else if s.has("remote_ip") && !l.unsure() {
		l.diags.errorf(s.rangeOf("remote_ip"), "Invalid network", "match.remote_ip is empty: no request would match.")
	}
	for _, kind := range []string{"header", "query", "cookie", "json"} {
		for _, n := range s.labelled(kind) {
			if c, ok := l.decodeCondition(n, kind, buffer); ok {
				out = append(out, c)
			}
		}
	}
	return out
}

func remoteCondition(nets []netip.Prefix, rng hcl.Range) Condition {
	texts := make([]string, len(nets))
	for i, n := range nets {
		texts[i] = n.String()
	}
	slices.Sort(texts)
	key := "remote_ip " + strings.Join(texts, ",")
	return Condition{
		Key: key, Text: key, Range: rng,
		Match: func(x *exchange.Exchange) bool {
			for _, n := range nets {
				if n.Contains(x.RemoteIP) {
					return true
				}
			}
			return false
		},
	}
}

func (l *loader) decodeCondition(b block, kind string, buffer int64) (Condition, bool) {
	name := b.Labels[0]
	s := l.read(b, conditionSchema)
	s.name = "match." + kind
	t, ok := s.test(kind == "json")
	if kind == "header" {
		if !exchange.ValidName(name) {
			l.diags.errorf(b.LabelRanges[0], "Invalid header name", "%q can't be the name of a header: use letters, digits and \"-\".", name)
			return Condition{}, false
		}
		name = strings.ToLower(name)
	}
	c := Condition{Key: fmt.Sprintf("%s %q %s", kind, name, t.key), Range: b.DefRange, NeedsBody: kind == "json"}
	c.Text = c.Key
	for _, a := range s.attrs {
		if a.sensitive {
			c.Text = fmt.Sprintf("%s %q %s (sensitive)", kind, name, a.name)
		}
	}
	text := func(get func(*exchange.Exchange) (string, bool)) func(*exchange.Exchange) bool {
		return func(x *exchange.Exchange) bool {
			if v, ok := get(x); ok {
				return t.match(exchange.Text(v))
			}
			return t.match(exchange.Value{})
		}
	}
	switch kind {
	case "header":
		c.Match = text(func(x *exchange.Exchange) (string, bool) {
			v, ok := x.Request.Head.Get(name)
			return exchange.String(v), ok
		})
	case "query":
		c.Match = text(func(x *exchange.Exchange) (string, bool) { return queryValue(x, name) })
	case "cookie":
		c.Match = text(func(x *exchange.Exchange) (string, bool) { return x.Request.Cookie(name) })
	case "json":
		c.Match = func(x *exchange.Exchange) bool {
			// A body that is larger than the buffer, or broken, does not match;
			// a broken one fails again where it is forwarded.
			r, err := jsonResult(x, name, buffer, false)
			return err == nil && t.match(fromResult(r))
		}
	}
	return c, ok
}

// test decodes the one comparison of a condition.
func (s *section) test(typed bool) (test, bool) {
	names := []string{"equals", "not", "prefix", "suffix", "contains", "regex", "present"}
	var op string
	for _, n := range names {
		switch {
		case !s.has(n):
		case op != "":
			s.l.diags.twice(s.attrs[n].rng, s.attrs[op].rng, "Conflicting arguments", "A condition has one of %s; this one has %s already.", strings.Join(names, ", "), op)
			return test{}, false
		default:
			op = n
		}
	}
	switch op {
	case "":
		s.l.diags.errorf(s.rng, "Empty condition", "A condition has one of %s. Write for example: equals = \"1\"", strings.Join(names, ", "))
		return test{}, false
	case "present":
		t := test{present: true, holds: func(exchange.Value) bool { return true }}
		ok := s.flag("present", &t.present)
		t.key = fmt.Sprintf("present %v", t.present)
		return t, ok
	case "equals", "not":
		return s.equalsTest(op, typed)
	}
	var want string
	if !s.text(op, &want, "...") {
		return test{}, false
	}
	t := test{present: true, key: fmt.Sprintf("%s %q", op, want)}
	compare := map[string]func(s, part string) bool{"prefix": strings.HasPrefix, "suffix": strings.HasSuffix, "contains": strings.Contains}[op]
	if op == "regex" {
		// Anchored, as path_regex is: a pattern that is found somewhere in a
		// value is a hole in an allow list. contains is for parts.
		_, err := regexp.Compile(want) // alone, so that no bracket of its own ends ours
		var re *regexp.Regexp
		if err == nil {
			re, err = regexp.Compile(`\A(?:` + want + `)\z`)
		}
		if err != nil {
			s.l.diags.errorf(s.rangeOf(op), "Invalid regular expression", "The pattern is not valid: %s.", regexReason(err))
			return test{}, false
		}
		compare = func(s, _ string) bool { return re.MatchString(s) }
	}
	t.holds = func(v exchange.Value) bool { return v.Kind == exchange.KindString && compare(v.Text, want) }
	return t, true
}

// equalsTest compares without conversion; only JSON has other types than text.
func (s *section) equalsTest(op string, typed bool) (test, bool) {
	v, ok := s.value(op, cty.DynamicPseudoType, `"1"`)
	if !ok {
		return test{}, false
	}
	want := valueOf(v)
	switch {
	case want.Kind == exchange.KindJSON:
		s.l.diags.errorf(s.rangeOf(op), "Wrong type", "%s.%s takes a string. Write for example: %s = \"1\"", s.name, op, op)
		return test{}, false
	case !typed && want.Kind != exchange.KindString:
		if !s.text(op, &want.Text, "1") {
			return test{}, false
		}
		want.Kind = exchange.KindString
	}
	key := fmt.Sprintf("%q", want.Text)
	if want.Kind != exchange.KindString {
		key = fmt.Sprint(plain(want))
	}
	return test{
		present: true, key: op + " " + key,
		holds: func(v exchange.Value) bool { return equal(v, want) == (op == "equals") },
	}, true
}
