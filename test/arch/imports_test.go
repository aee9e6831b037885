package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/headgate/headgate/"
	root   = "../.."
)

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath, Dir, Name, Doc   string
	Imports, TestImports         []string
	XTestImports                 []string
	GoFiles, TestGoFiles         []string
	XTestGoFiles, IgnoredGoFiles []string
	Standard, DepOnly            bool
	Deps                         []string
}

// path is the import path within the module.
func (p *pkg) path() string { return strings.TrimPrefix(p.ImportPath, module) }

// list runs go list in a module of the repository.
func list(t *testing.T, dir string) []*pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json", "./...")
	cmd.Dir = root + "/" + dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var all []*pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// matrix says which packages of ours each one may import. A name that ends in
// "/" stands for everything below it. What is not listed may import nothing of
// ours; a package that matches no row is an error.
func matrix() map[string][]string {
	config := []string{
		"runtime/exchange", "runtime/http1", "runtime/router", "runtime/upstream", "runtime/proxy", "runtime/certs",
		"runtime/listen", "runtime/state", "runtime/telemetry", "host", "host/builtin", "host/source", "policies",
	}
	capability := []string{"runtime/exchange", "host"}
	return map[string][]string{
		"runtime/exchange":  {},
		"runtime/http1":     {"runtime/exchange"},
		"runtime/http2":     {"runtime/exchange", "runtime/http1"}, // its Limits, Timeouts and Refuser, which both front ends share
		"runtime/router":    {"runtime/exchange"},
		"runtime/state":     {"runtime/exchange"},
		"runtime/telemetry": {"runtime/exchange"},
		"runtime/certs":     {"runtime/exchange"},
		"runtime/upstream":  {"runtime/exchange", "runtime/http1", "runtime/http2", "runtime/telemetry"},
		"runtime/listen":    {"runtime/exchange", "runtime/certs", "runtime/http1", "runtime/http2"},
		"runtime/proxy":     {"runtime/exchange", "runtime/router", "runtime/upstream", "runtime/telemetry"},
		"runtime/config":    config,
		"runtime/admin":     {},
		"runtime/gateway":   append([]string{"runtime/config", "runtime/admin"}, config...),
		"host/source":       {},
		"host/fuel":         {},
		"host":              {"runtime/exchange", "host/fuel", "host/abi", "host/abi/", "host/capability/"},
		"host/abi":          {"runtime/exchange"},
		"host/abi/":         {"runtime/exchange", "host/abi"},
		"host/capability/":  capability,
		"host/builtin":      {},
		"host/hosttest":     {"runtime/exchange"},
		"policies":          {"runtime/exchange"},
		"cmd/headgate":      {"cmd/headgate/internal/", "runtime/", "host", "host/builtin", "policies"},
		"cmd/headgate/internal/": {
			"runtime/exchange",
		},
		"cmd/headgate/internal/golden": {"runtime/exchange", "host", "host/abi"},
		"bench":                        {},
		"test/":                        {},
		"test/registry":                {"test/need"},
	}
}

// row returns what matrix says of a package.
func row(path string) (allowed []string, ok bool) {
	m := matrix()
	if allowed, ok := m[path]; ok {
		return allowed, true
	}
	for name, allowed := range m {
		if strings.HasSuffix(name, "/") && strings.HasPrefix(path, name) {
			return allowed, true
		}
	}
	return nil, false
}

func allows(allowed []string, path string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return a == path || strings.HasSuffix(a, "/") && strings.HasPrefix(path, a)
	})
}

func TestImportDirection(t *testing.T) {
	for _, p := range list(t, ".") {
		allowed, ok := row(p.path())
		if !ok {
			t.Errorf("%s is not in the matrix: say what it may import", p.path())
			continue
		}
		for _, i := range p.Imports {
			if ours, ok := strings.CutPrefix(i, module); ok && !allows(allowed, ours) {
				t.Errorf("%s must not import %s", p.path(), ours)
			}
		}
	}
}

// The matrix itself must not let a package reach one that may reach it.
func TestMatrixHasNoCycle(t *testing.T) {
	packages := list(t, ".")
	reach := func(from string) []string {
		allowed, _ := row(from)
		var to []string
		for _, p := range packages {
			if p.path() != from && allows(allowed, p.path()) {
				to = append(to, p.path())
			}
		}
		return to
	}
	state := map[string]int{} // 1: on the way, 2: done
	var visit func(string)
	visit = func(p string) {
		state[p] = 1
		for _, q := range reach(p) {
			switch state[q] {
			case 0:
				visit(q)
			case 1:
				t.Errorf("the matrix allows a cycle through %s and %s", p, q)
			}
		}
		state[p] = 2
	}
	for _, p := range packages {
		if state[p.path()] == 0 {
			visit(p.path())
		}
	}
}

func TestExchangeIsALeaf(t *testing.T) {
	for _, p := range list(t, ".") {
		if p.path() != "runtime/exchange" {
			continue
		}
		for _, d := range p.Deps {
			if d == "net/http" || strings.Contains(strings.SplitN(d, "/", 2)[0], ".") && !strings.HasPrefix(d, "vendor/") {
				t.Errorf("runtime/exchange depends on %s", d)
			}
		}
	}
}

// A package named runtime would shadow the standard one in every file.
func TestNoPackageNamedRuntime(t *testing.T) {
	for _, p := range list(t, ".") {
		if p.Name == "runtime" {
			t.Errorf("%s is named runtime", p.path())
		}
	}
}

// Plugins must not inherit the dependencies of the gateway, nor the gateway
// those of plugins.
func TestModulesAreApart(t *testing.T) {
	for _, dir := range []string{".", "sdk/go", "plugins"} {
		for _, p := range list(t, dir) {
			for _, i := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
				sdk := strings.HasPrefix(i, module+"sdk/") || strings.HasPrefix(i, module+"plugins")
				if dir == "." && sdk || dir != "." && strings.HasPrefix(i, module) && !sdk {
					t.Errorf("%s imports %s", p.ImportPath, i)
				}
			}
		}
	}
}
