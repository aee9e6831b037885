package config

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func testEnv(name string) (string, bool) {
	v, ok := map[string]string{"SET": "value", "HEADGATE_VAR_from_env": "e", "HEADGATE_VAR_list": `["x", "y"]`}[name]
	return v, ok
}

func TestGood(t *testing.T) {
	names, err := filepath.Glob("testdata/good/*.hcl*")
	if err != nil || len(names) == 0 {
		t.Fatal(err, names)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			c, d := Load(Source{Paths: []string{name}, Env: testEnv})
			if d.Len() > 0 || c == nil {
				t.Fatal(d.Text())
			}
		})
	}
}

// TestBad loads each file of testdata/bad. An "# ERROR: text" at the end of a
// line says that an error with this text, in its summary or its detail, is
// reported there; "|" separates several. Every error has to be expected, and
// every expected one found.
func TestBad(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.hcl*")
	if err != nil || len(names) == 0 {
		t.Fatal(err, names)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			want := expected(t, name)
			c, d := Load(Source{Paths: []string{name}, Env: testEnv})
			if c != nil {
				t.Error("a configuration with errors was returned")
			}
			for _, x := range d.HCL() {
				line := 0
				if x.Subject != nil {
					line = x.Subject.Start.Line
				}
				text := x.Summary + ": " + x.Detail
				found := false
				for i, w := range want[line] {
					if w != "" && strings.Contains(text, w) {
						want[line][i], found = "", true
						break
					}
				}
				if !found {
					t.Errorf("unexpected at line %d: %s", line, text)
				}
			}
			for line, texts := range want {
				for _, w := range texts {
					if w != "" {
						t.Errorf("line %d: no error %q", line, w)
					}
				}
			}
		})
	}
}

func expected(t *testing.T, name string) map[int][]string {
	t.Helper()
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := map[int][]string{}
	sc := bufio.NewScanner(bytes.NewReader(src))
	for line := 1; sc.Scan(); line++ {
		marker := "# ERROR: "
		if strings.HasSuffix(name, ".json") {
			marker = `"//": "ERROR: `
		}
		_, text, ok := strings.Cut(sc.Text(), marker)
		if !ok {
			continue
		}
		if strings.HasSuffix(name, ".json") {
			text, _, _ = strings.Cut(text, `"`)
		}
		for _, one := range strings.Split(text, "|") {
			want[line] = append(want[line], strings.TrimSpace(one))
		}
	}
	if len(want) == 0 {
		t.Fatal("no expected error in " + name)
	}
	return want
}

// load loads one file with the given text.
func load(t testing.TB, text string) (*Config, *Diagnostics) {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "x.hcl")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Source{Paths: []string{dir}, Env: testEnv})
}

func mustLoad(t testing.TB, text string) *Config {
	t.Helper()
	c, d := load(t, text)
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := mustLoad(t, `
listener "a" { address = ":0" }
upstream "u" {
  endpoint "h:1" {}
}
route "r" { upstream = upstream.u }
`)
	for _, check := range []struct{ name, got, want string }{
		{"gateway", fmt.Sprintf("%+v", c.Gateway), "{TrustedProxies:[] RequestID:x-request-id BodyMemory:268435456 PluginMemory:1073741824 Admin:{Address:127.0.0.1:9901 Token: Range::0,0-0} Log:{Level:info Format:text} AccessLog:<nil> Shutdown:{Delay:0s Drain:30s} Limits:{MaxHeaderBytes:65536 MaxHeaders:128 MaxBody:0 MaxConnections:0 MaxRequests:0} DebugHeader: Range::0,0-0}"},
		{"listener", fmt.Sprint(c.Listeners[0].HTTP1, c.Listeners[0].H2C, c.Listeners[0].Timeouts), "true true {10s 1m15s 5m0s}"},
		{"upstream", fmt.Sprintln(c.Upstreams[0].Balance, c.Upstreams[0].ConnectTimeout, c.Upstreams[0].Timeout, c.Upstreams[0].IdleTimeout, c.Upstreams[0].MaxIdle), "least_request 5s 15s 1m0s 512\n"},
		{"route", fmt.Sprint(c.Routes[0].Buffer, c.Routes[0].MaxBody, c.Routes[0].Timeout), "1048576 -1 0s"},
	} {
		if check.got != check.want {
			t.Errorf("%s: got  %s\nwant %s", check.name, check.got, check.want)
		}
	}
}

func TestDiscover(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	bad := "nonsense {}"
	route := func(n string) string { return fmt.Sprintf("route %q {\n  path = \"/%s\"\n  respond {}\n}\n", n, n) }
	write("a.hcl", route("a"))
	write("sub/deep/b.hcl", route("b"))
	write("c.hcl.json", `{"route": {"c": {"path": "/c", "respond": {}}}}`)
	write("_off.hcl", bad)
	write(".hidden/x.hcl", bad)
	write("_off/x.hcl", bad)
	write("notes.txt", bad)
	write("other.json", "{")
	// As Kubernetes mounts a ConfigMap.
	write("..2026/d.hcl", route("d"))
	link("..2026", "..data")
	link("..data/d.hcl", "d.hcl")
	link(".", "loop")
	c, d := Load(Source{Paths: []string{dir}})
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	var names []string
	for _, r := range c.Routes {
		names = append(names, r.Name)
	}
	if got := strings.Join(names, " "); got != "a c d b" {
		t.Errorf("routes %q", got)
	}
	if w := strings.Join(c.Watch(), "\n"); !strings.Contains(w, filepath.Join(dir, "sub", "deep")) {
		t.Errorf("watch %s", w)
	}

	c, d = Load(Source{Paths: []string{filepath.Join(dir, "a.hcl"), filepath.Join(dir, "a.hcl")}})
	if d.HasErrors() || len(c.Routes) != 1 {
		t.Errorf("one file, named twice: %s", d.Text())
	}
	for _, p := range []string{t.TempDir(), filepath.Join(dir, "missing")} {
		if _, d := Load(Source{Paths: []string{p}}); !d.HasErrors() {
			t.Errorf("%s: no error", p)
		}
	}
}

func TestVariables(t *testing.T) {
	text := `
variable "from_env" {}
variable "list" { type = list(string) }
variable "n" {
  type = number
  default = 1
}
variable "o" {
  default = { a = 1 }
}
locals {
  all = "${var.from_env} ${join(",", var.list)} ${var.n} ${var.o.a} ${env("SET")} ${env("UNSET", "d")}"
}
route "r" {
  respond { body = local.all }
}`
	name := filepath.Join(t.TempDir(), "x.hcl")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, d := Load(Source{Paths: []string{name}, Env: testEnv, Vars: map[string]string{"n": "7"}})
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	if got := c.Routes[0].Respond.Body.Const.Text; got != "e x,y 7 1 value d" {
		t.Errorf("got %q", got)
	}
	_, d = Load(Source{Paths: []string{name}, Env: testEnv, Vars: map[string]string{"n": "x", "lst": "1"}})
	for _, want := range []string{"The value of -var for variable n is not a number", `Did you mean "list"?`} {
		if !strings.Contains(d.Text(), want) {
			t.Errorf("no %q in %s", want, d.Text())
		}
	}
}

func TestSecretsStaySecret(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := `
variable "pw" {
  sensitive = true
}
variable "typed" {
  sensitive = true
  type      = number
  default   = "hunter2"
}
gateway {
  body_memory = var.pw
  request_id  = secret("key")
  admin { address = "0.0.0.0:${var.pw}" }
  log { level = secret("key") }
  shutdown { drain = secret("key") }
  limits {
    max_headers = var.pw
    max_body    = jsondecode(var.pw)
    max_requests = tonumber(secret("key"))
  }
}
route "r" {
  path = var.pw
  methods = [secret("key"), "a b${var.pw}"]
  hosts = ["${var.pw}/x"]
  match {
    remote_ip = [var.pw]
    header "x" { regex = "(${var.pw}" }
  }
  respond {
    status = var.pw
    body = regex(var.pw, "a")
  }
}
upstream "u" {
  for_each = toset([var.pw])
  endpoint "a:1" { weight = var.pw }
}
`
	if err := os.WriteFile(filepath.Join(dir, "x.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, d := Load(Source{Paths: []string{dir}, Vars: map[string]string{"pw": "hunter2("}})
	if d.Errors() < 10 {
		t.Errorf("only %d errors", d.Errors())
	}
	for _, out := range []string{d.Text(), string(d.JSON()), d.Error()} {
		if i := strings.Index(strings.ReplaceAll(out, `"hunter2"`, ""), "hunter2"); i >= 0 {
			t.Errorf("a secret is shown: %s", out)
		}
		if strings.Contains(out, `default   = "hunter2"`) {
			t.Error("the line of a sensitive default is shown")
		}
	}
}

func TestSecretValue(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.hcl"), []byte("gateway {\n  admin {\n    token = secret(\"key\")\n  }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, d := Load(Source{Paths: []string{dir}})
	if d.HasErrors() || c.Gateway.Admin.Token != "hunter2" {
		t.Errorf("%s", d.Text())
	}
	found := false
	for _, w := range c.Watch() {
		found = found || w == filepath.Join(dir, "key")
	}
	if !found {
		t.Errorf("the secret is not watched: %v", c.Watch())
	}
}

func TestBounds(t *testing.T) {
	deep := func(open, shut string, n int) string {
		return "locals {\n  x = " + strings.Repeat(open, n) + "1" + strings.Repeat(shut, n) + "\n}\n"
	}
	for name, text := range map[string]string{
		"brackets":     deep("[", "]", 100_000),
		"parentheses":  deep("(", ")", 100_000),
		"not":          deep("!", "", 1_000_000),
		"minus":        deep("-", "", 1_000_000),
		"sum":          deep("1+", "", 1_000_000),
		"conditional":  deep("true ? 1 : ", "", 300_000),
		"templates":    deep("\"${", "}\"", 100_000),
		"index":        "locals {\n x = a" + strings.Repeat("[0]", 300_000) + "\n}\n",
		"splat":        "locals {\n x = a" + strings.Repeat(".*", 300_000) + "\n}\n",
		"control":      "locals {\n x = \"" + strings.Repeat("%{if true}", 100_000) + "\"\n}\n",
		"blocks":       strings.Repeat("a {\n", 100_000),
		"number":       "locals {\n x = 1e999999999\n}\n",
		"format":       "locals {\n x = format(\"%999999999d\", 1)\n}\n",
		"not a file":   "locals {\n x = file(\"/dev/zero\")\n}\n",
		"self":         "locals {\n x = local.x\n}\n",
		"unterminated": "locals {\n x = \"${",
	} {
		t.Run(name, func(t *testing.T) {
			if _, d := load(t, text); !d.HasErrors() {
				t.Error("no error")
			}
		})
	}
	big := filepath.Join(t.TempDir(), "big.hcl")
	if err := os.WriteFile(big, make([]byte, maxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, d := Load(Source{Paths: []string{big}}); !strings.Contains(d.Text(), "larger than 16 MiB") {
		t.Error(d.Text())
	}
	for name, text := range map[string]string{
		"arrays":   strings.Repeat("[", 1_000_000),
		"objects":  strings.Repeat(`{"a":`, 1_000_000),
		"template": `{"locals": {"x": "${` + strings.Repeat("(", 100_000) + `"}}`,
		"number":   `{"locals": {"x": 1e999999999}}`,
	} {
		t.Run("json "+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.hcl.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, d := Load(Source{Paths: []string{path}}); !d.HasErrors() {
				t.Error("no error")
			}
		})
	}
}
