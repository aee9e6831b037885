package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

const extendRego = `package extend

user := input.attributes.request.http.headers["x-user"]

decision := {
	"allowed": true,
	"upstream": input.attributes.request.http.headers["x-upstream"],
	"rewrite": {"path": "/rewritten", "host": "other.example"},
	"log": {"user": user},
	"obligations": {"mask": ["ssn"]},
	"rate_limits": [{"key": user, "rate": "2/1h"}],
}
`

const obligedRego = `package obliged

decision := {"allowed": true, "response_headers_to_add": {"x-oblige": input.headgate.filters.extend.obligations.mask[0]}}
`

// TestPolicyExtensions: what a policy may decide beyond yes and no, over sockets.
func TestPolicyExtensions(t *testing.T) {
	checkLeaks(t)
	named := func(name string) string {
		return backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name, " ", r.Host, r.URL.Path) })
	}
	r := start(t, map[string]string{
		"preamble.hcl": strings.Replace(preamble, "  admin {", "  access_log {\n    path = \"access.log\"\n  }\n  admin {", 1),
		"extend.rego":  extendRego, "obliged.rego": obligedRego,
		"routes.hcl": fmt.Sprintf(`
upstream "blue" {
  endpoint %q {}
}
upstream "green" {
  endpoint %q {}
}
policy "extend" {
  rego   = ["extend.rego"]
  decide = "data.extend.decision"
}
policy "obliged" {
  rego   = ["obliged.rego"]
  decide = "data.obliged.decision"
}
route "a" {
  path_prefix = "/a"
  filter "policy" {
    policy = policy.extend
  }
  filter "policy" {
    policy = policy.obliged
  }
  split {
    to "blue" {
      upstream = upstream.blue
    }
    to "green" {
      upstream = upstream.green
    }
  }
}`, named("blue"), named("green")),
	})
	for i, want := range []struct {
		user, upstream string
		status         int
		body           string
	}{
		{"ada", "green", 200, "green other.example/rewritten"},
		{"bob", "blue", 200, "blue other.example/rewritten"},
		{"ada", "red", 500, ""},
		{"ada", "green", 429, ""},
		{"bob", "green", 200, "green other.example/rewritten"},
	} {
		if i == 4 {
			r.reload() // counters outlive it
		}
		status, h, body := r.get("/a/x", "X-User: "+want.user, "X-Upstream: "+want.upstream)
		if status != want.status || want.body != "" && body != want.body {
			t.Errorf("%d: %d %q", i, status, body)
		}
		if status == 200 && (h.Get("x-oblige") != "ssn" || !strings.HasPrefix(h.Get("ratelimit"), `"extend";r=`)) {
			t.Errorf("%d: %v", i, h)
		}
		if status == 429 && (h.Get("retry-after") != "1800" && h.Get("retry-after") != "1799") {
			t.Errorf("%d: %v", i, h)
		}
	}
	if status, _, _ := r.get("/a/x", "X-User: bob", "X-Upstream: blue"); status != 429 {
		t.Errorf("status %d: the counters were lost by the reload", status)
	}
	eventually(t, "the access log", func() bool {
		text, _ := os.ReadFile(filepath.Join(r.dir, "access.log"))
		return strings.Contains(string(text), `"fields":{"user":"ada"}`)
	})
}

// TestPolicyBundle: the gateway starts without its bundle, is not ready, and
// decides by it when it is there; a reload takes it over.
func TestPolicyBundle(t *testing.T) {
	checkLeaks(t)
	rego := "package b\n\ndecision := data.open\n"
	m, err := ast.ParseModuleWithOpts("/b.rego", rego, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		t.Fatal(err)
	}
	b := bundle.Bundle{Data: map[string]any{"open": true}, Modules: []bundle.ModuleFile{{URL: "/b.rego", Path: "/b.rego", Raw: []byte(rego), Parsed: m}}}
	b.Manifest.Init()
	var content bytes.Buffer
	if err := bundle.NewWriter(&content).Write(b); err != nil {
		t.Fatal(err)
	}
	var there atomic.Bool
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if !there.Load() {
			w.WriteHeader(503)
			return
		}
		_, _ = w.Write(content.Bytes())
	}))
	defer srv.Close()
	routes := fmt.Sprintf(`
policy "b" {
  decide = "data.b.decision"
  bundle {
    url  = "%s/b.tar.gz"
    poll = "1h"
  }
}
route "a" {
  path = "/a"
  filter "policy" {
    policy = policy.b
  }
  respond {
    status = 200
  }
}`, srv.URL)
	r := start(t, map[string]string{"routes.hcl": routes})
	ready := func() (int, string) {
		res, err := http.Get("http://" + r.g.Addrs()["admin"].String() + "/ready")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	if status, text := ready(); status != 503 || !strings.Contains(text, "waits for its bundle") {
		t.Errorf("ready: %d %s", status, text)
	}
	if status, _, _ := r.get("/a"); status != 500 {
		t.Errorf("status %d without a bundle", status)
	}
	there.Store(true)
	eventually(t, "the bundle", func() bool { status, _ := ready(); return status == 200 })
	if status, _, _ := r.get("/a"); status != 200 {
		t.Errorf("status %d with the bundle", status)
	}
	n := asked.Load()
	r.write("more.hcl", "route \"more\" {\n  path = \"/more\"\n  respond {\n    status = 204\n  }\n}\n")
	r.reload()
	if status, _, _ := r.get("/a"); status != 200 || asked.Load() != n {
		t.Errorf("after a reload: status %d, asked %d times more", status, asked.Load()-n)
	}
	var list []json.RawMessage
	if json.Unmarshal([]byte(r.admin("/routes")), &list) == nil && len(list) == 1 {
		t.Error("the reload did nothing")
	}
}
