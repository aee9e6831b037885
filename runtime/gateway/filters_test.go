package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/gateway"
)

const roleRego = `package role

decision := {"allowed": true, "headers": {"x-role-seen": role}, "response_headers_to_add": {"x-decided": "yes"}} if role in {"reader", "admin"}

decision := {"allowed": false, "http_status": 403, "body": "not you", "headers": {"x-why": "role"}} if not role in {"reader", "admin"}

default role := "nobody"

role := input.attributes.request.http.headers["x-role"]
`

const crashRego = `package crash

allow if {
	input.attributes.request.http.headers["x-n"] == "1"
	x := to_number(input.attributes.request.http.headers["x-n"]) / 0
	x > 1
}
`

func TestFilters(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, seen)
	r := start(t, map[string]string{
		"good.wasm": guest("good", goOn), "trap.wasm": guest("trap", trap),
		"role.rego": roleRego, "never.rego": strings.NewReplacer("open", "never", "GET", "NONE").Replace(openRego),
		"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
}
plugin "mark" {
  source = "good.wasm"
}
plugin "broken" {
  source = "trap.wasm"
}
policy "role" {
  rego   = ["role.rego"]
  decide = "data.role.decision"
}
policy "undefined" {
  rego   = ["never.rego"]
  decide = "data.never.allow"
}
chain "secured" {
  filter "mark" {}
  filter "policy" {
    policy = policy.role
  }
}
route "secured" {
  path_prefix = "/secured"
  use         = [chain.secured]
  upstream    = upstream.b
}
route "when" {
  path = "/when"
  filter "broken" {
    when = request.header["x-break"] == "1"
  }
  upstream = upstream.b
}
route "shadow" {
  path = "/shadow"
  filter "policy" {
    policy = policy.role
    shadow = true
  }
  filter "broken" {
    shadow = true
  }
  upstream = upstream.b
}
route "lenient" {
  path = "/lenient"
  filter "broken" {
    on_error = "allow"
  }
  upstream = upstream.b
}
route "undefined" {
  path = "/undefined"
  filter "policy" {
    policy = policy.undefined
  }
  upstream = upstream.b
}
route "own" {
  path = "/own"
  filter "mark" {}
  respond {
    status = 404
    body   = "mine"
  }
}
`, addr)})
	r.write("preamble.hcl", strings.Replace(preamble, "gateway {", "gateway {\n debug {\n  header = \"x-debug\"\n }\n", 1))
	r.reload()
	for _, c := range []struct {
		name, path string
		headers    []string
		status     int
		body       string
		header     map[string]string
	}{
		{"refused with the policy's own answer", "/secured", nil, 403, "^not you$", map[string]string{"X-Why": "role", "X-Plugin": "good"}},
		{"allowed", "/secured", []string{"x-role: reader"}, 200, "^GET /secured", map[string]string{"X-Decided": "yes", "X-Plugin": "good", "X-Backend": "yes"}},
		{"when false skips", "/when", nil, 200, "^GET", nil},
		{"when true runs", "/when", []string{"x-break: 1"}, 500, `"status":500`, nil},
		{"shadow changes nothing", "/shadow", nil, 200, "^GET", map[string]string{"X-Why": "", "X-Decided": ""}},
		{"on_error allow", "/lenient", nil, 200, "^GET", nil},
		{"undefined is a denial", "/undefined", nil, 403, `"status":403`, nil},
		{"our own responses pass the response side", "/own", nil, 404, "^mine$", map[string]string{"X-Plugin": "good"}},
		{"timing when asked", "/secured", []string{"x-role: reader", "x-debug: 1"}, 200, "", map[string]string{"Server-Timing": "mark;dur="}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, h, body := r.get(c.path, c.headers...)
			if status != c.status || !regexp.MustCompile(c.body).MatchString(body) {
				t.Errorf("got %d %q, want %d %q", status, body, c.status, c.body)
			}
			for name, want := range c.header {
				if got := h.Get(name); want == "" && got != "" || !strings.HasPrefix(got, want) {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
	m := r.admin("/metrics")
	for _, want := range []string{
		`headgate_filter_shadow_verdicts_total{filter="policy.role",route="shadow",verdict="reply"} 1`,
		`headgate_filter_shadow_verdicts_total{filter="broken",route="shadow",verdict="fail"} 1`,
		`headgate_policy_decisions_total{policy="role",result="deny"}`,
		`headgate_filter_verdicts_total{filter="mark",route="secured",verdict="continue"}`,
		`headgate_upstream_requests_total{endpoint=`,
	} {
		if !strings.Contains(m, want) {
			t.Errorf("no %s in\n%s", want, grep(m, "headgate_"))
		}
	}
}

func TestInvalidModules(t *testing.T) {
	checkLeaks(t)
	r := &rig{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	r.write("preamble.hcl", preamble)
	r.write("garbage.wasm", "this is no module")
	r.write("empty.wasm", "\x00asm\x01\x00\x00\x00")
	r.write("crash.rego", crashRego+"\nbroken if {")
	r.write("plugins.hcl", `plugin "garbage" {
  source = "garbage.wasm"
}
plugin "empty" {
  source = "empty.wasm"
}
policy "crash" {
  rego   = ["crash.rego"]
  decide = "data.crash.allow"
}
`)
	for what, f := range map[string]func() error{
		"validate": func() error { _, _, err := gateway.Validate(context.Background(), r.options()); return err },
		"start":    func() error { _, err := gateway.Start(context.Background(), r.options()); return err },
	} {
		err := f()
		var d *config.Diagnostics
		if !errors.As(err, &d) {
			t.Fatalf("%s: %v is no diagnostics", what, err)
		}
		for _, want := range []string{"plugins.hcl:2:12", "plugins.hcl:5:12", "handle_request", "crash.rego:"} {
			if !strings.Contains(d.Text(), want) {
				t.Errorf("%s does not say %q:\n%s", what, want, d.Text())
			}
		}
	}
}
