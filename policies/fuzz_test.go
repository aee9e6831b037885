package policies

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/headgate/headgate/runtime/exchange"
)

// FuzzInput: whatever a client sends, the input is built or the request refused,
// it is a document of valid text, the part that a policy reads equals that part
// of the whole, and the policy can be evaluated.
func FuzzInput(f *testing.F) {
	f.Add("/a/b", "q=1&q=2", "x-role", "admin", "application/json", `{"a":[1,2.5e3,null]}`, int64(100))
	f.Add("/%zz//", "%=&&=;", "X-ROLE", "\xff\xfe", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--\r\n", int64(0))
	f.Add("", "a=1;b", ":path", "", "application/x-www-form-urlencoded", "a=%ff&a", int64(3))
	f.Add("/", "", "content-encoding", "gzip", "application/json;;", "1e99999", int64(9))
	f.Add("/", "", "content-type", "a/b", "a/b+json", "\xef\xbb\xbf{}", int64(9))
	p := compiled(f, `package t

decision := {"allowed": true, "body": input.attributes.request.http.headers["x-role"]} if {
	input.parsed_path[_]
	input.parsed_query
	input.parsed_body
}
`)
	f.Fuzz(func(t *testing.T, path, query, name, value, contentType, content string, buffer int64) {
		if !exchange.ValidName(name) && !strings.HasPrefix(name, ":") || !exchange.ValidValue(value) || !exchange.ValidValue(contentType) {
			t.Skip()
		}
		x := request{
			method: "POST", headers: []string{"content-type", contentType, name, value, name, value}, body: content,
			buffer: max(1, buffer%4096),
			edit:   func(x *exchange.Exchange) { x.Request.Path, x.Request.RawQuery = path, query },
		}.exchange(t)
		all := everything()
		b := builder{w: &all, x: x}
		whole, err := b.build(nil, "")
		part := builder{w: &p.program.Load().want, x: x}
		some, err2 := part.build(nil, "")
		if (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %v, part: %v", err, err2)
		}
		if err != nil {
			if bad, ok := err.(*bodyError); !ok || bad.status < 400 || bad.status > 499 {
				t.Fatal(err)
			}
			return
		}
		j, err := ast.JSON(whole)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := json.Marshal(j); err != nil || !utf8.Valid(text) {
			t.Fatalf("no valid document: %v", err)
		}
		o := whole.(ast.Object)
		for _, key := range []string{"parsed_path", "parsed_query", "parsed_body"} {
			a, b := o.Get(ast.StringTerm(key)), some.(ast.Object).Get(ast.StringTerm(key))
			if a == nil || b == nil || a.Value.Compare(b.Value) != 0 {
				t.Fatalf("%s: %v and %v", key, a, b)
			}
		}
		if _, err := p.evaluate(context.Background(), p.program.Load(), some, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDecision: whatever a policy decides, nothing that may not be sent gets into
// a head.
func FuzzDecision(f *testing.F) {
	for _, s := range []string{
		`true`, `{"allowed": true, "headers": {"x": "y"}}`, `{"allowed": false, "http_status": 401, "body": "x", "headers": [{"a": ["b"]}]}`,
		`{"allowed": true, "query_parameters_to_set": {"&": ["="]}, "query_parameters_to_remove": ["a"]}`,
		`{"allowed": true, "request_headers_to_remove": ["x"], "response_headers_to_add": {"a\n": "b"}}`, `{"allowed": 1}`, `[]`, `null`,
		`{"allowed": true, "rewrite": {"path": "/a/%2e/b", "host": "x:1"}, "upstream": "u", "log": {"a": 1}, "obligations": [1]}`,
		`{"allowed": true, "rate_limits": [{"key": [1], "rate": "5/10s", "burst": 9, "cost": 2, "algorithm": "gcra"}]}`,
		`{"allowed": true, "http_status": 204, "body": {"a": [1]}, "response_headers_to_remove": ["x"]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ast.ValueFromReader(strings.NewReader(text))
		if err != nil {
			t.Skip()
		}
		d, err := decode(v)
		if err != nil {
			return
		}
		x := request{target: "/?a=1&b"}.exchange(t)
		if d.allowed {
			d.editRequest(&x.Request)
			d.extend(x)
			if p := x.Request.Path; p[0] != '/' || strings.ContainsAny(p, " ?#\r\n\\\x00") || strings.Contains(p, "/../") || strings.Contains(p, "//") {
				t.Fatalf("path %q", p)
			}
			if strings.ContainsAny(x.Request.Authority, " /?#\r\n@") {
				t.Fatalf("authority %q", x.Request.Authority)
			}
			for _, l := range d.limits {
				if l.Events < 1 || l.Window <= 0 || l.cost < 0 || l.Burst < 0 {
					t.Fatalf("limit %+v", l)
				}
			}
			if a, err := amend(v); err == nil {
				a.apply(x)
			}
		} else {
			d.answer(x)
		}
		for _, h := range []*exchange.Head{&x.Request.Head, &x.Response.Head} {
			for i := range h.Len() {
				if _, n, v := h.At(i); !exchange.ValidName(n) || !exchange.ValidValue(v) {
					t.Fatalf("field %q: %q", n, v)
				}
			}
		}
		if strings.ContainsAny(x.Request.RawQuery, " \r\n#") {
			t.Fatalf("query %q", x.Request.RawQuery)
		}
	})
}
