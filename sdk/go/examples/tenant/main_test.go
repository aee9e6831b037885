package main

import (
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/headgatetest"
)

func TestTenant(t *testing.T) {
	for _, c := range []struct {
		name, config string
		headers      []string
		verdict      headgate.Verdict
		id, body     string
	}{
		{"named", `{}`, []string{"X-Tenant:  Acme "}, headgate.Continue, "acme", ""},
		{"missing", `{}`, nil, headgate.Replied, "", `{"detail":"send the name of your tenant in the header x-tenant","error":"missing_tenant"}` + "\n"},
		{"another header", `{"header": "x-org"}`, []string{"x-org: acme"}, headgate.Continue, "acme", ""},
		{"on the list", `{"tenants": ["acme", "globex"]}`, []string{"x-tenant: GLOBEX"}, headgate.Continue, "globex", ""},
		{"not on the list", `{"tenants": ["acme"]}`, []string{"x-tenant: initech"}, headgate.Replied, "", `{"detail":"this tenant is not known","error":"unknown_tenant"}` + "\n"},
		{"a client's own id does not survive", `{}`, []string{"x-tenant: acme", "x-tenant-id: globex"}, headgate.Continue, "acme", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := headgatetest.New(t, "tenant", c.config).Request("GET", "/orders", c.headers...)
			if x.Verdict != c.verdict {
				t.Fatalf("verdict %v, want %v (%s)", x.Verdict, c.verdict, x.Failure)
			}
			if c.verdict == headgate.Replied {
				if x.Status() != 400 || x.ResponseBody() != c.body || x.ResponseHeader("content-type") != "application/json" {
					t.Errorf("answer %d %q %s", x.Status(), x.ResponseHeader("content-type"), x.ResponseBody())
				}
				return
			}
			if got := x.RequestHeader("x-tenant-id"); got != c.id {
				t.Errorf("x-tenant-id %q, want %q", got, c.id)
			}
			if got := x.RequestHeader("x-tenant") + x.RequestHeader("x-org"); got != "" {
				t.Errorf("the client's header goes to the backend: %q", got)
			}
			x.Respond(200, "ok")
			if got := x.ResponseHeader("x-served-for"); got != c.id {
				t.Errorf("x-served-for %q, want %q", got, c.id)
			}
		})
	}
}

func TestConfigErrors(t *testing.T) {
	for _, config := range []string{`{"headers": "x"}`, `{"tenants": "acme"}`, `{"header": 1}`, `[]`} {
		if _, _, err := headgate.New("tenant", []byte(config)); err == nil {
			t.Errorf("%s is taken", config)
		}
	}
}
