package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/config"
)

const root = "../.."

// pages returns the text of every page by its name.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md", "examples/*/*.md", "sdk/*.md", "plugins/*/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = string(b)
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages found", len(all))
	}
	return all
}

func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	for name, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	}
}

// blocks returns the fenced blocks of a language.
func blocks(text, language string) []string {
	fence := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```")
	var list []string
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// Configuration in the pages has the layout that fmt gives it, and parses.
func TestLayout(t *testing.T) {
	for name, text := range pages(t) {
		for _, src := range blocks(text, "hcl") {
			out, diags := config.Format([]byte(src), name)
			if diags.HasErrors() {
				t.Errorf("%s: %s", name, diags.Text())
			} else if string(out) != src {
				t.Errorf("%s: fmt would write\n%s", name, out)
			}
		}
	}
}

// The reference page shows nothing that this version refuses: its blocks are
// loaded together, with what they refer to.
func TestReferenceLoads(t *testing.T) {
	text := pages(t)[filepath.Join(root, "docs/configuration.md")]
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("page.hcl", strings.Join(blocks(text, "hcl"), "\n"))
	write("rest.hcl", "upstream \"a\" {\n  endpoint \"127.0.0.1:1\" {}\n}\n\nupstream \"b\" {\n  endpoint \"127.0.0.1:2\" {}\n}\n")
	write("policies/a.rego", "package orders.authz\n\ndecision := true\n")
	for name, from := range map[string]string{"local.crt": "api.crt", "local.key": "api.key"} {
		b, err := os.ReadFile(filepath.Join(root, "runtime/config/testdata/tls", from))
		if err != nil {
			t.Fatal(err)
		}
		write(name, string(b))
	}
	write("geo.wasm", "\x00asm\x01\x00\x00\x00")
	_, diags := config.Load(config.Source{Paths: []string{dir}})
	if diags.HasErrors() {
		t.Error(diags.Text())
	}
}

// TestReference checks that the pages of the reference are those that headgate
// schema makes.
func TestReference(t *testing.T) {
	dir := filepath.Join(root, "docs/reference")
	made := map[string]bool{}
	for _, p := range config.Reference() {
		made[p.Name] = true
		b, err := os.ReadFile(filepath.Join(dir, p.Name))
		if err != nil || string(b) != p.Text {
			t.Errorf("docs/reference/%s is not as it should be: run make reference (%v)", p.Name, err)
		}
	}
	have, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range have {
		if !made[e.Name()] {
			t.Errorf("docs/reference/%s is not made by anything", e.Name())
		}
	}
}
