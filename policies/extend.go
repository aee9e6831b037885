package policies

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/headgate/headgate/runtime/exchange"
)

// extension is what a decision says beyond OPA's Envoy plugin.
type extension struct {
	limits   []rateLimit
	upstream string
	rewrite  rewrite
	log      []exchange.Param
}

// rewrite changes where the request goes; "" leaves things alone.
type rewrite struct{ path, host string }

// decodeExtension reads the members that only the gateway knows.
func (d *decision) decodeExtension(name string, v *ast.Term) (err error) {
	switch name {
	case "rate_limits":
		d.limits, err = rateLimits(v)
	case "upstream":
		s, ok := v.Value.(ast.String)
		if !ok || s == "" {
			return wrong(name, "the name of an upstream", v)
		}
		d.upstream = string(s)
	case "rewrite":
		d.rewrite, err = rewriteOf(v)
	case "log":
		d.log, err = logFields(v)
	case "obligations":
		var list any
		if list, err = ast.JSON(v.Value); err != nil {
			return err
		}
		d.metadata = maps.Clone(d.metadata)
		if d.metadata == nil {
			d.metadata = map[string]any{}
		}
		d.metadata["obligations"] = list
	}
	return err
}

func rewriteOf(v *ast.Term) (rewrite, error) {
	var r rewrite
	o, ok := v.Value.(ast.Object)
	if !ok {
		return r, wrong("rewrite", "an object", v)
	}
	return r, o.Iter(func(k, v *ast.Term) error {
		name, _ := k.Value.(ast.String)
		s, ok := v.Value.(ast.String)
		if !ok {
			return wrong("rewrite."+string(name), "a string", v)
		}
		switch name {
		case "path":
			if !validPath(string(s)) {
				return fmt.Errorf("rewrite.path is %q, which is no path: it begins with / and has no byte that would have to be escaped", string(s))
			}
			r.path = string(s)
		case "host":
			if s == "" || strings.ContainsFunc(string(s), func(c rune) bool { return !hostByte(c) }) {
				return fmt.Errorf("rewrite.host is %q, which is no host", string(s))
			}
			r.host = string(s)
		default:
			return fmt.Errorf("rewrite has %s, but only path and host are known", k)
		}
		return nil
	})
}

// validPath accepts an absolute path in its normal form (RFC 3986 section 3.3):
// no dot segments, no empty segments but the last, and no separator in disguise.
func validPath(s string) bool {
	if s == "" || s[0] != '/' || strings.Contains(s, "//") {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) || s[i+1:i+3] == "00" || strings.EqualFold(s[i+1:i+3], "2e") {
				return false
			}
		case c <= ' ' || c >= 0x7f || strings.IndexByte("?#\\\"<>^`{|}", c) >= 0:
			return false
		}
	}
	for segment := range strings.SplitSeq(s, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func hostByte(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.ContainsRune("-._:[]", c)
}

// logFields reads an object of texts, numbers and booleans.
func logFields(v *ast.Term) ([]exchange.Param, error) {
	o, ok := v.Value.(ast.Object)
	if !ok {
		return nil, wrong("log", "an object", v)
	}
	var out []exchange.Param
	return out, o.Iter(func(k, v *ast.Term) error {
		name, ok := k.Value.(ast.String)
		if !ok {
			return wrong("log", "an object with string keys", k)
		}
		switch value := v.Value.(type) {
		case ast.String:
			out = append(out, exchange.Param{Name: string(name), Value: string(value)})
		case ast.Number, ast.Boolean:
			out = append(out, exchange.Param{Name: string(name), Value: value.String()})
		default:
			return wrong("log."+string(name), "a string, number or boolean", v)
		}
		return nil
	})
}

// rateLimit is one member of rate_limits.
type rateLimit struct {
	Limit
	name, key string
	cost      int64
}

func rateLimits(v *ast.Term) ([]rateLimit, error) {
	list, ok := v.Value.(interface {
		Iter(func(*ast.Term) error) error
	})
	if !ok {
		return nil, wrong("rate_limits", "a list", v)
	}
	var out []rateLimit
	return out, list.Iter(func(t *ast.Term) error {
		o, ok := t.Value.(ast.Object)
		if !ok {
			return wrong("rate_limits", "a list of objects", t)
		}
		l, err := rateLimitOf(o)
		if err != nil {
			return err
		}
		out = append(out, l)
		return nil
	})
}

func rateLimitOf(o ast.Object) (rateLimit, error) {
	l := rateLimit{cost: 1}
	rate := false
	err := o.Iter(func(k, v *ast.Term) (err error) {
		name, _ := k.Value.(ast.String)
		at := "rate_limits." + string(name)
		switch name {
		case "key":
			l.key, err = keyOf(at, v)
		case "rate":
			rate = true
			l.Events, l.Window, err = rateOf(at, v)
		case "burst":
			l.Burst, err = count(at, v, 1)
		case "cost":
			l.cost, err = count(at, v, 0)
		case "algorithm", "name":
			s, ok := v.Value.(ast.String)
			if !ok {
				return wrong(at, "a string", v)
			}
			if name == "name" {
				if l.name = string(s); !exchange.ValidName(l.name) {
					return fmt.Errorf("%s is %q, which is no name", at, l.name)
				}
				return nil
			}
			l.Algorithm = string(s)
			if s != "gcra" && s != "fixed_window" && s != "sliding_window" {
				return fmt.Errorf("%s is %q; gcra, fixed_window and sliding_window are known", at, string(s))
			}
		default:
			return fmt.Errorf("rate_limits has %s, which is not known", k)
		}
		return err
	})
	switch {
	case err != nil:
	case o.Get(keys.key) == nil:
		err = fmt.Errorf("rate_limits has a limit without a key")
	case !rate:
		err = fmt.Errorf("rate_limits has a limit without a rate")
	case float64(l.Window)/float64(l.Events)*float64(max(l.Burst, l.Events)) > math.MaxInt64/4:
		err = fmt.Errorf("rate_limits has a burst that takes too long at its rate")
	}
	return l, err
}

// keyOf accepts any value: a list such as [user, path] is as good a key as text.
func keyOf(at string, v *ast.Term) (string, error) {
	switch k := v.Value.(type) {
	case ast.String:
		return string(k), nil
	case ast.Null:
		return "", wrong(at, "a key", v)
	}
	return v.Value.String(), nil
}

// rateOf reads "100/1m", "10/s" or a number of events per second.
func rateOf(at string, v *ast.Term) (int64, time.Duration, error) {
	if n, ok := v.Value.(ast.Number); ok {
		i, ok := n.Int64()
		if !ok || i < 1 || i > maxEvents {
			return 0, 0, fmt.Errorf("%s is %s, which is no number of events per second", at, n)
		}
		return i, time.Second, nil
	}
	s, ok := v.Value.(ast.String)
	if !ok {
		return 0, 0, wrong(at, `a rate such as "100/1m"`, v)
	}
	events, span, _ := strings.Cut(string(s), "/")
	n, err := strconv.ParseInt(events, 10, 64)
	window := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[span]
	if window == 0 && err == nil {
		window, err = time.ParseDuration(span)
	}
	if err != nil || n < 1 || n > maxEvents || window < time.Millisecond || window > maxWindow {
		return 0, 0, fmt.Errorf("%s is %q, which is no rate; write for example 100/1m", at, string(s))
	}
	return n, window, nil
}

// The bounds of rates.
const (
	maxEvents = 1_000_000_000
	maxWindow = 366 * 24 * time.Hour
)

func count(at string, v *ast.Term, least int64) (int64, error) {
	n, ok := v.Value.(ast.Number)
	if !ok {
		return 0, wrong(at, "a number", v)
	}
	i, ok := n.Int64()
	if !ok || i < least || i > maxEvents {
		return 0, fmt.Errorf("%s is %s, which is no whole number from %d to %d", at, n, least, maxEvents)
	}
	return i, nil
}

// extend applies to an allowed exchange what only the gateway knows.
func (d *decision) extend(x *exchange.Exchange) {
	if d.rewrite.path != "" {
		x.Request.Path = d.rewrite.path
	}
	if d.rewrite.host != "" {
		x.Request.Authority = d.rewrite.host
	}
	if d.upstream != "" {
		x.Upstream = d.upstream
	}
}
