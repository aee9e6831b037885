package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const shopRego = `package shop.authz

import input.attributes.request.http as request

default allow := false

allow if request.method == "GET"

allow if {
	request.headers["x-role"] == "admin"
	print("admin at", input.parsed_path[0])
}

answer := {"allowed": 7}

nothing if input.parsed_body.x
`

const shopTests = `package shop.authz_test

import data.shop.authz

test_get if authz.allow with input.attributes.request.http.method as "GET"

test_post if authz.allow with input.attributes.request.http.method as "POST"
`

func TestPolicy(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"policies/shop.rego": shopRego, "policies/shop_test.rego": shopTests,
		"broken/a.rego": "package a\n\nx if nope(1)\n\ny if {\n",
		"calls/a.rego":  "package a\n\nx if http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1\"})\n",
		"ugly/a.rego":   "package a\nx if   true\n",
		"get.http":      "GET /orders/7?x=1 HTTP/1.1\nHost: api.example.com\nX-Role: reader\n",
		"post.http":     "POST //orders HTTP/1.1\r\nHost: api.example.com\r\nX-Role: admin\r\nContent-Type: application/json\r\n\r\n{\"x\":",
		"put.http":      "PUT /a HTTP/1.1\nHost: a\n\n",
		"no.http":       "what\n",
		"input.json":    `{"attributes": {"request": {"http": {"method": "GET"}}}}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	const allow = "-decide data.shop.authz.allow policies"
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"", 2, "", "name what to do"},
		{"chekc", 2, "", `Did you mean "check"?`},
		{"-h", 0, "headgate policy test -coverage", ""},
		{"check", 2, "", "name a file or folder"},
		{"check policies", 0, "checked 2 files; no errors", ""},
		{"check broken", 1, "", "broken/a.rego:"},
		{"check calls", 1, "", `allow = ["http.send"]`},
		{"check -allow http.send calls", 0, "1 file; no errors", ""},
		{"check -allow os.exec calls", 1, "", `"os.exec" can't be allowed`},
		{"check nowhere", 1, "", "can't be read"},
		{"test policies", 1, "policies/shop_test.rego:7: fail: shop.authz_test.test_post\n1 passed, 1 failed, 0 skipped\n", ""},
		{"test -run get -v policies", 0, "pass: shop.authz_test.test_get", ""},
		{"test -run get -coverage policies", 0, "policies/shop.rego, without 5, 9-11", ""},
		{"test -run get -threshold 99 policies", 1, "%  in all", "less than 99%"},
		{"test -run none policies", 1, "0 passed", "there are no tests"},
		{"test -o json -run get policies", 0, `"outcome": "pass"`, ""},
		{"test ugly", 1, "0 passed", "there are no tests"},
		{"fmt -check policies", 0, "", ""},
		{"fmt -check ugly", 1, "ugly/a.rego\n", ""},
		{"fmt -diff ugly", 0, "+x := true", ""},
		{"fmt broken", 1, "", "broken/a.rego:"},
		{"fmt ugly", 0, "ugly/a.rego\n", ""},
		{"fmt -check ugly", 0, "", ""},
		{"eval -i get.http", 2, "", "name a file or folder"},
		{"eval -i get.http policies", 2, "", "-decide"},
		{"eval -i nowhere " + allow, 1, "", "nowhere"},
		{"eval -i no.http " + allow, 1, "", "no HTTP/1.1 request"},
		{"eval -i get.http -remote-ip x " + allow, 2, "", `"x" is not an address`},
		{"eval -i get.http " + allow, 0, "decision  true\nrules     policies/shop.rego:7: allow holds\n", ""},
		{"eval -i input.json " + allow, 0, "allowed (", ""},
		{"eval -i post.http " + allow, 0, "policies/shop.rego:7: allow does not hold: request.method == \"GET\"\n", `msg="admin at orders" file=policies/shop.rego row=11`},
		{"eval -i put.http " + allow, 1, "policies/shop.rego:10: allow does not hold: request.headers[\"x-role\"] == \"admin\"\n", ""},
		{"eval -i get.http -input " + allow, 0, `"method": "GET"`, ""},
		{"eval -i put.http -o json " + allow, 1, `"failed_row": 10`, ""},
		{"eval -i get.http -decide data.shop.authz.answer policies", 1, "wrong form: allowed is not a boolean", ""},
		{"eval -i get.http -decide data.shop.authz.nothing policies", 1, "the decision is undefined", ""},
		{"eval -i post.http -decide data.shop.authz.nothing policies", 1, "", "refused with 400 before the policy decides"},
		{"library", 2, "", "name one folder"},
		{"library policies/shop.rego", 3, "", "policies/shop.rego"},
		{"library lib", 0, "", ""},
		{"check policies lib", 0, "checked 11 files", ""},
		{"explain-cost " + allow, 0, "reads    input.attributes.request.http.headers[\"x-role\"]\n         input.attributes.request.http.method\n         input.parsed_path[0]\nbody     not needed\ncache    no: it can call print\n", ""},
		{"explain-cost -decide data.shop.authz.nothing policies", 0, "waits for the body", ""},
		{"explain-cost -decide data.shop.authz.answer -o json policies", 0, `"body": false`, ""},
	} {
		code, stdout, stderr := call("", append([]string{"policy"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit %d, want %d\nstdout %q\n  want %q\nstderr %q\n  want %q", c.args, code, c.code, stdout, c.stdout, stderr, c.stderr)
		}
	}
}
