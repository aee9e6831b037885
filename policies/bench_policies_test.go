package policies

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/headgate/headgate/runtime/exchange"
)

// realistic is a policy as people write them, and a request that it allows.
type realistic struct {
	name, rego string
	data       any
	request    request
}

func realistics() []realistic {
	claims := func(x *exchange.Exchange) {
		x.Auth = exchange.Auth{Subject: "ada", Claims: map[string]any{
			"iss": "https://id.example.com", "aud": []any{"orders", "users"}, "sub": "ada", "scope": "orders:read orders:write",
			"department": "sales", "level": json.Number("4"), "groups": []any{"eu", "managers", "staff"},
		}}
	}
	browser := benchRequest().headers
	bindings, permissions := map[string]any{}, map[string]any{}
	for i := range 500 {
		bindings[fmt.Sprint("user", i)] = []string{fmt.Sprint("role", i%20)}
	}
	for i := range 20 {
		permissions[fmt.Sprint("role", i)] = []map[string]string{
			{"action": "GET", "resource": fmt.Sprint("thing", i)}, {"action": "GET", "resource": "orders"}, {"action": "POST", "resource": fmt.Sprint("thing", i)},
		}
	}
	var table []map[string]any
	rules := map[string]any{}
	for i := range 10_000 {
		rules[fmt.Sprint("tenant", i)] = map[string]any{"methods": []string{"GET", "HEAD"}, "paths": []string{"orders", fmt.Sprint("p", i)}}
	}
	for i := range 40 {
		table = append(table, map[string]any{"methods": []string{"GET"}, "path": fmt.Sprintf("/service%d/{id}/items", i), "role": "reader"})
	}
	table = append(table, map[string]any{"methods": []string{"GET"}, "path": "/orders/{id}", "role": "reader"})
	return []realistic{
		{
			name: "rbac", data: map[string]any{"bindings": bindings, "permissions": permissions},
			rego: `package t

default decision := false

decision if {
	some role in data.bindings[input.attributes.request.http.headers["x-user"]]
	some p in data.permissions[role]
	p.action == input.attributes.request.http.method
	p.resource == input.parsed_path[0]
}
`,
			request: request{target: "/orders/7", headers: append([]string{"x-user", "user77"}, browser...)},
		},
		{
			name: "abac",
			rego: `package t

import data.headgate.jwt

default decision := {"allowed": false, "http_status": 403}

claims := input.headgate.auth.claims

decision := {"allowed": true, "headers": {"x-user": claims.sub}} if {
	jwt.issued_by(claims, {"https://id.example.com"})
	jwt.has_audience(claims, {"orders"})
	jwt.has_scopes(claims, needed)
	"managers" in claims.groups
	claims.department == "sales"
	claims.level >= 3
}

needed := ["orders:read"] if input.attributes.request.http.method == "GET"

needed := ["orders:write"] if input.attributes.request.http.method != "GET"
`,
			request: request{target: "/orders/7", headers: browser, edit: claims},
		},
		{
			name: "paths", data: map[string]any{"table": table},
			rego: `package t

import data.headgate.paths

decision if paths.allows(data.table, input.attributes.request.http.method, input.parsed_path)
`,
			request: request{target: "/orders/7", headers: browser},
		},
		{
			name: "body",
			rego: `package t

decision := {"allowed": true} if {
	body := input.parsed_body
	count(body.query) < 2000
	not contains(body.query, "__schema")
	regex.match("^(query|\\{)", body.query)
	every name, value in body.variables {
		not startswith(name, "_")
		count(sprintf("%v", [value])) < 100
	}
	body.operationName in {"Orders", "Users"}
}
`,
			request: request{
				method: "POST", target: "/graphql", headers: append([]string{"content-type", "application/json"}, browser...),
				body: `{"operationName":"Orders","query":"query Orders($first: Int) { orders(first: $first) { id total items { sku count } customer { name } } }","variables":{"first":10,"after":"abc","tags":["a","b"]}}`,
			},
		},
		{
			name: "table", data: map[string]any{"rules": rules},
			rego: `package t

decision if {
	rule := data.rules[input.attributes.request.http.headers["x-tenant"]]
	input.attributes.request.http.method in rule.methods
	input.parsed_path[0] in rule.paths
}
`,
			request: request{target: "/orders/7", headers: append([]string{"x-tenant", "tenant7777"}, browser...)},
		},
	}
}

func (r *realistic) compiled(t testing.TB) *Policy {
	t.Helper()
	return compiled(t, r.rego, func(s *Spec, _ *Options) {
		if r.data == nil {
			return
		}
		text, err := json.Marshal(r.data)
		if err != nil {
			t.Fatal(err)
		}
		s.Data = []string{write(t, "data.json", string(text))}
	})
}

// BenchmarkPolicies compares the whole filter, input and edits included, with
// OPA's own prepared query, which is given the whole input as Go values.
func BenchmarkPolicies(b *testing.B) {
	for _, r := range realistics() {
		for _, mode := range []string{"evaluated", "cached"} {
			b.Run(r.name+"/"+mode, func(b *testing.B) {
				p := r.compiled(b)
				if mode == "evaluated" {
					p.program.Load().cache = nil
				}
				f := p.Filter(nil)
				x := r.request.exchange(b)
				b.ReportAllocs()
				for b.Loop() {
					if f.Request(x) != exchange.Continue {
						b.Fatal("denied", x.Failure)
					}
				}
			})
		}
		b.Run(r.name+"/plain", func(b *testing.B) {
			p := r.compiled(b)
			in := input(b, r.request.exchange(b), everything())
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				rs, err := p.program.Load().query.Eval(ctx, rego.EvalInput(in))
				if err != nil || len(rs) != 1 {
					b.Fatal(rs, err)
				}
			}
		})
	}
}

// TestRealisticPolicies: the benchmarks measure decisions, and remembered ones
// cost what they may.
func TestRealisticPolicies(t *testing.T) {
	for _, r := range realistics() {
		p := r.compiled(t)
		if p.program.Load().cache == nil {
			t.Errorf("%s: not remembered: %s", r.name, p.Cost().Uncacheable)
			continue
		}
		f := p.Filter(nil)
		x := r.request.exchange(t)
		for range 2 {
			if f.Request(x) != exchange.Continue {
				t.Errorf("%s: denied: %v", r.name, x.Failure)
			}
		}
		if n := testing.AllocsPerRun(100, func() { f.Request(x) }); n > 2 {
			t.Errorf("%s: %v allocations for a remembered decision", r.name, n)
		}
	}
}

// writeRealistics puts the policies, and the library, where an OPA server can read
// them.
func writeRealistics(t testing.TB) (dir string, inputs map[string]any) {
	t.Helper()
	dir, inputs = t.TempDir(), map[string]any{}
	if err := WriteLibrary(filepath.Join(dir, "headgate")); err != nil {
		t.Fatal(err)
	}
	for _, r := range realistics() {
		inputs[r.name] = input(t, r.request.exchange(t), everything())
		text := strings.ReplaceAll(strings.ReplaceAll(r.rego, "package t", "package "+r.name), "data.", "data."+r.name+"_data.")
		text = strings.ReplaceAll(text, "data."+r.name+"_data.headgate.", "data.headgate.")
		if err := os.WriteFile(filepath.Join(dir, r.name+".rego"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(map[string]any{r.name + "_data": r.data})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, r.name+".json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, inputs
}

// BenchmarkOPAServer asks an OPA server on loopback, as gateways without Rego of
// their own do. HEADGATE_OPA names the program; make bench-policies builds it.
func BenchmarkOPAServer(b *testing.B) {
	program := os.Getenv("HEADGATE_OPA")
	if program == "" {
		b.Skip("HEADGATE_OPA names no opa")
	}
	dir, inputs := writeRealistics(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(program, "run", "--server", "--addr", addr, "--log-level", "error", "--disable-telemetry", dir)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if r, err := http.Get("http://" + addr + "/health"); err == nil {
			_ = r.Body.Close()
			break
		} else if time.Now().After(end) {
			b.Fatal(err)
		}
	}
	defer http.DefaultClient.CloseIdleConnections()
	for _, r := range realistics() {
		question, err := json.Marshal(map[string]any{"input": inputs[r.name]})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(r.name, func(b *testing.B) {
			for b.Loop() {
				a, err := http.Post("http://"+addr+"/v1/data/"+r.name+"/decision", "application/json", bytes.NewReader(question))
				if err != nil {
					b.Fatal(err)
				}
				text, err := io.ReadAll(a.Body)
				_ = a.Body.Close()
				if err != nil || !bytes.Contains(text, []byte("true")) {
					b.Fatalf("%s %v", text, err)
				}
			}
		})
	}
}
