package policies

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// fieldsOf lists a head's fields but Host, in order.
func fieldsOf(h *exchange.Head) string {
	var out []string
	for i := range h.Len() {
		if id, n, v := h.At(i); id != exchange.NameHost {
			out = append(out, string(n)+": "+string(v))
		}
	}
	return strings.Join(out, "; ")
}

func TestDecisions(t *testing.T) {
	tests := []struct {
		name, rego string
		req        request

		verdict  exchange.Verdict
		status   int
		body     string
		response string // fields of our answer, or those added to the backend's
		request  string // fields of the forwarded request
		query    string
		metadata string
		log      string // what the log must say
	}{
		{name: "true", rego: `decision := true`, verdict: exchange.Continue},
		{name: "false", rego: `decision := false`, verdict: exchange.Reply, status: 403},
		{name: "undefined", rego: `decision if input.parsed_path[0] == "nope"`, verdict: exchange.Reply, status: 403},
		{name: "object, allowed", rego: `decision := {"allowed": true}`, verdict: exchange.Continue},
		{name: "object, denied", rego: `decision := {"allowed": false}`, verdict: exchange.Reply, status: 403},
		{
			name:    "own status, body and headers",
			rego:    `decision := {"allowed": false, "http_status": 401, "body": "{\"e\":1}", "headers": {"content-type": "application/json", "www-authenticate": ["Basic", "Bearer"]}}`,
			verdict: exchange.Reply, status: 401, body: `{"e":1}`,
			response: "content-type: application/json; www-authenticate: Basic; www-authenticate: Bearer",
		},
		{
			name: "own body without a type", rego: `decision := {"allowed": false, "body": "no"}`,
			verdict: exchange.Reply, status: 403, body: "no", response: "content-type: text/plain; charset=utf-8",
		},
		{
			name: "a redirect", rego: `decision := {"allowed": false, "http_status": 302, "headers": {"location": "https://login.example.com/"}}`,
			verdict: exchange.Reply, status: 302, response: "location: https://login.example.com/",
		},
		{
			name:    "headers for the backend replace the client's",
			rego:    `decision := {"allowed": true, "headers": {"x-user": "alice", "x-tags": ["a", "b"]}}`,
			req:     request{headers: []string{"X-User", "mallory", "x-tags", "z", "x-user", "eve"}},
			verdict: exchange.Continue, request: "x-user: alice; x-tags: a; x-tags: b",
		},
		{
			name:    "headers as a list of objects",
			rego:    `decision := {"allowed": true, "headers": [{"x-a": "1"}, {"x-b": "2"}, {"X-A": "3"}]}`,
			verdict: exchange.Continue, request: "x-a: 1; x-a: 3; x-b: 2",
		},
		{
			name:    "headers removed",
			rego:    `decision := {"allowed": true, "request_headers_to_remove": ["x-secret", "cookie"]}`,
			req:     request{headers: []string{"X-Secret", "1", "Cookie", "a=b", "x-kept", "1", "x-secret", "2"}},
			verdict: exchange.Continue, request: "x-kept: 1",
		},
		{
			name:    "a set serves as a list",
			rego:    `decision := {"allowed": true, "request_headers_to_remove": {"x-secret"}}`,
			req:     request{headers: []string{"X-Secret", "1"}},
			verdict: exchange.Continue, request: "",
		},
		{
			name:    "headers for the client",
			rego:    `decision := {"allowed": true, "response_headers_to_add": {"x-policy": "v1", "set-cookie": ["a=1", "b=2"]}}`,
			verdict: exchange.Continue, response: "server: backend; set-cookie: a=1; set-cookie: b=2; x-policy: v1",
		},
		{
			name:    "query",
			rego:    `decision := {"allowed": true, "query_parameters_to_set": {"tenant": "a b", "n": ["1", "2"]}, "query_parameters_to_remove": ["debug"]}`,
			req:     request{target: "/x?tenant=evil&keep=%7e&debug&debug=1&ten%61nt=2"},
			verdict: exchange.Continue, query: "keep=%7e&n=1&n=2&tenant=a+b",
		},
		{
			name:    "the last query parameter removed",
			rego:    `decision := {"allowed": true, "query_parameters_to_remove": ["debug"]}`,
			req:     request{target: "/x?debug=1"},
			verdict: exchange.Continue, query: "",
		},
		{
			name:    "metadata for others",
			rego:    `decision := {"allowed": true, "dynamic_metadata": {"user": {"id": 7, "tags": {"x"}}}}`,
			verdict: exchange.Continue, metadata: `{"user":{"id":7,"tags":["x"]}}`,
		},
		{
			name:    "metadata of a denial",
			rego:    `decision := {"allowed": false, "dynamic_metadata": {"why": "role"}}`,
			verdict: exchange.Reply, status: 403, metadata: `{"why":"role"}`,
		},
		{
			name:    "extensions of the place",
			rego:    `decision if input.attributes.contextExtensions.tier == "gold"`,
			verdict: exchange.Continue,
		},
		{
			name:    "a field that is not ours is nobody's business",
			rego:    `decision := {"allowed": true, "reason": 7}`,
			verdict: exchange.Continue,
		},

		{name: "wrong: a string", rego: `decision := "yes"`, verdict: exchange.Reply, status: 403, log: "neither a boolean nor an object but a string"},
		{name: "wrong: an array", rego: `decision := [true]`, verdict: exchange.Reply, status: 403, log: "but an array"},
		{name: "wrong: no allowed", rego: `decision := {"allow": true}`, verdict: exchange.Reply, status: 403, log: `has no "allowed"`},
		{name: "wrong: allowed", rego: `decision := {"allowed": "true"}`, verdict: exchange.Reply, status: 403, log: "allowed is not a boolean but a string"},
		{name: "wrong: headers", rego: `decision := {"allowed": true, "headers": "x"}`, verdict: exchange.Reply, status: 403, log: "headers is not an object"},
		{name: "wrong: a header", rego: `decision := {"allowed": true, "headers": {"x": 1}}`, verdict: exchange.Reply, status: 403, log: "headers.x is not a list of strings but a number"},
		{name: "wrong: a list of headers", rego: `decision := {"allowed": true, "headers": [["x", "1"]]}`, verdict: exchange.Reply, status: 403, log: "headers is not"},
		{name: "wrong: header name", rego: `decision := {"allowed": true, "headers": {"x y": "1"}}`, verdict: exchange.Reply, status: 403, log: "no header name"},
		{name: "wrong: header value", rego: `decision := {"allowed": true, "headers": {"x": "1\r\nx-admin: 1"}}`, verdict: exchange.Reply, status: 403, log: "a byte that no header may have"},
		{name: "wrong: framing", rego: `decision := {"allowed": true, "headers": {"Content-Length": "0"}}`, verdict: exchange.Reply, status: 403, log: "can't change"},
		{name: "wrong: framing of the response", rego: `decision := {"allowed": true, "response_headers_to_add": {"Transfer-Encoding": "chunked"}}`, verdict: exchange.Reply, status: 403, log: "can't change"},
		{name: "wrong: removed framing", rego: `decision := {"allowed": true, "request_headers_to_remove": ["connection"]}`, verdict: exchange.Reply, status: 403, log: "can't change"},
		{name: "wrong: removed", rego: `decision := {"allowed": true, "request_headers_to_remove": "x"}`, verdict: exchange.Reply, status: 403, log: "request_headers_to_remove is not a list of strings"},
		{name: "wrong: status", rego: `decision := {"allowed": false, "http_status": "401"}`, verdict: exchange.Reply, status: 403, log: "http_status is not a number but a string"},
		{name: "wrong: status of no answer", rego: `decision := {"allowed": false, "http_status": 100}`, verdict: exchange.Reply, status: 403, log: "no status from 200 to 599"},
		{name: "wrong: broken status", rego: `decision := {"allowed": false, "http_status": 403.5}`, verdict: exchange.Reply, status: 403, log: "no status from 200 to 599"},
		{name: "wrong: body", rego: `decision := {"allowed": false, "body": {"e": 1}}`, verdict: exchange.Reply, status: 403, log: "body is not a string (json.marshal makes one"},
		{name: "wrong: metadata", rego: `decision := {"allowed": true, "dynamic_metadata": [1]}`, verdict: exchange.Reply, status: 403, log: "dynamic_metadata is not an object"},
		{name: "wrong: query", rego: `decision := {"allowed": true, "query_parameters_to_set": {"a": 1}}`, verdict: exchange.Reply, status: 403, log: "query_parameters_to_set.a is not a list of strings"},

		{name: "conflict", rego: "decision := true if input.parsed_path\n\ndecision := false if input.parsed_path", verdict: exchange.Fail},
		{name: "a body that can't be read", rego: `decision if not input.parsed_body.admin`, req: request{method: "POST", headers: []string{"content-type", "application/json"}, body: "{"}, verdict: exchange.Reply, status: 400, log: "no valid JSON"},
		{name: "a body that nobody reads", rego: `decision := true`, req: request{method: "POST", headers: []string{"content-type", "application/json"}, body: "{"}, verdict: exchange.Continue, request: "content-type: application/json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log logged
			counts := counted{}
			p := compiled(t, "package t\n\n"+tt.rego+"\n", func(_ *Spec, o *Options) { o.Log, o.Decisions = log.logger(), counts })
			f := p.Filter(map[string]string{"tier": "gold"})
			x := tt.req.exchange(t)
			v := f.Request(x)
			if v != tt.verdict {
				t.Fatalf("verdict %d, want %d (%v)", v, tt.verdict, x.Failure)
			}
			result := map[exchange.Verdict]string{exchange.Continue: "t allow", exchange.Reply: "t deny", exchange.Fail: "t error"}[v]
			if len(counts) != 1 || counts[result] != 1 {
				t.Errorf("counted %v", counts)
			}
			if v == exchange.Continue {
				x.Response.Status = 200
				x.Response.Head.Add("server", "backend")
				if tt.response == "" {
					tt.response = "server: backend"
				}
				if v := f.Response(x); v != exchange.Continue {
					t.Errorf("response side: verdict %d", v)
				}
				if got := fieldsOf(&x.Request.Head); got != tt.request {
					t.Errorf("the backend gets %q, want %q", got, tt.request)
				}
				if tt.query != "" || strings.Contains(tt.rego, "query_parameters") {
					if x.Request.RawQuery != tt.query {
						t.Errorf("query %q, want %q", x.Request.RawQuery, tt.query)
					}
				}
			}
			f.Done(x)
			if v == exchange.Reply && (x.Response.Status != tt.status || body(x) != tt.body) {
				t.Errorf("answer %d %q, want %d %q", x.Response.Status, body(x), tt.status, tt.body)
			}
			if got := fieldsOf(&x.Response.Head); v != exchange.Fail && got != tt.response {
				t.Errorf("the client gets %q, want %q", got, tt.response)
			}
			got := ""
			if m := x.Metadata["t"]; m != nil {
				b, _ := json.Marshal(m)
				got = string(b)
			}
			if got != tt.metadata {
				t.Errorf("metadata %s, want %s", got, tt.metadata)
			}
			if tt.log != "" && !strings.Contains(strings.ReplaceAll(log.String(), `\`, ""), tt.log) {
				t.Errorf("log %q lacks %q", log.String(), tt.log)
			}
			if v == exchange.Fail && (x.Failure == nil || !strings.Contains(x.Failure.Error(), "t.rego:")) {
				t.Errorf("failure %v has no position", x.Failure)
			}
		})
	}
}

// slow counts far beyond any deadline, in an evaluation that polls its cancel.
const slow = `package t

decision if {
	some a in numbers.range(1, 2000)
	some b in numbers.range(1, 2000)
	a * b == -1
}
`

func TestDeadline(t *testing.T) {
	p := compiled(t, slow, func(s *Spec, _ *Options) { s.Deadline = 30 * time.Millisecond })
	f := p.Filter(nil)
	before := runtime.NumGoroutine()
	for range 3 {
		x := request{}.exchange(t)
		start := time.Now()
		if v := f.Request(x); v != exchange.Fail {
			t.Fatalf("verdict %d", v)
		}
		if d := time.Since(start); d < 25*time.Millisecond || d > time.Second {
			t.Errorf("stopped after %v", d)
		}
		if !strings.Contains(x.Failure.Error(), "policy t: stopped at its deadline of 30ms") {
			t.Errorf("failure %v", x.Failure)
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, before %d", after, before)
	}
}

// TestDeadlineIsItsOwn: a timer that fired late must not stop another request.
func TestDeadlineIsItsOwn(t *testing.T) {
	p := compiled(t, "package t\n\ndecision if sum(numbers.range(1, 300)) > 0\n", func(s *Spec, _ *Options) { s.Deadline = 2 * time.Second })
	p.deadline = 200 * time.Microsecond
	f := p.Filter(nil)
	for range 200 {
		f.Request(request{}.exchange(t))
	}
	p.deadline = 5 * time.Second
	for range 200 {
		if x := (request{}).exchange(t); f.Request(x) != exchange.Continue {
			t.Fatal(x.Failure)
		}
	}
}

func TestDeadlineOfNetwork(t *testing.T) {
	release := make(chan struct{})
	var once sync.Once
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fast" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"ok": true}`)
			return
		}
		<-release
	}))
	defer srv.Close()
	defer once.Do(func() { close(release) })
	p := compiled(t, `package t

decision if http.send({"method": "GET", "url": sprintf("`+srv.URL+`/%s", [input.parsed_path[0]])}).body.ok
`, func(s *Spec, _ *Options) { s.Allow, s.Deadline = []string{"http.send"}, 2*time.Second })
	f := p.Filter(nil)
	if x := (request{target: "/fast"}).exchange(t); f.Request(x) != exchange.Continue {
		t.Fatalf("granted http.send: %v", x.Failure)
	}
	start := time.Now()
	x := request{target: "/slow"}.exchange(t)
	if v := f.Request(x); v == exchange.Continue {
		t.Errorf("verdict %d", v)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("stopped after %v", d)
	}
	once.Do(func() { close(release) })
}

func TestConcurrent(t *testing.T) {
	p := compiled(t, `package t

decision := {"allowed": role == "admin", "headers": {"x-n": n}, "http_status": 403, "body": n} if {
	role := input.attributes.request.http.headers["x-role"]
	n := input.parsed_query.n[0]
	regex.match(sprintf("^%s$", [n]), n)
}
`)
	f := p.Filter(nil)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				n := strconv.Itoa(g*1000 + i)
				role := []string{"admin", "reader"}[i%2]
				x := request{target: "/?n=" + n, headers: []string{"x-role", role}}.exchange(t)
				v := f.Request(x)
				if i%2 == 0 {
					if got, _ := x.Request.Head.Get("x-n"); v != exchange.Continue || string(got) != n {
						t.Errorf("%s: verdict %d, x-n %s", n, v, got)
					}
				} else if v != exchange.Reply || body(x) != n {
					t.Errorf("%s: verdict %d, body %s", n, v, body(x))
				}
			}
		})
	}
	wg.Wait()
}

func TestDecisionLog(t *testing.T) {
	var out logged
	p := compiled(t, `package t

decision := {"allowed": input.parsed_path[0] == "a", "dynamic_metadata": {"id": input.attributes.metadataContext.filterMetadata.open_policy_agent.decision_id}}
`, func(s *Spec, o *Options) { s.DecisionLog, o.Stdout = &LogSpec{Path: "stdout"}, &out })
	f := p.Filter(nil)
	var ids []string
	for _, target := range []string{"/a", "/b?q=1"} {
		x := request{target: target, headers: []string{"Accept", "*/*"}}.exchange(t)
		f.Request(x)
		ids = append(ids, x.Metadata["t"].(map[string]any)["id"].(string))
	}
	p.Close()
	if ids[0] == ids[1] || len(ids[0]) != 36 {
		t.Errorf("decision ids %v", ids)
	}
	s := bufio.NewScanner(strings.NewReader(out.String()))
	for i := 0; s.Scan(); i++ {
		var line struct {
			Labels      map[string]string
			DecisionID  string `json:"decision_id"`
			Path        string
			Input       map[string]any
			Result      struct{ Allowed bool }
			RequestedBy string `json:"requested_by"`
			Timestamp   time.Time
			Metrics     map[string]int64
			Custom      map[string]string
		}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.DecisionID != ids[i] || line.Path != "t/decision" || line.Result.Allowed != (i == 0) || line.Labels["policy"] != "t" {
			t.Errorf("line %d: %s", i, s.Text())
		}
		if line.Input["parsed_path"] == nil || line.Input["version"] == nil || line.RequestedBy != "172.17.0.10:36472" ||
			line.Metrics["timer_server_handler_ns"] == 0 || line.Timestamp.IsZero() || line.Custom["request_id"] != "0192-id" {
			t.Errorf("line %d: %s", i, s.Text())
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines", n)
	}
}

// stuck is a writer that does not come back until it is told to.
type stuck chan struct{}

func (s stuck) Write(p []byte) (int, error) { <-s; return len(p), errors.New("broken") }

func TestDecisionLogIsBounded(t *testing.T) {
	w := make(stuck)
	var log logged
	p := compiled(t, "package t\n\ndecision := true\n", func(s *Spec, o *Options) { s.DecisionLog, o.Stdout, o.Log = &LogSpec{Path: "stdout"}, w, log.logger() })
	f := p.Filter(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range logEntries + 100 {
			f.Request(request{}.exchange(t))
		}
		big := request{method: "POST", body: strings.Repeat("x", 1<<20)}
		for range 20 {
			f.Request(big.exchange(t))
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("requests wait for the log")
	}
	if held := p.log.held.Load(); held > logBytes {
		t.Errorf("%d bytes wait", held)
	}
	close(w)
	p.Close()
	if s := log.String(); !strings.Contains(s, "decisions were not logged") || !strings.Contains(s, "can't be written") {
		t.Errorf("log: %s", s)
	}
	f.Request(request{}.exchange(t)) // after Close: no panic
}

func TestShadowChangesNothing(t *testing.T) {
	p := compiled(t, `package t

decision := {"allowed": true, "headers": {"x-a": "1"}, "dynamic_metadata": {"a": 1}}
`)
	x := request{target: "/x?a=1"}.exchange(t)
	y := x.Shadow()
	if v := p.Filter(nil).Request(y); v != exchange.Continue {
		t.Fatal(v)
	}
	if _, ok := x.Request.Head.Get("x-a"); ok || x.Metadata != nil {
		t.Error("the exchange itself changed")
	}
	if x.Context() == nil || y.Context() != context.Background() {
		t.Error("contexts differ")
	}
}
