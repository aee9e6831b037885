package arch

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPackageComments(t *testing.T) {
	for _, dir := range []string{".", "sdk/go", "plugins"} {
		for _, p := range list(t, dir) {
			if len(p.GoFiles) == 0 {
				continue // tests only
			}
			want := "Package " + p.Name + " "
			if p.Name == "main" {
				want = "Command "
			}
			if !strings.HasPrefix(p.Doc, want) && !(p.Name == "main" && p.Doc != "") {
				t.Errorf("%s: the package comment must begin with %q and say what the package is for", p.ImportPath, want)
			}
		}
	}
}

// source is one parsed file of the root module.
type source struct {
	name string
	set  *token.FileSet
	file *ast.File
	text []byte
}

// sources returns the parsed files of a package, without tests.
func sources(t *testing.T, p *pkg) []source {
	t.Helper()
	var all []source
	for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles) {
		path := filepath.Join(p.Dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{p.path() + "/" + name, set, f, text})
	}
	return all
}

func (s *source) line(p token.Pos) int { return s.set.Position(p).Line }

// No state of a package, and nothing that runs because it was imported.
func TestNoPackageState(t *testing.T) {
	for _, p := range list(t, ".") {
		files := sources(t, p)
		vars := map[string]bool{}
		for _, s := range files {
			for _, d := range s.file.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Recv == nil && d.Name.Name == "init" {
						t.Errorf("%s:%d: init()", s.name, s.line(d.Pos()))
					}
				case *ast.GenDecl:
					for _, spec := range d.Specs {
						if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
							for _, n := range v.Names {
								vars[n.Name] = n.Name != "_"
							}
						}
					}
				}
			}
		}
		for _, s := range files {
			global := func(e ast.Expr) *ast.Ident {
				for {
					switch x := e.(type) {
					case *ast.IndexExpr:
						e = x.X
					case *ast.SelectorExpr:
						e = x.X
					case *ast.ParenExpr:
						e = x.X
					case *ast.StarExpr:
						e = x.X
					case *ast.Ident:
						if vars[x.Name] && (x.Obj == nil || isTop(s.file, x.Obj)) {
							return x
						}
						return nil
					default:
						return nil
					}
				}
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					for _, l := range n.Lhs {
						if id := global(l); id != nil && n.Tok != token.DEFINE {
							t.Errorf("%s:%d: the package variable %s changes", s.name, s.line(n.Pos()), id.Name)
						}
					}
				case *ast.IncDecStmt:
					if id := global(n.X); id != nil {
						t.Errorf("%s:%d: the package variable %s changes", s.name, s.line(n.Pos()), id.Name)
					}
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "runtime" && (n.Sel.Name == "SetFinalizer" || n.Sel.Name == "AddCleanup") {
						t.Errorf("%s:%d: runtime.%s", s.name, s.line(n.Pos()), n.Sel.Name)
					}
				}
				return true
			})
		}
	}
}

// isTop reports whether o is declared at the top level of f.
//
//lint:ignore SA1019 names within one file are all that is asked of it
func isTop(f *ast.File, o *ast.Object) bool { return f.Scope.Lookup(o.Name) == o }

// A file of more than this many lines holds more than one idea.
const maxLines = 500

func TestSourceText(t *testing.T) {
	unfinished := regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b|(?i)not (yet )?implemented`)
	for _, p := range list(t, ".") {
		if p.path() == "test/arch" {
			continue
		}
		for _, s := range sources(t, p) {
			if n := bytes.Count(s.text, []byte("\n")); n > maxLines {
				t.Errorf("%s has %d lines", s.name, n)
			}
			for _, g := range s.file.Comments {
				for _, c := range g.List {
					if m := unfinished.FindString(c.Text); m != "" {
						t.Errorf("%s:%d: a comment says %q", s.name, s.line(c.Pos()), m)
					}
				}
			}
		}
	}
}

// tracked returns the names of the files in version control.
func tracked(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skip("this is no git checkout")
	}
	return strings.Fields(string(out))
}

func TestTopLevelNames(t *testing.T) {
	allowed := []string{
		"cmd", "runtime", "host", "plugins", "sdk", "policies", "examples", "docs", "bench", "test",
		"go.mod", "go.sum", "Makefile", "README.md", "RATIONALE.md", "LICENSE", "CHANGELOG.md",
	}
	seen := map[string]bool{}
	for _, name := range tracked(t) {
		top, _, _ := strings.Cut(name, "/")
		if !seen[top] && !strings.HasPrefix(top, ".") && !slices.Contains(allowed, top) {
			t.Errorf("%s does not belong at the top level", top)
		}
		seen[top] = true
	}
}

// What is built is not kept: no module, no object file, no program.
func TestNoBinaries(t *testing.T) {
	for _, name := range tracked(t) {
		f, err := os.Open(filepath.Join(root, name))
		if err != nil {
			continue // deleted, and not committed yet
		}
		head, _ := bufio.NewReader(f).Peek(8)
		st, err := f.Stat()
		_ = f.Close()
		switch {
		case err != nil:
			t.Error(err)
		case strings.HasSuffix(name, ".wasm"), bytes.HasPrefix(head, []byte("\x7fELF")), bytes.HasPrefix(head, []byte("!<arch>")):
			t.Errorf("%s is built from something", name)
		case bytes.HasPrefix(head, []byte("\x00asm")) && st.Size() > 1<<10:
			t.Errorf("%s is a compiled module of %d bytes", name, st.Size())
		case st.Size() > 1<<20:
			t.Errorf("%s has %d bytes", name, st.Size())
		}
	}
}
