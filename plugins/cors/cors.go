// Package cors is a filter that lets pages of other origins use a route, as the
// Fetch standard describes it ("CORS protocol"). It answers preflight requests
// itself, so that backends need to know nothing of it.
package cors

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	headgate "github.com/headgate/headgate/sdk/go"
)

// Config is the configuration of the filter.
type Config struct {
	// Origins that may use the route: "https://app.example.com",
	// "https://*.example.com" for every name below, or "*" for all.
	Origins []string `headgate:"origins,required"`
	// Methods that may be used.
	Methods []string
	// Headers that a request may carry, "*" for any.
	Headers []string
	// Expose are the response headers that a page may read.
	Expose []string
	// Credentials lets cookies and authentication along.
	Credentials bool
	// MaxAge is how long a browser may remember the answer to a preflight.
	MaxAge time.Duration
}

// Defaults implements headgate.Defaulter.
func (c *Config) Defaults() {
	c.Methods = []string{"GET", "HEAD", "POST"}
	c.MaxAge = 10 * time.Minute
}

func init() { headgate.Register("cors", newFilter) }

type filter struct {
	any         bool
	exact       map[string]bool
	patterns    []pattern
	methods     map[string]bool
	anyHeader   bool
	headers     map[string]bool
	credentials bool

	// Header values, made once.
	methodList, exposeList, maxAge string
}

// pattern is an origin with a wildcard for at least one label.
type pattern struct{ before, after string }

func (p pattern) match(origin string) bool {
	mid, ok := strings.CutPrefix(origin, p.before)
	if !ok {
		return false
	}
	mid, ok = strings.CutSuffix(mid, p.after)
	return ok && mid != "" && !strings.ContainsAny(mid, "/:@") && mid[0] != '.'
}

func newFilter(c Config) (headgate.Filter, error) {
	f := &filter{
		exact: map[string]bool{}, methods: map[string]bool{}, headers: map[string]bool{},
		credentials: c.Credentials,
		methodList:  strings.Join(c.Methods, ", "), exposeList: strings.Join(c.Expose, ", "),
		maxAge: strconv.Itoa(int(c.MaxAge / time.Second)),
	}
	var errs []error
	for _, o := range c.Origins {
		errs = append(errs, f.allow(strings.ToLower(o)))
	}
	if len(c.Origins) == 0 {
		errs = append(errs, errors.New("origins is empty: nobody could use the route"))
	}
	if f.any && c.Credentials {
		errs = append(errs, errors.New(`credentials with origins = ["*"] would let every site act as the user: name the origins`))
	}
	if c.MaxAge < 0 {
		errs = append(errs, errors.New("max_age is negative"))
	}
	for _, m := range c.Methods {
		if !token(m) {
			errs = append(errs, fmt.Errorf("methods: %q is not a method", m))
		}
		f.methods[m] = true
	}
	for _, h := range c.Headers {
		if h == "*" {
			f.anyHeader = true
		} else if !token(h) {
			errs = append(errs, fmt.Errorf("headers: %q is not the name of a header", h))
		}
		f.headers[strings.ToLower(h)] = true
	}
	for _, h := range c.Expose {
		if !token(h) {
			errs = append(errs, fmt.Errorf("expose: %q is not the name of a header", h))
		}
		if h == "*" && c.Credentials {
			errs = append(errs, errors.New(`expose = ["*"] has no meaning with credentials: name the headers`))
		}
	}
	return f, errors.Join(errs...)
}

// allow adds an origin to the list.
func (f *filter) allow(o string) error {
	if o == "*" {
		f.any = true
		return nil
	}
	if o == "null" {
		return errors.New(`origins: "null" is the origin of any sandboxed page and can't be let in`)
	}
	scheme, host, ok := strings.Cut(o, "://")
	if !ok || scheme == "" || host == "" || strings.ContainsAny(host, "/?#@ ") {
		return fmt.Errorf(`origins: %q is not an origin such as "https://app.example.com"`, o)
	}
	switch before, after, wild := strings.Cut(o, "*"); {
	case !wild:
		f.exact[o] = true
	case strings.Contains(after, "*") || before != scheme+"://" || !strings.HasPrefix(after, ".") || len(after) < 2:
		return fmt.Errorf(`origins: in %q the * must stand for the first labels, as in "https://*.example.com"`, o)
	default:
		f.patterns = append(f.patterns, pattern{before, after})
	}
	return nil
}

func (f *filter) allowed(origin string) bool {
	if f.any || f.exact[origin] {
		return true
	}
	return slices.ContainsFunc(f.patterns, func(p pattern) bool { return p.match(origin) })
}

// Request answers a preflight. What is not one goes on, whatever its origin:
// browsers keep the answer from a page that may not see it.
func (f *filter) Request(x *headgate.Exchange) headgate.Verdict {
	origin := x.Header.Get("origin")
	x.State = origin
	if x.Method() != "OPTIONS" || origin == "" {
		return headgate.Continue
	}
	method := x.Header.Get("access-control-request-method")
	if method == "" {
		return headgate.Continue // an OPTIONS request of the page itself
	}
	h := x.Response.Header
	if !f.any || f.credentials {
		h.Add("vary", "Origin")
	}
	h.Add("vary", "Access-Control-Request-Method")
	h.Add("vary", "Access-Control-Request-Headers")
	requested := strings.Join(x.Header.Values("access-control-request-headers"), ",")
	switch {
	case !f.allowed(strings.ToLower(origin)):
		return x.Reply(403, "text/plain", "this origin may not use the resource\n")
	case !f.methods[method]:
		return x.Reply(403, "text/plain", "this method may not be used from another origin\n")
	case !f.headersAllowed(requested):
		return x.Reply(403, "text/plain", "one of the headers may not be sent from another origin\n")
	}
	f.grant(h, origin)
	h.Set("access-control-allow-methods", f.methodList)
	if requested != "" {
		h.Set("access-control-allow-headers", requested)
	}
	h.Set("access-control-max-age", f.maxAge)
	return x.Reply(204, "", "")
}

// headersAllowed takes the list of a preflight.
func (f *filter) headersAllowed(list string) bool {
	if list == "" {
		return true
	}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if !token(name) || !f.anyHeader && !f.headers[name] {
			return false
		}
	}
	return true
}

// Response tells the browser whether the page may see the response. What a
// backend says about it itself does not count.
func (f *filter) Response(x *headgate.Exchange) headgate.Verdict {
	h := x.Response.Header
	h.Del("access-control-allow-origin")
	h.Del("access-control-allow-credentials")
	h.Del("access-control-expose-headers")
	origin, _ := x.State.(string)
	if !f.any || f.credentials {
		vary(h)
	}
	if origin == "" || !f.allowed(strings.ToLower(origin)) {
		return headgate.Continue
	}
	f.grant(h, origin)
	if f.exposeList != "" {
		h.Set("access-control-expose-headers", f.exposeList)
	}
	return headgate.Continue
}

func (f *filter) grant(h headgate.Header, origin string) {
	if f.any && !f.credentials {
		origin = "*"
	}
	h.Set("access-control-allow-origin", origin)
	if f.credentials {
		h.Set("access-control-allow-credentials", "true")
	}
}

// vary tells caches that the response depends on the origin.
func vary(h headgate.Header) {
	for _, list := range h.Values("vary") {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "origin") {
				return
			}
		}
	}
	h.Add("vary", "Origin")
}

// token reports whether s is a token (RFC 9110 section 5.6.2).
func token(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
