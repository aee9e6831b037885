package policies

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

// TestLibrary runs the library's own tests, which reach every line.
func TestLibrary(t *testing.T) {
	s := Spec{Files: []string{"library"}}
	if _, err := Check(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	r, err := Test(t.Context(), s, "", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Cases {
		if c.Outcome != "pass" {
			t.Errorf("%s:%d: %s: %s %s", c.File, c.Row, c.Name, c.Outcome, c.Error)
		}
	}
	for _, c := range r.Coverage {
		if len(c.Missed) > 0 {
			t.Errorf("%s: no test reaches the lines %v", c.File, c.Missed)
		}
	}
	tested := map[string]bool{}
	for _, c := range r.Cases {
		tested[strings.TrimPrefix(strings.TrimSuffix(c.Package, "_test"), "headgate.")] = true
	}
	doc, err := os.ReadFile("../docs/policy-library.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range libraryNames() {
		if !tested[name] {
			t.Errorf("%s has no tests", name)
		}
		if !strings.Contains(string(doc), "data.headgate."+name+"`") {
			t.Errorf("docs/policy-library.md lacks %s", name)
		}
		file := filepath.Join("library", name+".rego")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if laid, err := Format(text, file); err != nil || string(laid) != string(text) {
			t.Errorf("%s is not laid out (%v)", file, err)
		}
	}
}

func TestLibraryInPolicies(t *testing.T) {
	p := compiled(t, `package t

import data.headgate.ip
import data.headgate.jwt
import data.headgate.rates
import data.headgate.timewindow

decision := {"allowed": true, "rate_limits": rates.costly(limits, [], "GET", [])} if {
	jwt.has_scopes(input.headgate.auth.claims, ["read"])
	not ip.in_any(input.headgate.remote_ip, ["192.0.2.0/24"])
}

limits := rates.tiered({"default": [{"rate": 1}]}, "x", input.headgate.remote_ip)

unused if timewindow.open([], time.now_ns())
`)
	c := p.Cost()
	if got := strings.Join(c.Reads, " "); got != "input.headgate.auth.claims input.headgate.remote_ip" || c.Uncacheable != "" {
		t.Errorf("reads %s, %s", got, c.Uncacheable)
	}
	x := request{edit: func(x *exchange.Exchange) { x.Auth.Claims = map[string]any{"scope": "read"} }}.exchange(t)
	if p.Filter(nil).Request(x) != exchange.Continue {
		t.Error("denied")
	}
}

func TestLibraryIsOurs(t *testing.T) {
	_, err := Compile(t.Context(), Spec{Name: "t", Files: []string{write(t, "mine.rego", "package headgate.jwt\n\nscopes(_) := {\"all\"}\n")}, Decide: "data.headgate.jwt"}, Options{})
	if err == nil || !strings.Contains(err.Error(), "mine.rego:1:1: packages below data.headgate are the gateway's") {
		t.Error(err)
	}
}

// TestLibraryInBundles: a bundle of a policy that uses the library may bring it,
// or not.
func TestLibraryInBundles(t *testing.T) {
	dir := t.TempDir()
	if err := WriteLibrary(dir); err != nil {
		t.Fatal(err)
	}
	rego := write(t, "t.rego", "package t\n\nimport data.headgate.ip\n\ndecision if ip.private(input.headgate.remote_ip)\n")
	for _, files := range [][]string{{rego}, {rego, dir}} {
		p, err := Compile(t.Context(), Spec{Name: "t", Files: files, Decide: "data.t.decision"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if p.Filter(nil).Request(request{}.exchange(t)) != exchange.Continue {
			t.Error("denied")
		}
		p.Close()
	}
}
