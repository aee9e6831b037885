package router_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/router"
)

// candidate is a route that matches a request, but for its method, by one of its
// hosts.
type candidate struct {
	route  *router.Route
	host   string
	params string
	fits   bool
}

// reference looks a request up as the manual tells it: every route in turn.
func reference(routes []router.Route, x *exchange.Exchange) string {
	var best *candidate
	var allow []string
	for i := range routes {
		r := &routes[i]
		params, ok := matchPath(r.Path, x.Request.Path)
		if !ok || len(r.Listeners) > 0 && !slices.Contains(r.Listeners, x.Conn.Listener.Name) {
			continue
		}
		fits := len(r.Methods) == 0 || slices.Contains(r.Methods, x.Request.Method) ||
			x.Request.Method == "HEAD" && slices.Contains(r.Methods, "GET")
		// Of a request with the wrong method no body is read.
		if slices.ContainsFunc(r.Conditions, func(c router.Condition) bool { return (fits || !c.NeedsBody) && !c.Match(x) }) {
			continue
		}
		for _, h := range hostsOf(r) {
			if h != "" && h != x.Host && (!strings.HasPrefix(h, "*.") || !strings.HasSuffix(x.Host, h[1:])) {
				continue
			}
			if !fits {
				allow = append(allow, r.Methods...)
				if slices.Contains(r.Methods, "GET") {
					allow = append(allow, "HEAD")
				}
				continue
			}
			c := &candidate{r, h, params, fits}
			if best == nil || c.before(best) {
				best = c
			}
		}
	}
	if best != nil {
		return best.route.Name + best.params
	}
	if len(allow) > 0 {
		slices.Sort(allow)
		return "405 " + strings.Join(slices.Compact(allow), ",")
	}
	return "404"
}

func hostsOf(r *router.Route) []string {
	if len(r.Hosts) == 0 {
		return []string{""}
	}
	return r.Hosts
}

func matchPath(p router.Pattern, path string) (params string, ok bool) {
	switch p.Kind {
	case router.Prefix:
		base := strings.TrimSuffix(p.Text, "/")
		return "", path == base || strings.HasPrefix(path, base+"/")
	case router.Regex:
		return "", regexp.MustCompile("^(" + p.Text + ")$").MatchString(path)
	case router.Exact:
		want, have := strings.Split(p.Text, "/"), strings.Split(path, "/")
		for i, w := range want {
			switch {
			case i >= len(have):
				return "", false
			case strings.HasSuffix(w, "...}"):
				return params + fmt.Sprintf(" %s=%q", w[1:len(w)-4], strings.Join(have[i:], "/")), true
			case strings.HasPrefix(w, "{"):
				if have[i] == "" {
					return "", false
				}
				params += fmt.Sprintf(" %s=%q", w[1:len(w)-1], have[i])
			case w != have[i]:
				return "", false
			}
		}
		return params, len(want) == len(have)
	}
	return "", true
}

func (a *candidate) before(b *candidate) bool {
	c := cmp.Or(hostRank(b.host)-hostRank(a.host), pathRank(b.route.Path)-pathRank(a.route.Path))
	if c == 0 && a.route.Path.Kind == router.Exact {
		x, y := strings.Split(a.route.Path.Text, "/"), strings.Split(b.route.Path.Text, "/")
		for i := range min(len(x), len(y)) {
			if c == 0 {
				c = segmentRank(x[i]) - segmentRank(y[i])
			}
		}
	}
	given := func(list []string) int { return min(len(list), 1) }
	return cmp.Or(c, given(b.route.Methods)-given(a.route.Methods), given(b.route.Listeners)-given(a.route.Listeners),
		len(b.route.Conditions)-len(a.route.Conditions), b.route.Priority-a.route.Priority, strings.Compare(a.route.Name, b.route.Name)) < 0
}

// Ranks: more is better, but for segments.
func hostRank(h string) int {
	switch {
	case h == "":
		return 0
	case h[0] == '*':
		return len(h)
	}
	return 1000
}

func pathRank(p router.Pattern) int {
	switch {
	case p.Kind == router.Exact && !strings.Contains(p.Text, "{"):
		return 4000
	case p.Kind == router.Exact:
		return 3000
	case p.Kind == router.Regex:
		return 2000 + len(p.Text)
	case p.Kind == router.Prefix:
		return 1000 + len(strings.TrimSuffix(p.Text, "/"))
	}
	return 0
}

func segmentRank(s string) int {
	switch {
	case strings.HasSuffix(s, "...}"):
		return 2
	case strings.HasPrefix(s, "{"):
		return 1
	}
	return 0
}

// The alphabets are small, so that routes meet.
var (
	someHosts   = []string{"a.x", "b.a.x", "x", "*.x", "*.a.x", "*.b.a.x"}
	someSegment = []string{"a", "b", "cc"}
	someRegexes = []string{"/a.*", "/.*b", "/[ab]/.*", "/.*/cc", ".*"}
	someMethods = []string{"GET", "HEAD", "POST", "PUT"}
)

func one(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

// some returns up to n different values, and often none.
func some(r *rand.Rand, list []string, n int) []string {
	var out []string
	for range r.IntN(2*n) - n + 1 {
		if s := one(r, list); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func randomPattern(r *rand.Rand) router.Pattern {
	var b strings.Builder
	n := r.IntN(4)
	kind := []router.PatternKind{router.Any, router.Exact, router.Exact, router.Exact, router.Prefix, router.Regex}[r.IntN(6)]
	switch kind {
	case router.Any:
		return router.Pattern{}
	case router.Regex:
		return regex(one(r, someRegexes))
	}
	for i := range n {
		switch v := r.IntN(5); {
		case kind == router.Prefix || v < 3:
			b.WriteString("/" + one(r, someSegment))
		case v == 4 && i == n-1:
			b.WriteString("/{r...}")
		default:
			fmt.Fprintf(&b, "/{v%d}", i)
		}
	}
	if b.Len() == 0 || r.IntN(4) == 0 && !strings.HasSuffix(b.String(), "...}") {
		b.WriteByte('/')
	}
	return router.Pattern{Kind: kind, Text: b.String()}
}

func randomRoute(r *rand.Rand, name string) router.Route {
	route := router.Route{
		Name: name, Hosts: some(r, someHosts, 2), Path: randomPattern(r), Methods: some(r, someMethods, 2),
		Listeners: some(r, []string{"public", "internal"}, 1), Priority: r.IntN(2),
	}
	for _, key := range some(r, []string{"1", "2"}, 2) {
		c := when(key)
		c.NeedsBody = r.IntN(2) == 0
		route.Conditions = append(route.Conditions, c)
	}
	return route
}

func checkTable(t *testing.T, r *rand.Rand, size, requests int) {
	t.Helper()
	var routes []router.Route
	for i := range size {
		routes = append(routes, randomRoute(r, fmt.Sprintf("r%03d", r.IntN(1000)*1000+i)))
	}
	table, errs := router.Build(routes)
	if len(errs) > 0 { // conflicts: without the later of each two there are none
		drop := map[int]bool{}
		for _, err := range errs {
			var c *router.ConflictError
			if !errors.As(err, &c) {
				t.Fatal(err)
			}
			a, b := routes[c.A], routes[c.B]
			if matchRank(a) != matchRank(b) {
				t.Fatalf("no conflict: %+v and %+v", a, b)
			}
			drop[c.B] = true
		}
		var kept []router.Route
		for i := range routes {
			if !drop[i] {
				kept = append(kept, routes[i])
			}
		}
		routes = kept
		table = build(t, routes)
	}
	for i := range requests {
		var path strings.Builder
		for range r.IntN(5) {
			path.WriteString("/" + one(r, append(someSegment, "zz")))
		}
		if path.Len() == 0 || r.IntN(4) == 0 {
			path.WriteByte('/')
		}
		x := request(one(r, append(someMethods, "PATCH")), one(r, []string{"a.x", "b.a.x", "c.b.a.x", "x", "y", ""}), path.String())
		x.Conn.Listener.Name = one(r, []string{"public", "internal"})
		x.ID = one(r, []string{"", "1", "12"})
		want := reference(routes, x)
		if i%10 == 0 {
			checkFindings(t, routes, table, x)
		}
		if got := outcome(routes, table.Lookup(x), x); got != want {
			var text strings.Builder
			for _, r := range routes {
				fmt.Fprintf(&text, "%s %v %v %v %v %d conditions %d\n", r.Name, r.Hosts, r.Path, r.Methods, r.Listeners, len(r.Conditions), r.Priority)
			}
			t.Fatalf("%s %q %q on %s, id %q: %s, want %s\n%s", x.Request.Method, x.Host, x.Request.Path, x.Conn.Listener.Name, x.ID, got, want, text.String())
		}
	}
}

// checkFindings compares Explain with Lookup: the route that won fits, and if
// none did, none does.
func checkFindings(t *testing.T, routes []router.Route, table *router.Table, x *exchange.Exchange) {
	t.Helper()
	won := table.Lookup(x).Route
	for _, f := range router.Explain(routes, x) {
		if f.Fits() && won < 0 || f.Route == won && !f.Fits() {
			t.Fatalf("%s %q %q: route %d won, and %+v", x.Request.Method, x.Host, x.Request.Path, won, f)
		}
	}
}

// matchRank is what must be equal of two routes in conflict, hosts aside.
func matchRank(r router.Route) string {
	keys := []string{}
	for _, c := range r.Conditions {
		keys = append(keys, c.Key)
	}
	methods := slices.Clone(r.Methods)
	if slices.Contains(methods, "GET") && !slices.Contains(methods, "HEAD") {
		methods = append(methods, "HEAD")
	}
	slices.Sort(keys)
	slices.Sort(methods)
	text := r.Path.Text
	if r.Path.Kind == router.Prefix {
		text = strings.TrimSuffix(text, "/")
	}
	return fmt.Sprint(r.Path.Kind, text, methods, r.Listeners, keys, r.Priority)
}

// TestLookupAgainstReference compares Lookup with the slow way over random
// tables.
func TestLookupAgainstReference(t *testing.T) {
	tables := 1500
	if testing.Short() {
		tables = 200
	}
	for seed := range tables {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		checkTable(t, r, 1+r.IntN(60), 60)
	}
}

// FuzzLookup does the same with tables that the fuzzer seeks.
func FuzzLookup(f *testing.F) {
	f.Add(uint64(1), uint8(3))
	f.Add(uint64(2), uint8(200))
	f.Fuzz(func(t *testing.T, seed uint64, size uint8) {
		checkTable(t, rand.New(rand.NewPCG(seed, 2)), int(size), 20)
	})
}

// FuzzBuild takes any pattern and host: a table comes of it or an error, and
// what is built finds itself.
func FuzzBuild(f *testing.F) {
	for kind, s := range []string{"", "/a/{b}/{c...}", "/a/b/", "/a[0-9]+(b|c)"} {
		f.Add(uint8(kind), s, "*.example.com")
	}
	f.Add(uint8(1), "/caf\xc3\xa9/%2F", "[::1]")
	f.Fuzz(func(t *testing.T, kind uint8, text, host string) {
		p := router.Pattern{Kind: router.PatternKind(kind % 4), Text: text}
		table, errs := router.Build([]router.Route{{Name: "a", Hosts: []string{host}, Path: p}})
		if len(errs) > 0 {
			if table != nil {
				t.Fatal("a table in spite of errors")
			}
			return
		}
		name, err := router.NormalizeHost(strings.TrimPrefix(host, "*."), &exchange.Arena{})
		if err != nil || name == "" {
			t.Fatalf("host %q: %q, %v", host, name, err)
		}
		if strings.HasPrefix(host, "*.") {
			name = "a." + name
		}
		path := "/"
		if p.Kind == router.Exact || p.Kind == router.Prefix {
			path, err = router.NormalizePath(nil, regexp.MustCompile(`\{[^/]*\}`).ReplaceAllString(text, "v"))
			if err != nil {
				t.Fatalf("path %q: %v", text, err)
			}
		}
		x := request("GET", name, path)
		if r := table.Lookup(x); r.Route != 0 && p.Kind != router.Regex {
			t.Fatalf("%d %q of %q does not match %q of %q", p.Kind, text, host, path, name)
		}
	})
}
