package policies

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/headgate/headgate/runtime/exchange"
)

// input builds the whole document as plain JSON values.
func input(t testing.TB, x *exchange.Exchange, w want) any {
	t.Helper()
	b := builder{w: &w, x: x}
	v, err := b.build(extensionsTerm(map[string]string{"tier": "gold"}), "id-1")
	if err != nil {
		t.Fatal(err)
	}
	j, err := ast.JSON(v)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TestWholeInput compares with a document as OPA's Envoy plugin makes it.
func TestWholeInput(t *testing.T) {
	x := request{
		method: "POST", target: "/api/v1/products%2Fnew?lang=en&lang=de&x=1%202",
		headers: []string{"Content-Type", "application/json", "X-Tag", "a", "Accept", "*/*", "x-tag", "b", "Content-Length", "40"},
		body:    `{"id": "ext1", "n": 1.50, "tags": [null]}`,
		edit: func(x *exchange.Exchange) {
			x.Params = []exchange.Param{{Name: "id", Value: "a/b"}}
			x.Auth = exchange.Auth{Subject: "alice", Claims: map[string]any{"roles": []any{"admin"}, "n": 3.0}}
			x.Metadata = map[string]any{"geo": map[string]any{"country": "DE"}}
		},
	}.exchange(t)
	const want = `{
	"attributes": {
		"source": {"address": {"socketAddress": {"address": "172.17.0.10", "portValue": 36472}}},
		"destination": {"address": {"socketAddress": {"address": "172.17.0.17", "portValue": 9080}}},
		"request": {
			"time": "2026-03-01T12:00:00.123456Z",
			"http": {
				"id": "0192-id",
				"method": "POST",
				"headers": {
					":authority": "api.example.com:8080", ":method": "POST", ":scheme": "http",
					":path": "/api/v1/products%2Fnew?lang=en&lang=de&x=1%202",
					"host": "api.example.com:8080",
					"content-type": "application/json", "x-tag": "a,b", "accept": "*/*", "content-length": "40"
				},
				"host": "api.example.com:8080",
				"path": "/api/v1/products%2Fnew?lang=en&lang=de&x=1%202",
				"protocol": "HTTP/1.1",
				"scheme": "http",
				"query": "lang=en&lang=de&x=1%202",
				"size": "41",
				"body": "{\"id\": \"ext1\", \"n\": 1.50, \"tags\": [null]}",
				"truncated_body": false
			}
		},
		"contextExtensions": {"tier": "gold"},
		"metadataContext": {"filterMetadata": {"geo": {"country": "DE"}, "open_policy_agent": {"decision_id": "id-1"}}}
	},
	"parsed_path": ["api", "v1", "products/new"],
	"parsed_query": {"lang": ["en", "de"], "x": ["1 2"]},
	"parsed_body": {"id": "ext1", "n": 1.50, "tags": [null]},
	"truncated_body": false,
	"version": {"encoding": "protojson", "ext_authz": "v3"},
	"headgate": {
		"route": "orders", "path": {"id": "a/b"}, "remote_ip": "172.17.0.10",
		"auth": {"subject": "alice", "claims": {"roles": ["admin"], "n": 3}},
		"filters": {"geo": {"country": "DE"}}
	}
}`
	var w any
	d := json.NewDecoder(strings.NewReader(want))
	d.UseNumber()
	if err := d.Decode(&w); err != nil {
		t.Fatal(err)
	}
	if got := input(t, x, everything()); !reflect.DeepEqual(got, w) {
		g, _ := json.MarshalIndent(got, "", "\t")
		t.Errorf("got %s\nwant %s", g, want)
	}
}

func TestPrincipal(t *testing.T) {
	spiffe, _ := url.Parse("spiffe://example.com/orders")
	for name, tt := range map[string]struct {
		cert     x509.Certificate
		verified bool
		want     string
	}{
		"a URI first":                 {x509.Certificate{URIs: []*url.URL{spiffe}, DNSNames: []string{"a"}}, true, "spiffe://example.com/orders"},
		"then a name":                 {x509.Certificate{DNSNames: []string{"a.example.com"}, Subject: pkix.Name{CommonName: "x"}}, true, "a.example.com"},
		"then the subject":            {x509.Certificate{Subject: pkix.Name{CommonName: "x", Organization: []string{"o"}}}, true, "CN=x,O=o"},
		"nobody checked the chain":    {x509.Certificate{DNSNames: []string{"a.example.com"}}, false, ""},
		"a certificate without names": {x509.Certificate{}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{&tt.cert}}
			if tt.verified {
				state.VerifiedChains = [][]*x509.Certificate{{&tt.cert}}
			}
			x := request{}.exchange(t)
			x.Conn = &exchange.Conn{TLS: state}
			in := input(t, x, everything()).(map[string]any)
			var want any
			if tt.want != "" {
				want = tt.want
			}
			if got := in["source_principal"]; got != want {
				t.Errorf("source_principal is %v", got)
			}
			if source := in["attributes"].(map[string]any)["source"].(map[string]any); source["principal"] != want {
				t.Errorf("source.principal is %v", source["principal"])
			}
		})
	}
}

func TestPathAndQuery(t *testing.T) {
	for _, tt := range []struct {
		target      string
		path, query string
	}{
		{"/", `[""]`, `{}`},
		{"/a/", `["a",""]`, `{}`},
		{"/a%20b/c%2fd/%zz", `["a b","c/d","%zz"]`, `{}`},
		{"/?", `[""]`, `{}`},
		{"/?a&b=&=c&&d=e=f", `[""]`, `{"":["c"],"a":[""],"b":[""],"d":["e=f"]}`},
		{"/?a=1;b=2&role=%zz", `[""]`, `{"a":["1;b=2"],"role":["%zz"]}`},
		{"/?%61=1&a=2+3", `[""]`, `{"a":["1","2 3"]}`},
		{"/?a=%ff", `[""]`, "{\"a\":[\"\uFFFD\"]}"},
	} {
		in := input(t, request{target: tt.target}.exchange(t), everything()).(map[string]any)
		path, _ := json.Marshal(in["parsed_path"])
		query, _ := json.Marshal(in["parsed_query"])
		if string(path) != tt.path || string(query) != tt.query {
			t.Errorf("%s: got %s and %s, want %s and %s", tt.target, path, query, tt.path, tt.query)
		}
	}
}

func TestBodies(t *testing.T) {
	multipartBody := strings.ReplaceAll(`--b
Content-Disposition: form-data; name="a"

one
--b
Content-Disposition: form-data; name="a"

two
--b
Content-Disposition: form-data; name="meta"
Content-Type: application/json

{"n": [1]}
--b--
`, "\n", "\r\n")
	deep := strings.Repeat("[", 20000)
	for _, tt := range []struct {
		name, contentType, body string
		buffer                  int64
		want                    string // of parsed_body
		truncated               bool
		status                  int // refused
		headers                 []string
	}{
		{name: "none", want: "null"},
		{name: "no type", body: `{"a":1}`, want: "null"},
		{name: "JSON", contentType: "application/json", body: `{"a":1,"b":[true,null,"x",1e3]}`, want: `{"a":1,"b":[true,null,"x",1e3]}`},
		{name: "JSON with a charset", contentType: "Application/JSON; charset=utf-8", body: `[1]`, want: `[1]`},
		{name: "a JSON type of its own", contentType: "application/vnd.api+json", body: `"x"`, want: `"x"`},
		{name: "empty JSON", contentType: "application/json", want: "null"},
		{name: "text", contentType: "text/plain", body: `{"a":1}`, want: "null"},
		{name: "form", contentType: "application/x-www-form-urlencoded", body: "a=1&a=2&b=x+y%21", want: `{"a":["1","2"],"b":["x y!"]}`},
		{name: "multipart", contentType: "multipart/form-data; boundary=b", body: multipartBody, want: `{"a":["one","two"],"meta":[{"n":[1]}]}`},
		{name: "exactly the buffer", contentType: "application/json", body: `{"a":1}`, buffer: 7, want: `{"a":1}`},
		{name: "larger than the buffer", contentType: "application/json", body: `{"a":1}`, buffer: 6, want: "null", truncated: true},
		{name: "broken JSON", contentType: "application/json", body: `{"a":`, status: 400},
		{name: "two values", contentType: "application/json", body: `{} {}`, status: 400},
		{name: "deep", contentType: "application/json", body: deep, status: 400},
		{name: "a huge number", contentType: "application/json", body: `{"n":1e999999999}`, status: 400},
		{name: "a tiny number", contentType: "application/json", body: `{"n":1e-999999999}`, status: 400},
		{name: "a long number", contentType: "application/json", body: strings.Repeat("9", 500), status: 400},
		{name: "multipart without boundary", contentType: "multipart/form-data", body: multipartBody, status: 400},
		{name: "multipart cut short", contentType: "multipart/form-data; boundary=b", body: multipartBody[:60], status: 400},
		{name: "packed", contentType: "application/json", body: "\x1f\x8b", headers: []string{"content-encoding", "gzip"}, status: 415},
		{name: "not packed", contentType: "application/json", body: "1", headers: []string{"content-encoding", "Identity"}, want: "1"},
		{name: "two types", contentType: "text/plain", body: "{}", headers: []string{"content-type", "application/json"}, status: 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := tt.headers
			if tt.contentType != "" {
				h = append(h, "Content-Type", tt.contentType)
			}
			x := request{method: "POST", headers: h, body: tt.body, buffer: tt.buffer}.exchange(t)
			w := everything()
			b := builder{w: &w, x: x}
			v, err := b.build(nil, "")
			if tt.status != 0 {
				bad, ok := err.(*bodyError)
				if !ok || bad.status != tt.status {
					t.Fatalf("error %v, want status %d", err, tt.status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			j, _ := ast.JSON(v)
			in := j.(map[string]any)
			http := in["attributes"].(map[string]any)["request"].(map[string]any)["http"].(map[string]any)
			if got, _ := json.Marshal(in["parsed_body"]); string(got) != tt.want {
				t.Errorf("parsed_body is %s, want %s", got, tt.want)
			}
			if in["truncated_body"] != tt.truncated || http["truncated_body"] != tt.truncated {
				t.Errorf("truncated_body is %v and %v", in["truncated_body"], http["truncated_body"])
			}
			if text, _ := http["body"].(string); !strings.HasPrefix(tt.body, text) || text == "" && tt.body != "" {
				t.Errorf("body is %q", text)
			}
		})
	}
}

// TestInputOutlivesExchange: nothing of the input may refer to the buffers of
// the exchange, which the next request overwrites.
func TestInputOutlivesExchange(t *testing.T) {
	raw := []byte("x-one: first\r\n")
	x := request{}.exchange(t)
	x.Request.Head.Reset(raw)
	x.Request.Head.AddSpan(0, 0, 5, 7, 5)
	id := []byte("id-of-this-request")
	x.ID = exchange.String(id)
	w := everything()
	b := builder{w: &w, x: x}
	v, err := b.build(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	before := v.String()
	copy(raw, "y-two: second\r")
	copy(id, "id-of-the-next-one")
	if after := v.String(); after != before || !strings.Contains(before, "x-one") {
		t.Errorf("the input changed from %s to %s", before, after)
	}
}

// TestReads checks what the analysis finds, by its effect on the input.
func TestReads(t *testing.T) {
	tests := []struct {
		name, rego string
		want       string // the input that is built, "" for all of it
	}{
		{"nothing", `decision := true`, `{}`},
		{"one member", `decision if input.attributes.request.http.method == "GET"`, `{"attributes":{"request":{"http":{"method":"POST"}}}}`},
		{"through locals", `decision if { a := input.attributes; r := a.request; r.http.method == "GET" }`, "attributes"},
		{"an import", "import input.attributes.request.http as h\n\ndecision if h.method == \"GET\"", `{"attributes":{"request":{"http":{"method":"POST"}}}}`},
		{"one header", `decision if input.attributes.request.http.headers["x-role"] == "a"`, `{"attributes":{"request":{"http":{"headers":{"x-role":"admin"}}}}}`},
		{"a header and the path", `decision if { input.parsed_path[0] == "a"; input.attributes.request.http.headers["nope"] }`, `{"attributes":{"request":{"http":{"headers":{}}}},"parsed_path":["a"]}`},
		{"in a function", "f(x) if x == input.headgate.route\n\ndecision if f(\"orders\")", `{"headgate":{"route":"orders"}}`},
		{"as an argument", "f(x) if x.a\n\ndecision if f(input.parsed_query)", `{"parsed_query":{}}`},
		{"in a comprehension", `decision if count([x | some x in input.parsed_path]) > 0`, `{"parsed_path":["a"]}`},
		{"in every", `decision if every x in input.parsed_path { x != input.attributes.request.http.host }`, `{"attributes":{"request":{"http":{"host":"api.example.com:8080"}}},"parsed_path":["a"]}`},
		{"in else", "decision if false\n\nelse := input.attributes.request.http.scheme", `{"attributes":{"request":{"http":{"scheme":"http"}}}}`},
		{"in a default's rule head", "default decision := false\n\ndecision := {\"allowed\": true, \"body\": input.attributes.request.http.id}", `{"attributes":{"request":{"http":{"id":"0192-id"}}}}`},
		{"in a key", "decision if data.x[input.headgate.route]", `{"headgate":{"route":"orders"}}`},
		{"in a reference's key", "decision if input.parsed_query[input.headgate.route]", `{"headgate":{"route":"orders"},"parsed_query":{}}`},
		{"a rule with a dynamic head", "p[input.headgate.route] := true\n\ndecision if p.orders", `{"headgate":{"route":"orders"}}`},
		{"in a negation", `decision if not input.attributes.request.http.method`, `{"attributes":{"request":{"http":{"method":"POST"}}}}`},
		{"in a string", `decision if sprintf("%v", [input.attributes.request.http.method]) == "x"`, `{"attributes":{"request":{"http":{"method":"POST"}}}}`},
		{"a dynamic key", `decision if { some k; input[k] }`, ""},
		{"a dynamic header", `decision if { some k; input.attributes.request.http.headers[k] == "a" }`, "headers"},
		{"walk", `decision if walk(input, [_, "x"])`, ""},
		{"all of it", `decision if input`, ""},
		{"all of it, returned", "all := input\n\ndecision if all.parsed_path", ""},
		{"with", "r if input.parsed_path\n\ndecision if r with input.attributes.request.http.method as \"GET\"", ""},
		{"with, whole", "r if input.x\n\ndecision if r with input as {\"x\": 1}", ""},
		{"with on data reads nothing more", "r if data.x\n\ndecision if r with data.x as input.headgate.route", `{"headgate":{"route":"orders"}}`},
		{"object.get of all", `decision if object.get(input, ["parsed_path"], 0) == 1`, ""},
		{"object.get of a part", `decision if object.get(input.attributes.request.http.headers, "x", "") == ""`, `{"attributes":{"request":{"http":{"headers":{}}}}}`},
		{"object.get of a part that is there", `decision if object.get(input.attributes.request.http.headers, "x-role", input.headgate.route) == ""`, `{"attributes":{"request":{"http":{"headers":{"x-role":"admin"}}}},"headgate":{"route":"orders"}}`},
		{"object.get with a list", `decision if object.get(input.attributes.request.http.headers, ["x"], "") == ""`, "headers"},
		{"object.get of what may be absent", `decision if object.get(input.attributes.source, "address", "") == ""`, `{"attributes":{"source":{"address":{"socketAddress":{"address":"172.17.0.10","portValue":36472}}}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := compiled(t, "package t\n\n"+tt.rego+"\n")
			x := request{method: "POST", target: "/a", headers: []string{"X-Role", "admin"}}.exchange(t)
			all := input(t, x, everything())
			got := input(t, x, p.program.Load().want)
			var want any
			switch tt.want {
			case "":
				want = all
			case "attributes":
				want = map[string]any{"attributes": all.(map[string]any)["attributes"]}
			case "headers":
				h := all.(map[string]any)["attributes"].(map[string]any)["request"].(map[string]any)["http"].(map[string]any)["headers"]
				want = map[string]any{"attributes": map[string]any{"request": map[string]any{"http": map[string]any{"headers": h}}}}
			default:
				d := json.NewDecoder(strings.NewReader(tt.want))
				d.UseNumber()
				if err := d.Decode(&want); err != nil {
					t.Fatal(err)
				}
			}
			if !reflect.DeepEqual(got, want) {
				g, _ := json.Marshal(got)
				w, _ := json.Marshal(want)
				t.Errorf("built %s\nwant %s", g, w)
			}
		})
	}
}

func TestNeeds(t *testing.T) {
	for rego, want := range map[string]exchange.Need{
		`decision if input.attributes.request.http.method == "GET"`: exchange.NeedNothing,
		`decision if input.attributes.request.http.size == "0"`:     exchange.NeedNothing,
		`decision if input.parsed_body.x`:                           exchange.NeedPrefix,
		`decision if input.truncated_body`:                          exchange.NeedPrefix,
		`decision if input.attributes.request.http.body`:            exchange.NeedPrefix,
		`decision if input.attributes.request.http`:                 exchange.NeedPrefix,
		`decision if input`:                                         exchange.NeedPrefix,
	} {
		if got := compiled(t, "package t\n\n"+rego+"\n").Filter(nil).Needs(); got != (exchange.Needs{Request: want}) {
			t.Errorf("%s: needs %v, want %v", rego, got, want)
		}
	}
}

// TestPartialInputDecidesAlike evaluates policies on the input that the analysis
// allows and on all of it, over random requests.
func TestPartialInputDecidesAlike(t *testing.T) {
	policies := []string{
		"import input.attributes.request.http as http_request\n\ndecision if {\n\thttp_request.method in {\"GET\", \"HEAD\"}\n\tnot http_request.headers[\"x-role\"]\n}",
		"decision := {\"allowed\": count(input.parsed_path) > 1, \"body\": sprintf(\"%v\", [input.parsed_query])}",
		"h := input.attributes.request.http.headers\n\ndecision := {\"allowed\": true, \"headers\": {\"x-n\": sprintf(\"%d\", [count(h)])}}",
		"decision if {\n\tsome k, v in input.parsed_query\n\t\"1\" in v\n\tk == \"a\"\n}",
		"decision if input.parsed_body.role == input.attributes.request.http.headers[\"x-role\"]",
		"decision := object.union({\"allowed\": true}, {\"dynamic_metadata\": {\"all\": input}})",
		"decision := {\"allowed\": true, \"dynamic_metadata\": {p: v | some p; v := input.attributes.request.http[p]}}",
	}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for _, src := range policies {
		p := compiled(t, "package t\n\n"+src+"\n")
		for range 200 {
			req := request{method: pick("GET", "POST", "HEAD"), target: pick("/", "/a/b", "/x?a=1&b", "/y?c=1")}
			if r.IntN(2) == 0 {
				req.headers = append(req.headers, pick("X-Role", "x-role", "x-other"), pick("admin", "", "reader"))
			}
			if r.IntN(2) == 0 {
				req.headers, req.body = append(req.headers, "content-type", "application/json"), pick(`{"role":"admin"}`, `{}`, `[1]`)
			}
			x := req.exchange(t)
			all := everything()
			var results [2]string
			for i, w := range []*want{&p.program.Load().want, &all} {
				b := builder{w: w, x: x}
				in, err := b.build(nil, "")
				if err != nil {
					t.Fatal(err)
				}
				v, err := p.evaluate(context.Background(), p.program.Load(), in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if v != nil {
					results[i] = v.String()
				}
			}
			if results[0] != results[1] {
				t.Fatalf("%s\npart: %s\nall:  %s", src, results[0], results[1])
			}
		}
	}
}
