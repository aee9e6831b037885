package policies

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// taken is a Limiter that allows events of each key until they are used up.
type taken struct {
	used map[string]int64
	log  []string
}

func (t *taken) Take(scope, key string, l Limit, cost int64, _ time.Time) Limited {
	t.log = append(t.log, fmt.Sprintf("%s|%s|%+v|%d", scope, key, l, cost))
	if t.used[key]+cost > l.Events {
		return Limited{Wait: 1500 * time.Millisecond, Reset: time.Minute}
	}
	t.used[key] += cost
	return Limited{Allowed: true, Remaining: l.Events - t.used[key], Reset: time.Minute}
}

func TestExtensions(t *testing.T) {
	for _, tt := range []struct {
		name, rego string
		verdict    exchange.Verdict
		want       string // path host upstream fields metadata
		log        string
	}{
		{name: "upstream", rego: `{"allowed": true, "upstream": "blue"}`, want: "/ api.example.com:8080 blue [] null"},
		{name: "rewrite", rego: `{"allowed": true, "rewrite": {"path": "/v2/a%2Fb/", "host": "b.example:81"}}`, want: "/v2/a%2Fb/ b.example:81  [] null"},
		{name: "log", rego: `{"allowed": true, "log": {"tier": "gold", "n": 7, "ok": true}}`, want: "/ api.example.com:8080  [{n 7} {ok true} {tier gold}] null"},
		{name: "log of a denial", verdict: exchange.Reply, rego: `{"allowed": false, "log": {"why": "role"}}`, want: "/ api.example.com:8080  [{why role}] null"},
		{name: "nothing else of a denial", verdict: exchange.Reply, rego: `{"allowed": false, "upstream": "b", "rewrite": {"path": "/x"}}`, want: "/ api.example.com:8080  [] null"},
		{name: "obligations", rego: `{"allowed": true, "obligations": [{"mask": "ssn"}], "dynamic_metadata": {"a": 1}}`, want: `/ api.example.com:8080  [] {"t":{"a":1,"obligations":[{"mask":"ssn"}]}}`},
		{name: "wrong: upstream", rego: `{"allowed": true, "upstream": ["a"]}`, log: "upstream is not the name of an upstream but an array"},
		{name: "wrong: rewrite", rego: `{"allowed": true, "rewrite": "/x"}`, log: "rewrite is not an object but a string"},
		{name: "wrong: relative", rego: `{"allowed": true, "rewrite": {"path": "x"}}`, log: "which is no path"},
		{name: "wrong: dot segments", rego: `{"allowed": true, "rewrite": {"path": "/a/../admin"}}`, log: "which is no path"},
		{name: "wrong: hidden dot segments", rego: `{"allowed": true, "rewrite": {"path": "/a/%2e%2E/admin"}}`, log: "which is no path"},
		{name: "wrong: a query in the path", rego: `{"allowed": true, "rewrite": {"path": "/a?b"}}`, log: "which is no path"},
		{name: "wrong: a line in the path", rego: `{"allowed": true, "rewrite": {"path": "/a\r\nx: y"}}`, log: "which is no path"},
		{name: "wrong: host", rego: `{"allowed": true, "rewrite": {"host": "a b"}}`, log: "which is no host"},
		{name: "wrong: rewrite of what", rego: `{"allowed": true, "rewrite": {"method": "GET"}}`, log: "only path and host are known"},
		{name: "wrong: log", rego: `{"allowed": true, "log": ["x"]}`, log: "log is not an object"},
		{name: "wrong: log field", rego: `{"allowed": true, "log": {"x": [1]}}`, log: "log.x is not a string, number or boolean but an array"},
		{name: "wrong: limits", rego: `{"allowed": true, "rate_limits": {"key": "a"}}`, log: "rate_limits is not a list but an object"},
		{name: "wrong: limit", rego: `{"allowed": true, "rate_limits": ["a"]}`, log: "rate_limits is not a list of objects"},
		{name: "wrong: no key", rego: `{"allowed": true, "rate_limits": [{"rate": 1}]}`, log: "without a key"},
		{name: "wrong: null key", rego: `{"allowed": true, "rate_limits": [{"key": null, "rate": 1}]}`, log: "rate_limits.key is not a key but a null"},
		{name: "wrong: no rate", rego: `{"allowed": true, "rate_limits": [{"key": "a"}]}`, log: "without a rate"},
		{name: "wrong: rate", rego: `{"allowed": true, "rate_limits": [{"key": "a", "rate": "10"}]}`, log: "which is no rate"},
		{name: "wrong: zero rate", rego: `{"allowed": true, "rate_limits": [{"key": "a", "rate": 0}]}`, log: "no number of events per second"},
		{name: "wrong: burst", rego: `{"allowed": true, "rate_limits": [{"key": "a", "rate": 1, "burst": 0}]}`, log: "no whole number from 1"},
		{name: "wrong: days", rego: `{"allowed": true, "rate_limits": [{"key": "a", "rate": "1/366d"}]}`, log: "no rate"},
		{name: "wrong: long burst", rego: `{"allowed": true, "rate_limits": [{"key": "a", "rate": "1/8000h", "burst": 1000000000}]}`, log: "takes too long"},
		{name: "wrong: cost", rego: `{"allowed": true, "rate_limits": [{"key": "a", "rate": 1, "cost": -1}]}`, log: "no whole number from 0"},
		{name: "wrong: algorithm", rego: `{"allowed": true, "rate_limits": [{"key": "a", "rate": 1, "algorithm": "leaky"}]}`, log: "gcra, fixed_window and sliding_window are known"},
		{name: "wrong: name", rego: `{"allowed": true, "rate_limits": [{"key": "a", "rate": 1, "name": "a b"}]}`, log: "which is no name"},
		{name: "wrong: limit of what", rego: `{"allowed": true, "rate_limits": [{"key": "a", "rate": 1, "per": "s"}]}`, log: `"per", which is not known`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log logged
			p := compiled(t, "package t\n\ndecision := "+tt.rego+"\n", func(_ *Spec, o *Options) { o.Log, o.Limiter = log.logger(), &taken{} })
			x := request{}.exchange(t)
			v := p.Filter(nil).Request(x)
			if tt.log != "" {
				if v != exchange.Reply || x.Response.Status != 403 || !strings.Contains(strings.ReplaceAll(log.String(), `\`, ""), tt.log) {
					t.Errorf("verdict %d, status %d, log %q", v, x.Response.Status, log.String())
				}
				return
			}
			meta, _ := json.Marshal(x.Metadata)
			got := fmt.Sprint(x.Request.Path, " ", x.Request.Authority, " ", x.Upstream, " ", x.Fields, " ", string(meta))
			if v != tt.verdict || got != tt.want {
				t.Errorf("verdict %d, %s\nwant %s", v, got, tt.want)
			}
		})
	}
}

func TestRateLimits(t *testing.T) {
	lim := &taken{used: map[string]int64{}}
	p := compiled(t, `package t

decision := {
	"allowed": true,
	"headers": {"x-seen": "yes"},
	"response_headers_to_add": {"x-policy": "t"},
	"rate_limits": [
		{"key": input.attributes.request.http.headers["x-user"], "rate": "3/1m", "burst": 2},
		{"key": ["all", 1], "name": "all", "rate": 100, "cost": 2, "algorithm": "fixed_window"},
	],
}
`, func(_ *Spec, o *Options) { o.Limiter = lim })
	f := p.Filter(nil)
	for i, want := range []struct {
		user    string
		verdict exchange.Verdict
		client  string
	}{
		{"a", exchange.Continue, `x-policy: t; ratelimit-policy: "t";q=3;w=60, "all";q=100;w=1; ratelimit: "t";r=2;t=60, "all";r=98;t=60`},
		{"a", exchange.Continue, `x-policy: t; ratelimit-policy: "t";q=3;w=60, "all";q=100;w=1; ratelimit: "t";r=1;t=60, "all";r=96;t=60`},
		{"b", exchange.Continue, `x-policy: t; ratelimit-policy: "t";q=3;w=60, "all";q=100;w=1; ratelimit: "t";r=2;t=60, "all";r=94;t=60`},
		{"a", exchange.Continue, `x-policy: t; ratelimit-policy: "t";q=3;w=60, "all";q=100;w=1; ratelimit: "t";r=0;t=60, "all";r=92;t=60`},
		{"a", exchange.Reply, `retry-after: 2; ratelimit-policy: "t";q=3;w=60; ratelimit: "t";r=0;t=60`},
	} {
		x := request{headers: []string{"x-user", want.user}}.exchange(t)
		v := f.Request(x)
		if v == exchange.Continue {
			f.Response(x)
		} else if x.Response.Status != 429 {
			t.Errorf("%d: status %d", i, x.Response.Status)
		}
		if got := fieldsOf(&x.Response.Head); v != want.verdict || got != want.client {
			t.Errorf("%d: verdict %d, the client gets\n%s\nwant\n%s", i, v, got, want.client)
		}
	}
	if want := "shadow t|a|{Algorithm: Events:3 Window:1m0s Burst:2}|1"; lim.log[0] != want {
		t.Errorf("asked for %q, want %q", lim.log[0], want)
	}
	// A key that is undefined makes the decision undefined, which denies.
	if x := (request{}).exchange(t); f.Request(x) != exchange.Reply || x.Response.Status != 403 {
		t.Error("a request without a key passed")
	}
	// Nobody counts: the limits are not enforced.
	p.opts.Limiter = nil
	if x := (request{headers: []string{"x-user", "a"}}).exchange(t); f.Request(x) != exchange.Continue {
		t.Error("refused without a limiter")
	}
}

func TestFiltersInInput(t *testing.T) {
	p := compiled(t, `package t

decision := {"allowed": true, "headers": {"x-c": input.headgate.filters.geo.country}}
`)
	f := p.Filter(nil)
	for _, country := range []string{"DE", "FR", "DE"} {
		x := request{edit: func(x *exchange.Exchange) {
			x.Metadata = map[string]any{"geo": map[string]any{"country": country}, "other": country}
		}}.exchange(t)
		if f.Request(x) != exchange.Continue || fieldsOf(&x.Request.Head) != "x-c: "+country {
			t.Errorf("%s: %s", country, fieldsOf(&x.Request.Head))
		}
	}
	if p.program.Load().cache == nil || p.program.Load().cache.len() != 2 {
		t.Error("two countries, but not two decisions")
	}
}
