package policies

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/headgate/headgate/runtime/exchange"
)

func TestCompileErrors(t *testing.T) {
	tests := []struct {
		name, src, decide string
		allow             []string
		data              string // a JSON file
		want              []string
	}{
		{name: "syntax", src: "package t\n\ndecision if {\n  x ==\n}\n", want: []string{"t.rego:5:1"}},
		{name: "every problem at once", src: "package t\n\ndecision if foo(1)\n\nother if bar(2)\n", want: []string{"t.rego:3:13: undefined function foo", "t.rego:5:10: undefined function bar"}},
		{name: "strict: unused local", src: "package t\n\ndecision if {\n  unused := 1\n  true\n}\n", want: []string{"t.rego:4:3", "unused"}},
		{name: "strict: unused import", src: "package t\n\nimport data.x\n\ndecision := true\n", want: []string{"t.rego:3:1", "unused"}},
		{name: "version 0 of Rego", src: "package t\n\ndecision { true }\n", want: []string{"t.rego:3:1", "`if` keyword is required"}},
		{name: "http.send is not granted", src: "package t\n\ndecision if http.send({\"url\": \"http://x\", \"method\": \"GET\"}).status_code == 200\n", want: []string{"t.rego:3:13", "http.send is not granted", `allow = ["http.send"]`}},
		{name: "net.lookup_ip_addr is not granted", src: "package t\n\ndecision if count(net.lookup_ip_addr(\"x\")) > 0\n", want: []string{`allow = ["net.lookup_ip_addr"]`}},
		{name: "opa.runtime is not granted", src: "package t\n\ndecision if opa.runtime().env.HOME\n", want: []string{`allow = ["opa.runtime"]`}},
		{name: "one grant does not give another", allow: []string{"opa.runtime"}, src: "package t\n\ndecision if http.send({})\n", want: []string{"http.send is not granted"}},
		{name: "a grant of nothing known", allow: []string{"time.now_ns"}, src: "package t\n\ndecision := true\n", want: []string{`"time.now_ns" can't be allowed`}},
		{name: "no such rule", decide: "data.t.decisoin", src: "package t\n\ndecision := true\n", want: []string{"no rule is called data.t.decisoin", "data.t.decision"}},
		{name: "no such package", decide: "data.other.decision", src: "package t\n\ndecision := true\n", want: []string{"did you mean data.t.decision?"}},
		{name: "no rule at all", decide: "input.x", src: "package t\n\ndecision := true\n", want: []string{"names no rule"}},
		{name: "not a reference", decide: "data.t[", src: "package t\n\ndecision := true\n", want: []string{"names no rule"}},
		{name: "data where rules are", data: `{"t": {"decision": true}}`, src: "package t\n\ndecision := true\n", want: []string{"t.rego:3:1", "conflict"}},
		{name: "data that is no object", data: `[1]`, src: "package t\n\ndecision := true\n", want: []string{"data.json", "object at its root"}},
		{name: "data that is no JSON", data: `{"a":`, src: "package t\n\ndecision := true\n", want: []string{"data.json", "no valid JSON"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Spec{Name: "t", Files: []string{write(t, "t.rego", tt.src)}, Decide: "data.t.decision", Allow: tt.allow}
			if tt.decide != "" {
				s.Decide = tt.decide
			}
			if tt.data != "" {
				s.Data = []string{write(t, "data.json", tt.data)}
			}
			p, err := Compile(context.Background(), s, Options{})
			if err == nil {
				p.Close()
				t.Fatal("compiled")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q lacks %q", err, w)
				}
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Errorf("%T is no *Error", err)
			}
		})
	}
}

func TestFilesAndData(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.rego":             "package t\n\nimport data.lib.names\n\ndecision if names.known(input.attributes.request.http.method)\n",
		"lib/names.rego":     "package lib.names\n\nknown(m) if m in data.methods\n\nknown(m) if data.extra[m]\n",
		"a_test.rego":        "package t_test\n\nthis is not even Rego\n",
		"lib/notes.txt":      "nothing",
		".hidden/other.rego": "nor is this",
		"data.json":          `{"methods": ["GET"], "extra": {"PUT": true}}`,
		"more.yaml":          "extra:\n  PATCH: true\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := Spec{
		Name: "t", Files: []string{dir, filepath.Join(dir, "a.rego")}, Decide: "data.t.decision",
		Data: []string{filepath.Join(dir, "data.json"), filepath.Join(dir, "more.yaml")},
	}
	p, err := Compile(context.Background(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	f := p.Filter(nil)
	for method, want := range map[string]exchange.Verdict{
		"GET": exchange.Continue, "PUT": exchange.Continue, "PATCH": exchange.Continue, "DELETE": exchange.Reply,
	} {
		if got := f.Request(request{method: method}.exchange(t)); got != want {
			t.Errorf("%s: verdict %d, want %d", method, got, want)
		}
	}

	s.Data = append(s.Data, write(t, "again.json", `{"extra": {"PATCH": false}}`))
	if _, err := Compile(context.Background(), s, Options{}); err == nil || !strings.Contains(err.Error(), "data.extra.PATCH is already in another data file") {
		t.Errorf("conflicting data: %v", err)
	}
	s.Files = []string{filepath.Join(dir, "nowhere.rego")}
	if _, err := Compile(context.Background(), s, Options{}); err == nil || !strings.Contains(err.Error(), "nowhere.rego: can't be read") {
		t.Errorf("missing file: %v", err)
	}
}

func TestGranted(t *testing.T) {
	t.Setenv("HEADGATE_TEST_GRANT", "yes")
	p := compiled(t, "package t\n\ndecision if opa.runtime().env.HEADGATE_TEST_GRANT == \"yes\"\n",
		func(s *Spec, _ *Options) { s.Allow = []string{"opa.runtime"} })
	if v := p.Filter(nil).Request(request{}.exchange(t)); v != exchange.Continue {
		t.Errorf("verdict %d", v)
	}
}

func TestCapabilitiesFile(t *testing.T) {
	rego := write(t, "t.rego", "package t\n\ndecision if count(numbers.range(1, 3)) == 3\n")
	for text, want := range map[string]string{
		`{"builtins": [{"name": "count", "decl": {"type": "function", "args": [{"type": "any"}], "result": {"type": "number"}}}]}`: "numbers.range",
		`{"builtins": 7}`: "no capabilities file",
	} {
		_, err := Compile(t.Context(), Spec{Name: "t", Files: []string{rego}, Decide: "data.t.decision", Capabilities: write(t, "caps.json", text)}, Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	var all strings.Builder
	if err := json.NewEncoder(&all).Encode(ast.CapabilitiesForThisVersion()); err != nil {
		t.Fatal(err)
	}
	s := Spec{Name: "t", Files: []string{rego}, Decide: "data.t.decision", Capabilities: write(t, "caps.json", all.String())}
	p, err := Compile(t.Context(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	// It grants nothing that is guarded.
	s.Files = []string{write(t, "t.rego", "package t\n\ndecision if http.send({})\n")}
	if _, err := Compile(t.Context(), s, Options{}); err == nil || !strings.Contains(err.Error(), "http.send is not granted") {
		t.Error(err)
	}
	s.Capabilities = "none.json"
	if _, err := Compile(t.Context(), s, Options{}); err == nil || !strings.Contains(err.Error(), "none.json: can't be read") {
		t.Error(err)
	}
}
