package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func call(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

const good = `listener "public" {
  address = "127.0.0.1:0"
}

route "hello" {
  path = "/hello"
  respond {
    status = 200
    body   = "hello"
  }
}
`

const ugly = `# kept
route "hello" {
path="/hello"
  respond {
    status=200 # why
  }
}
`

// write makes a directory with one configuration file.
func write(t *testing.T, text string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "gateway.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func TestCommands(t *testing.T) {
	dir, _ := write(t, good)
	for _, c := range []struct {
		name   string
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"nothing", "", 2, "", "Commands:"},
		{"help", "-h", 0, "validate", ""},
		{"help in a word", "help", 0, "headgate run examples/quickstart", ""},
		{"help of a command", "help fmt", 0, "headgate fmt -check", ""},
		{"misspelt", "validte x", 2, "", `Did you mean "validate"?`},
		{"another word", "frobnicate", 2, "", `no command "frobnicate"`},
		{"run: help", "run -h", 0, "examples/quickstart", ""},
		{"run: nothing", "run", 2, "", "name a directory"},
		{"run: flag", "run -frob x", 2, "", "-frob"},
		{"run: missing", "run no/such/dir", 1, "", "no/such/dir"},
		{"validate: help", "validate --help", 0, "-o json", ""},
		{"validate: nothing", "validate", 2, "", "name a directory"},
		{"validate: good", "validate DIR", 0, "1 listener, 0 upstreams, 0 plugins, 0 policies, 0 chains and 1 route; no errors", ""},
		{"validate: format", "validate DIR -o yaml", 2, "", `"yaml"`},
		{"validate: bad variable", "validate -var x DIR", 2, "", "NAME=VALUE"},
		{"fmt: nothing", "fmt", 2, "", "name a directory"},
		{"fmt: good", "fmt -check DIR", 0, "", ""},
		{"fmt: missing", "fmt no/such/dir", 1, "", "no/such/dir"},
		{"completion: bash", "completion bash", 0, "complete -o default -F _headgate headgate", ""},
		{"completion: commands below a command", "completion bash", 0, "plugin) COMPREPLY=($(compgen -W 'new build test", ""},
		{"completion: flags", "completion bash", 0, "explain) COMPREPLY=($(compgen -W '-H -admin", ""},
		{"completion: zsh", "completion zsh", 0, "'validate:check a configuration as a start would'", ""},
		{"completion: fish", "completion fish", 0, "from fmt' -o diff -d", ""},
		{"completion: no shell", "completion", 2, "", "name a shell"},
		{"completion: another", "completion tcsh", 2, "", `"tcsh"`},
		{"schema", "schema", 0, `"title": "Headgate configuration"`, ""},
		{"schema: format", "schema -o yaml", 2, "", `"yaml"`},
		{"version", "version", 0, "headgate ", ""},
		{"version as a flag", "--version", 0, "headgate ", ""},
		{"version: json", "version -o json", 0, `"platform"`, ""},
		{"version: argument", "version x", 2, "", `"x" is too much`},
		{"demo: help", "demo -h", 0, "headgate demo", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := call("", strings.Fields(strings.ReplaceAll(c.args, "DIR", dir))...)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit %d, want %d\nstdout %q, want %q\nstderr %q, want %q", code, c.code, stdout, c.stdout, stderr, c.stderr)
			}
			if c.stderr == "" && stderr != "" || c.stdout == "" && stdout != "" {
				t.Errorf("stdout %q, stderr %q", stdout, stderr)
			}
		})
	}
}

// Every command in the help text has help with an example of its own.
func TestHelpHasExamples(t *testing.T) {
	for _, c := range commands() {
		code, stdout, _ := call("", c.name, "-h")
		if code != 0 || strings.Count(stdout, "\n  headgate "+c.name) < 2 {
			t.Errorf("%s -h: exit %d\n%s", c.name, code, stdout)
		}
	}
}

func TestValidateErrors(t *testing.T) {
	dir, _ := write(t, "route \"a\" {\n  upstrem = upstream.x\n}\n\nroute \"b\" {\n  upstream = upstream.y\n}\n")
	code, stdout, stderr := call("", "validate", dir)
	if code != 1 || stdout != "" {
		t.Errorf("exit %d, stdout %q", code, stdout)
	}
	for _, want := range []string{"gateway.hcl:2:", "upstrem = upstream.x", `"upstream"`, "gateway.hcl:6:", " errors"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	code, stdout, stderr = call("", "validate", dir, "-o", "json")
	var v verdict
	if err := json.Unmarshal([]byte(stdout), &v); err != nil {
		t.Fatalf("%v: %q, %q", err, stdout, stderr)
	}
	var list []struct {
		File string
		Line int
	}
	if err := json.Unmarshal(v.Diagnostics, &list); err != nil {
		t.Fatal(err)
	}
	at := map[int]bool{}
	for _, d := range list {
		at[d.Line] = true
	}
	if code != 1 || v.Valid || !at[2] || !at[6] {
		t.Errorf("exit %d, %+v", code, list)
	}
}

func TestRunPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir, _ := write(t, "gateway {\n  admin {\n    address = \"off\"\n  }\n}\n"+strings.Replace(good, "127.0.0.1:0", l.Addr().String(), 1))
	code, _, stderr := call("", "run", "-cache", "", dir)
	if code != 3 || !strings.Contains(stderr, "in use") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

func TestFmt(t *testing.T) {
	dir, file := write(t, ugly)
	skipped := filepath.Join(dir, "_draft.hcl")
	if err := os.WriteFile(skipped, []byte("a=1"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if code, stdout, _ := call("", "fmt", "-check", dir); code != 1 || stdout != file+"\n" || read() != ugly {
		t.Errorf("-check: exit %d, %q", code, stdout)
	}
	code, stdout, _ := call("", "fmt", dir, "-diff")
	if code != 0 || read() != ugly || !strings.Contains(stdout, "@@ -1,7 +1,7 @@\n # kept\n route \"hello\" {\n-path=\"/hello\"\n+  path = \"/hello\"\n   respond {") {
		t.Errorf("-diff: exit %d\n%s", code, stdout)
	}
	if code, _, _ := call("", "fmt", "-check", "-diff", dir); code != 1 {
		t.Errorf("-check -diff: exit %d", code)
	}
	code, piped, _ := call(ugly, "fmt", "-")
	if code != 0 || !strings.Contains(piped, "status = 200 # why") || !strings.Contains(piped, "# kept") {
		t.Errorf("-: exit %d\n%s", code, piped)
	}
	if code, stdout, _ := call("", "fmt", dir); code != 0 || stdout != file+"\n" || read() != piped {
		t.Errorf("exit %d, %q\n%s", code, stdout, read())
	}
	if code, stdout, _ := call("", "fmt", "-check", dir); code != 0 || stdout != "" {
		t.Errorf("once more: exit %d, %q", code, stdout)
	}
	if b, _ := os.ReadFile(skipped); string(b) != "a=1" {
		t.Error("a file that is no configuration was changed")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("files left behind: %v", entries)
	}
	if err := os.WriteFile(file, []byte("route {"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := call("", "fmt", dir); code != 1 || !strings.Contains(stderr, "gateway.hcl:1:") || read() != "route {" {
		t.Errorf("broken: exit %d, %q", code, stderr)
	}
}

// What is not wrong, but not as it should be, is shown and no error.
func TestValidateWarnings(t *testing.T) {
	dir, _ := write(t, `
listener "l" {
  address = "127.0.0.1:0"
}
upstream "a" {
  endpoint "127.0.0.1:1" {}
  circuit_breaker {
    max_pending = 5
  }
}
`)
	code, stdout, stderr := call("", "validate", dir)
	if code != 0 || !strings.Contains(stdout, "no errors") || !strings.Contains(stderr, "gateway.hcl:8:19: warning: No effect") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	code, stdout, _ = call("", "validate", dir, "-o", "json")
	if code != 0 || !strings.Contains(stdout, `"severity": "warning"`) && !strings.Contains(stdout, `"severity":"warning"`) {
		t.Errorf("exit %d, stdout %q", code, stdout)
	}
}
