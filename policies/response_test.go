package policies

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

func TestResponses(t *testing.T) {
	const order = `{"id":7,"user":{"name":"ada","ssn":"1"}}`
	for _, tt := range []struct {
		name, rego string
		method     string
		header     []string
		body       string
		cut        bool // more of the body is to come

		verdict exchange.Verdict
		status  int
		want    string // the body
		fields  string
		log     string
	}{
		{name: "true", rego: `true`, body: order, status: 200, want: order, fields: "server: b"},
		{name: "false", rego: `false`, body: order, verdict: exchange.Reply, status: 403},
		{name: "no decision", rego: `7 if false`, body: order, verdict: exchange.Reply, status: 403, log: "it is undefined"},
		{name: "an object changes nothing by itself", rego: `{}`, body: order, status: 200, want: order, fields: "server: b"},
		{
			name: "fields filtered", rego: `{"body": fields.visible(input.response.parsed_body, {"user/ssn": ["admin"]}, [])}`,
			header: []string{"content-type", "application/problem+json", "etag", `"1"`}, body: order,
			status: 200, want: `{"id":7,"user":{"name":"ada"}}`, fields: "server: b; content-type: application/json",
		},
		{
			name: "too large to be filtered", rego: `{"body": fields.visible(input.response.parsed_body, {"user/ssn": ["admin"]}, [])}`,
			header: []string{"content-type", "application/json"}, body: order, cut: true, verdict: exchange.Reply, status: 403, log: "it is undefined",
		},
		{name: "truncated", rego: `{"headers": {"x-t": sprintf("%v", [input.response.truncated_body])}}`, body: order, cut: true, status: 200, want: order, fields: "server: b; x-t: true"},
		{name: "headers", rego: `{"headers": {"server": "g", "x": ["1", "2"]}, "response_headers_to_remove": ["x-secret"]}`, header: []string{"x-secret", "1"}, status: 200, fields: "server: g; x: 1; x: 2"},
		{name: "status", rego: `{"http_status": 404} if input.response.status == 200`, status: 404, fields: "server: b"},
		{name: "a header of it", rego: `{"allowed": input.response.headers.server != "b"}`, verdict: exchange.Reply, status: 403},
		{
			name: "own answer", rego: `{"allowed": false, "http_status": 502, "body": {"why": "leak"}, "headers": {"x": "1"}} if contains(input.response.body, "ssn")`,
			body: order, verdict: exchange.Reply, status: 502, want: `{"why":"leak"}`, fields: "content-type: application/json; x: 1",
		},
		{name: "text", rego: `{"body": "x"}`, body: order, status: 200, want: "x", fields: "server: b"},
		{name: "no body for HEAD", method: "HEAD", rego: `{"body": "x"}`, status: 200, fields: "server: b"},
		{name: "the request is there too", rego: `{"headers": {"x": input.attributes.request.http.method}}`, status: 200, fields: "server: b; x: GET"},
		{name: "no JSON", rego: `{"body": input.response.parsed_body}`, header: []string{"content-type", "application/json"}, body: "{", verdict: exchange.Fail},
		{name: "packed", rego: `{"body": input.response.parsed_body}`, header: []string{"content-type", "application/json", "content-encoding", "gzip"}, body: "{}", verdict: exchange.Fail},
		{name: "wrong: form", rego: `"yes"`, verdict: exchange.Reply, status: 403, log: "neither a boolean nor an object"},
		{name: "wrong: allowed", rego: `{"allowed": 1}`, verdict: exchange.Reply, status: 403, log: "allowed is not a boolean"},
		{name: "wrong: status", rego: `{"http_status": 99}`, verdict: exchange.Reply, status: 403, log: "no status from 200 to 599"},
		{name: "wrong: header", rego: `{"headers": {"transfer-encoding": "x"}}`, verdict: exchange.Reply, status: 403, log: "can't change"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log, decisions logged
			p := compiled(t, "package t\n\nimport data.headgate.fields\n\ndecision := true\n\nanswer := "+tt.rego+"\n\nx := fields.only({}, [])\n", func(s *Spec, o *Options) {
				s.Response, s.DecisionLog = "data.t.answer", &LogSpec{Path: "stdout"}
				o.Log, o.Stdout = log.logger(), &decisions
			})
			f := p.Filter(nil)
			x := request{method: tt.method}.exchange(t)
			if v := f.Request(x); v != exchange.Continue {
				t.Fatal(v)
			}
			r := &x.Response
			r.Status = 200
			if tt.body != "" {
				r.SetBytes([]byte(tt.body))
				r.Whole = !tt.cut
			}
			r.Head.Add("server", "b")
			for i := 0; i < len(tt.header); i += 2 {
				r.Head.Add(tt.header[i], tt.header[i+1])
			}
			v := f.Response(x)
			if v != tt.verdict {
				t.Fatalf("verdict %d, %v", v, x.Failure)
			}
			if v != exchange.Fail && (r.Status != tt.status || body(x) != tt.want || fieldsOf(&r.Head) != tt.fields) {
				t.Errorf("status %d, body %q, fields %q", r.Status, body(x), fieldsOf(&r.Head))
			}
			if !strings.Contains(log.String(), tt.log) {
				t.Errorf("log %q lacks %q", log.String(), tt.log)
			}
			p.Close()
			var line struct {
				Path  string
				Input struct {
					Response struct{ Status int }
				}
			}
			lines := strings.Split(strings.TrimSpace(decisions.String()), "\n")
			if len(lines) != 2 || json.Unmarshal([]byte(lines[1]), &line) != nil || line.Path != "t/answer" || v != exchange.Fail && line.Input.Response.Status != 200 {
				t.Errorf("decisions %s", decisions.String())
			}
		})
	}
}

func TestNeedsOfResponses(t *testing.T) {
	for rego, want := range map[string]exchange.Needs{
		`input.response.status == 200`:      {},
		`input.response.headers.x == "1"`:   {},
		`input.response.body == ""`:         {Response: exchange.NeedPrefix},
		`input.response.parsed_body == {}`:  {Response: exchange.NeedPrefix},
		`input.response.truncated_body`:     {Response: exchange.NeedPrefix},
		`input.parsed_body.x`:               {Request: exchange.NeedPrefix},
		`object.get(input, "response", "")`: {Request: exchange.NeedPrefix, Response: exchange.NeedPrefix},
	} {
		p := compiled(t, "package t\n\ndecision := true\n\nanswer if "+rego+"\n", func(s *Spec, _ *Options) { s.Response = "data.t.answer" })
		if got := p.Filter(nil).Needs(); got != want {
			t.Errorf("%s: needs %v, want %v", rego, got, want)
		}
	}
	_, err := Compile(t.Context(), Spec{Name: "t", Files: []string{write(t, "t.rego", "package t\n\ndecision := true\n")}, Decide: "data.t.decision", Response: "data.t.answer"}, Options{})
	if err == nil || !strings.Contains(err.Error(), "no rule is called data.t.answer") {
		t.Error(err)
	}
}
