package policies

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

// cacheable are policies that read each part of the input.
var cacheable = []string{
	`import input.attributes.request.http as r

decision if { r.method in {"GET", "HEAD"}; not r.headers["x-role"] }`,
	`decision := {"allowed": input.parsed_path[0] == "a", "body": concat(",", input.parsed_path)}`,
	`decision := {"allowed": input.parsed_path[1] == "b", "headers": {"x": input.parsed_path[1]}}`,
	`decision := {"allowed": true, "headers": {"x-a": input.parsed_query.a}}`,
	`decision := {"allowed": true, "headers": {"x-n": sprintf("%d", [count(input.attributes.request.http.headers)])}}`,
	`decision := {"allowed": true, "headers": {"x-path": input.attributes.request.http.path, "x-h": input.attributes.request.http.headers[":path"]}}`,
	`decision := {"allowed": input.parsed_body.role == input.attributes.request.http.headers["x-role"], "body": "b"}`,
	`decision := {"allowed": true, "headers": {"x-b": input.attributes.request.http.body}}`,
	`decision := {"allowed": input.truncated_body == false, "http_status": 413}`,
	`decision := {"allowed": true, "headers": {"x-ip": input.attributes.source.address.socketAddress.address, "x-p": sprintf("%d", [input.attributes.source.address.socketAddress.portValue])}}`,
	`decision := {"allowed": true, "headers": {"x-r": input.headgate.route, "x-id": input.headgate.path.id, "x-ip": input.headgate.remote_ip}}`,
	`decision := {"allowed": true, "dynamic_metadata": {"all": input.headgate.auth}}`,
	`decision if { "admin" in input.headgate.auth.claims.roles }

decision if input.headgate.auth.claims.n > 2`,
	`decision := {"allowed": true, "headers": {"x-c": json.marshal(input.attributes.metadataContext.filterMetadata.geo)}}`,
	`decision := {"allowed": true, "headers": {"x-t": input.attributes.contextExtensions.tier}}`,
	`decision := {"allowed": true, "headers": {"x-a": object.get(input.attributes.request.http.headers, "x-role", "none"), "x-b": sprintf("%v", [object.get(input.parsed_query, "a", 7)])}}`,
	`decision := {"allowed": object.get(input.headgate.auth.claims, "n", 0) != 3, "body": object.get(input.headgate.path, "id", "")}`,
	`decision := {"allowed": true, "response_headers_to_add": {"x-s": input.attributes.request.http.size, "x-v": input.attributes.request.http.protocol}}`,
}

func randomRequest(r *rand.Rand) request {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	q := request{method: pick("GET", "POST", "HEAD"), target: pick("/", "/a", "/a/b", "/a/c", "/x", "/%61/b", "//a") + pick("", "", "?a=1", "?a=1&a=2", "?a=2&b", "?%61=1", "?b=1")}
	for range r.IntN(3) {
		q.headers = append(q.headers, pick("X-Role", "x-role", "x-other"), pick("admin", "", "reader", "a,b"))
	}
	if r.IntN(2) == 0 {
		q.headers = append(q.headers, "content-type", pick("application/json", "application/x-www-form-urlencoded", "text/plain"))
		q.body = pick(`{"role":"admin"}`, `{}`, `[1]`, "role=admin", "{")
		q.buffer = int64(10 + 100*r.IntN(2))
	}
	q.edit = func(x *exchange.Exchange) {
		x.Route = pick("orders", "users")
		if r.IntN(2) == 0 {
			x.Params = []exchange.Param{{Name: pick("id", "other"), Value: pick("1", "2")}}
		}
		if r.IntN(2) == 0 {
			x.Auth = exchange.Auth{Subject: pick("", "ada"), Consumer: pick("", "c")}
		}
		switch r.IntN(4) {
		case 0:
			x.Auth.Claims = map[string]any{}
		case 1:
			x.Auth.Claims = map[string]any{"roles": []any{pick("admin", "reader")}, "n": json.Number(pick("1", "3", "3.0"))}
		case 2:
			x.Auth.Claims = map[string]any{"roles": pick("admin", "reader"), "n": float64(r.IntN(4))}
		}
		if r.IntN(2) == 0 {
			x.Metadata = map[string]any{"geo": map[string]any{"country": pick("DE", "FR"), "n": nil}}
		}
		if r.IntN(4) == 0 {
			c := *x.Conn.Listener
			x.Conn = &exchange.Conn{Listener: &c}
		}
	}
	return q
}

// effect is all that a filter did to an exchange.
func effect(f exchange.Filter, x *exchange.Exchange) string {
	v := f.Request(x)
	if v == exchange.Continue {
		x.Response.Head.Reset(nil)
		f.Response(x)
	}
	meta, _ := json.Marshal(x.Metadata)
	return fmt.Sprintln(v, x.Response.Status, body(x), fieldsOf(&x.Response.Head), "|", fieldsOf(&x.Request.Head), x.Request.RawQuery, string(meta), x.Failure)
}

// TestCachedDecidesAlike: what the cache says never differs from what the policy
// says.
func TestCachedDecidesAlike(t *testing.T) {
	for i, src := range cacheable {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			p := compiled(t, "package t\n\n"+src+"\n")
			plain := compiled(t, "package t\n\n"+src+"\n")
			if p.program.Load().cache == nil {
				t.Fatal("not cacheable")
			}
			plain.program.Load().cache = nil
			tier := []map[string]string{{"tier": "gold"}, {"tier": "tin"}, nil}
			var with, without [3]exchange.Filter
			for i, e := range tier {
				with[i], without[i] = p.Filter(e), plain.Filter(e)
			}
			const n = 1500
			for seed := range uint64(n) {
				which := seed % 3
				// Two exchanges of the same seed are alike.
				a := effect(with[which], randomRequest(rand.New(rand.NewPCG(seed, 1))).exchange(t))
				b := effect(without[which], randomRequest(rand.New(rand.NewPCG(seed, 1))).exchange(t))
				if a != b {
					t.Fatalf("%s\nwith the cache: %swithout:        %s", src, a, b)
				}
			}
			if kept := p.program.Load().cache.len(); kept > n*9/10 || kept == 0 {
				t.Errorf("%d of %d requests left an entry: nothing is found again", kept, n)
			}
		})
	}
}

func (c *cache) len() int {
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].entries)
	}
	return n
}

func TestUncacheable(t *testing.T) {
	for src, why := range map[string]string{
		`decision if input.parsed_path[0] == "a"`:                                                               "",
		`decision if time.now_ns() > 0`:                                                                         "it can call time.now_ns",
		"unused if time.now_ns() > 0\n\ndecision if input.parsed_path":                                          "",
		"f(x) if rand.intn(x, 2) == 1\n\ndecision if f(input.parsed_path[0])":                                   "it can call rand.intn",
		"q.r if uuid.rfc4122(\"a\") == \"b\"\n\ndecision if { some n; data.t.q[n] == \"x\" }\n":                 "it can call uuid.rfc4122",
		`decision if { some k; input[k] }`:                                                                      "it uses input as a whole",
		`decision if input.attributes.request.http`:                                                             "it reads input.attributes.request.http.id",
		`decision if input.attributes.request.time`:                                                             "it reads input.attributes.request.time",
		`decision if input.attributes.metadataContext.filterMetadata.open_policy_agent.decision_id`:             "the decision id",
		`decision if input.attributes.metadataContext.filterMetadata.geo`:                                       "",
		`decision if io.jwt.decode_verify(input.attributes.request.http.headers.x, {"secret": "s"})[0]`:         "it can call io.jwt.decode_verify",
		"decision if p\n\np if input.parsed_path\n\nelse := 1 if opa.runtime().x":                               "it can call opa.runtime",
		`decision if [1 | http.send({"method": "get", "url": input.attributes.request.http.host}); true] != []`: "it can call http.send",
	} {
		p := compiled(t, "package t\n\n"+src+"\n", func(s *Spec, _ *Options) { s.Allow = Guarded() })
		got := p.Cost().Uncacheable
		if (got == "") != (why == "") || !strings.Contains(got, why) {
			t.Errorf("%s: %q, want %q", src, got, why)
		}
		if (p.program.Load().cache == nil) != (why != "") {
			t.Errorf("%s: cached: %v", src, p.program.Load().cache != nil)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache()
	small := &outcome{size: 1}
	for i := range 3 * cacheEntries {
		c.put([]byte(fmt.Sprint("key", i)), small)
	}
	if n := c.len(); n > cacheEntries || n < cacheEntries/2 {
		t.Errorf("%d entries", n)
	}
	big := &outcome{size: maxEntry - 100}
	for i := range 3 * cacheEntries {
		c.put([]byte(fmt.Sprint("big", i)), big)
	}
	total := 0
	for i := range c.shards {
		total += c.shards[i].bytes
	}
	if total > cacheBytes || c.len() == 0 {
		t.Errorf("%d bytes in %d entries", total, c.len())
	}
	c.put(make([]byte, maxEntry), big)
	if c.get(make([]byte, maxEntry)) != nil {
		t.Error("an entry that is too large was kept")
	}
}

func TestCacheForgetsTheOldest(t *testing.T) {
	c := newCache()
	out := &outcome{}
	c.put([]byte("used"), out)
	for i := range 4 * cacheEntries {
		c.put([]byte(fmt.Sprint(i)), out)
		if c.get([]byte("used")) == nil {
			t.Fatal("what is used all the time was forgotten after", i)
		}
	}
	if c.get([]byte("0")) != nil {
		t.Error("what is never used was kept")
	}
}

// TestCachedDecisionIsCheap: what a decision from the cache may allocate.
func TestCachedDecisionIsCheap(t *testing.T) {
	f := compiled(t, benchPolicy).Filter(nil)
	x := benchRequest().exchange(t)
	f.Request(x)
	if n := testing.AllocsPerRun(200, func() { f.Request(x) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func TestCachedDecisionsAreLogged(t *testing.T) {
	var log logged
	p := compiled(t, `package t

decision if input.parsed_path[0] == "a"
`, func(s *Spec, o *Options) { s.DecisionLog, o.Stdout = &LogSpec{Path: "stdout"}, &log })
	f := p.Filter(nil)
	for _, target := range []string{"/a/1", "/a/2", "/b"} {
		f.Request(request{target: target}.exchange(t))
	}
	p.Close()
	ids := map[string]bool{}
	d := json.NewDecoder(strings.NewReader(log.String()))
	for i, want := range []struct {
		segment string
		result  any
		hits    int64
	}{{"1", true, 0}, {"2", true, 1}, {"", nil, 0}} {
		var line struct {
			logLine
			Input struct {
				Path []string `json:"parsed_path"`
			} `json:"input"`
		}
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		ids[line.DecisionID] = true
		if want.segment != "" && line.Input.Path[1] != want.segment || line.Result != want.result || line.Metrics["counter_headgate_decision_cache_hit"] != want.hits {
			t.Errorf("line %d: %+v", i, line)
		}
	}
	if len(ids) != 3 {
		t.Errorf("decision ids %v", ids)
	}
}
