package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headgate/headgate/host"
	"github.com/headgate/headgate/policies"
	"github.com/headgate/headgate/runtime/telemetry"
	"github.com/headgate/headgate/runtime/upstream"
)

func testDeps(t *testing.T) Deps {
	t.Helper()
	h, err := host.New(t.Context(), host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := telemetry.New(prometheus.NewRegistry())
	r := upstream.NewRegistry(m)
	t.Cleanup(func() {
		r.Close()
		_ = h.Close(context.Background())
	})
	return Deps{Upstreams: r, Host: h, Metrics: m, Policies: policies.NewStore(policies.StoreOptions{})}
}

// write makes files of a directory and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBuild(t *testing.T) {
	dir := write(t, map[string]string{
		"a.rego": "package a\n\ndecision := true\n",
		"x.hcl": `
gateway {
  limits { max_body = "1MiB" }
  access_log { path = "access.log" }
}
listener "l" { address = "127.0.0.1:0" }
upstream "u" {
  for_each = toset(["x"])
  endpoint "127.0.0.1:1" {}
}
policy "a" {
  rego     = ["a.rego"]
  decide   = "data.a.decision"
  on_error = "allow"
}
chain "c" {
  filter "policy" {
    policy = policy.a
    when   = request.json["x"] == 1
  }
}
route "up" {
  path     = "/up/{id}"
  use      = [chain.c]
  upstream = upstream.u["x"]
  max_body = "0"
  rewrite { path = "/v2/${path.id}" }
  response_headers {
    set = { x-tier = request.json["tier"] }
  }
}
route "hello" {
  path = "/hello"
  respond { body = "hi" }
}
`})
	c, d := Load(Source{Paths: []string{dir}})
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	g, d := Build(t.Context(), c, testDeps(t))
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	defer g.Close()
	if got := *g.Summary(); got != (Summary{Listeners: 1, Upstreams: 1, Policies: 1, Chains: 1, Routes: 2}) {
		t.Errorf("%+v", got)
	}
	up := g.Table.Routes[0]
	if len(up.Chain.Steps()) != 1 || !up.Chain.Steps()[0].AllowOnError || up.Chain.Steps()[0].Name != "policy.a" {
		t.Errorf("%+v", up.Chain.Steps())
	}
	x := testExchange("")
	x.Request.Path = "/up/7"
	if r := g.Table.Router.Lookup(x); r.Route != 0 {
		t.Fatalf("%+v", r)
	}
	v, err := up.Rewrite.Path(x)
	if got := show(v, err); got != `"/v2/7"` {
		t.Error(got)
	}
	if len(up.RequestHeaders) != 1 {
		t.Errorf("nothing reads the body ahead for the response: %+v", up.RequestHeaders)
	}
	if len(g.Listeners) != 1 || g.Listeners[0].Limits.MaxHeaders != 128 {
		t.Errorf("%+v", g.Listeners)
	}
}

func TestBuildErrors(t *testing.T) {
	dir := write(t, map[string]string{
		"bad.wasm":  "nonsense",
		"ok.rego":   "package a\n\ndecision := true\n",
		"bad.rego":  "package b\n\ndecision := tru\n",
		"bad2.rego": "package b\n\ndecision := undefined_function(1)\n",
		"x.hcl": `plugin "bad" {
  source = "bad.wasm"
}
plugin "sum" {
  source = "bad.wasm"
  sha256 = "` + strings.Repeat("0", 64) + `"
}
policy "bad" {
  rego   = ["bad.rego"]
  decide = "data.b.decision"
}
policy "rule" {
  rego   = ["ok.rego"]
  decide = "data.a.missing"
}
route "r" {
  path = "/r"
  filter "bad" {}
  respond {}
}
`})
	c, d := Load(Source{Paths: []string{dir}})
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	g, d := Build(t.Context(), c, testDeps(t))
	if g != nil {
		t.Error("a generation with errors")
	}
	for _, want := range []string{"x.hcl:2:12: error: Invalid module", "x.hcl:6:12: error: Wrong digest", "bad.rego:3:", "x.hcl:14:12: error: Invalid policy"} {
		if !strings.Contains(d.Text(), want) {
			t.Errorf("no %q in\n%s", want, d.Text())
		}
	}
}
