package policies

import (
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

// The policies in this file are of the kinds that the documentation of OPA's
// Envoy plugin teaches, so that what its users have runs unchanged.

const rolesPolicy = `package t

import input.attributes.request.http as http_request

default decision := false

decision if {
	http_request.method == "GET"
	glob.match("/people*", ["/"], http_request.path)
	role in {"guest", "admin"}
}

decision if {
	http_request.method == "POST"
	http_request.path == "/people"
	role == "admin"
	input.parsed_body.firstname != user
}

role := roles[user]

user := payload.sub

payload := p if {
	[_, encoded] := split(http_request.headers.authorization, " ")
	p := json.unmarshal(base64.decode(encoded))
}

roles := {"alice": "guest", "bob": "admin"}
`

const objectPolicy = `package t

import input.attributes.request.http as http_request

default allow := false

allow if input.parsed_path == ["public"]

allow if {
	input.parsed_path[0] == "orders"
	input.parsed_query.tenant[0] == http_request.headers["x-tenant"]
	not input.truncated_body
}

allow if {
	startswith(input.attributes.source.principal, "spiffe://example.com/")
}

allow if {
	net.cidr_contains("172.17.0.0/16", input.attributes.source.address.socketAddress.address)
	input.attributes.destination.address.socketAddress.portValue == 9443
}

status := 200 if allow

else := 401 if not http_request.headers["x-tenant"]

else := 403

decision["allowed"] := allow

decision["headers"] := {"x-ext-auth-allow": "yes", "x-status": sprintf("%d", [status])}

decision["response_headers_to_add"] := {"x-checked-by": "policy"}

decision["request_headers_to_remove"] := ["x-tenant"]

decision["body"] := "Unauthorized Request" if not allow

decision["http_status"] := status
`

func TestEnvoyExamples(t *testing.T) {
	const alice, bob = "Bearer eyJzdWIiOiJhbGljZSJ9", "Bearer eyJzdWIiOiJib2IifQ=="
	for _, tt := range []struct {
		name, policy string
		req          request
		verdict      exchange.Verdict
		status       int
		body         string
		fields       string // of the answer or the forwarded request
	}{
		{"guest reads", rolesPolicy, request{target: "/people", headers: []string{"Authorization", alice}}, exchange.Continue, 0, "", "Authorization: " + alice},
		{"guest writes", rolesPolicy, request{method: "POST", target: "/people", headers: []string{"authorization", alice}}, exchange.Reply, 403, "", ""},
		{"admin writes", rolesPolicy, request{method: "POST", target: "/people", headers: []string{"authorization", bob, "content-type", "application/json"}, body: `{"firstname":"carol"}`}, exchange.Continue, 0, "", "authorization: " + bob + "; content-type: application/json"},
		{"admin writes himself", rolesPolicy, request{method: "POST", target: "/people", headers: []string{"authorization", bob, "content-type", "application/json"}, body: `{"firstname":"bob"}`}, exchange.Reply, 403, "", ""},
		{"nobody", rolesPolicy, request{target: "/people"}, exchange.Reply, 403, "", ""},
		{"a token that is none", rolesPolicy, request{target: "/people", headers: []string{"authorization", "Bearer !!"}}, exchange.Reply, 403, "", ""},

		{"public", objectPolicy, request{target: "/public"}, exchange.Continue, 0, "", "x-ext-auth-allow: yes; x-status: 200"},
		{"own tenant", objectPolicy, request{target: "/orders/7?tenant=a", headers: []string{"X-Tenant", "a"}}, exchange.Continue, 0, "", "x-ext-auth-allow: yes; x-status: 200"},
		{"other tenant", objectPolicy, request{target: "/orders/7?tenant=b", headers: []string{"X-Tenant", "a"}}, exchange.Reply, 403, "Unauthorized Request", "content-type: text/plain; charset=utf-8; x-ext-auth-allow: yes; x-status: 403"},
		{"no tenant", objectPolicy, request{target: "/orders/7"}, exchange.Reply, 401, "Unauthorized Request", "content-type: text/plain; charset=utf-8; x-ext-auth-allow: yes; x-status: 401"},
		{"a body beyond the buffer", objectPolicy, request{method: "POST", target: "/orders?tenant=a", headers: []string{"x-tenant", "a"}, body: "0123456789", buffer: 5}, exchange.Reply, 403, "Unauthorized Request", "content-type: text/plain; charset=utf-8; x-ext-auth-allow: yes; x-status: 403"},
		{"the body fits", objectPolicy, request{method: "POST", target: "/orders?tenant=a", headers: []string{"x-tenant", "a"}, body: "0123456789", buffer: 10}, exchange.Continue, 0, "", "x-ext-auth-allow: yes; x-status: 200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := compiled(t, tt.policy).Filter(nil)
			x := tt.req.exchange(t)
			if v := f.Request(x); v != tt.verdict {
				t.Fatalf("verdict %d, want %d (%v)", v, tt.verdict, x.Failure)
			}
			head := &x.Request.Head
			if tt.verdict == exchange.Reply {
				head = &x.Response.Head
				if x.Response.Status != tt.status || body(x) != tt.body {
					t.Errorf("answer %d %q", x.Response.Status, body(x))
				}
			}
			if got := fieldsOf(head); got != tt.fields {
				t.Errorf("fields %q, want %q", got, tt.fields)
			}
		})
	}
}
