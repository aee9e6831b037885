package policies

import (
	"embed"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// library is the Rego that policies can import as data.headgate.NAME.
//
//go:embed library/*.rego
var library embed.FS

// addLibrary adds the packages of the library that the modules refer to, and
// those that these refer to. A module that is in such a package itself would mix
// its rules with ours, and is refused.
func addLibrary(modules map[string]*ast.Module) error {
	var errs []error
	names := libraryNames()
	own := map[string]bool{} // packages of the library among the modules
	for _, m := range modules {
		if name := libraryPackage(m.Package.Path); name != "" {
			if !ours(m) {
				errs = append(errs, &Error{
					File: m.Package.Location.File, Row: m.Package.Location.Row, Col: m.Package.Location.Col, FromRules: true,
					Message: "packages below data.headgate are the gateway's; take another name",
				})
			}
			own[name] = true
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	var queue []*ast.Module
	for _, m := range modules {
		queue = append(queue, m)
	}
	for len(queue) > 0 {
		m := queue[0]
		queue = queue[1:]
		for _, name := range referred(m, names) {
			if own[name] {
				continue
			}
			own[name] = true
			file := "library/" + name + ".rego"
			text, err := library.ReadFile(file)
			if err != nil {
				return err
			}
			added, err := ast.ParseModuleWithOpts("headgate/"+name+".rego", string(text), ast.ParserOptions{RegoVersion: ast.RegoV1})
			if err != nil {
				return problems(err)
			}
			modules["headgate/"+name+".rego"] = added
			queue = append(queue, added)
		}
	}
	return nil
}

// WriteLibrary puts the library, without its tests, into a folder: for editors, and
// for "opa build", which have to know the functions that a policy calls.
func WriteLibrary(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, name := range libraryNames() {
		text, err := library.ReadFile("library/" + name + ".rego")
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".rego"), text, 0o666)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// libraryNames are the names of the packages, without their tests.
func libraryNames() []string {
	var out []string
	entries, _ := library.ReadDir("library")
	for _, e := range entries {
		if isRule(e.Name()) {
			out = append(out, strings.TrimSuffix(e.Name(), ".rego"))
		}
	}
	return out
}

// libraryPackage is the name in data.headgate.NAME, "" for another package.
func libraryPackage(ref ast.Ref) string {
	if len(ref) < 3 || !ref[1].Equal(keys.headgate) {
		return ""
	}
	name, _ := ref[2].Value.(ast.String)
	return strings.TrimSuffix(string(name), "_test")
}

// ours reports whether a module is a file of the library, as when its own tests
// are run.
func ours(m *ast.Module) bool {
	text, err := library.ReadFile("library/" + path.Base(m.Package.Location.File))
	return err == nil && strings.Contains(string(text), string(m.Package.Location.Text))
}

// referred lists the packages of the library that a module refers to; all of them
// if it does so with a variable.
func referred(m *ast.Module, names []string) []string {
	var out []string
	ast.WalkRefs(m, func(r ast.Ref) bool {
		if len(r) < 2 || !r[0].Equal(ast.DefaultRootDocument) || !r[1].Equal(keys.headgate) {
			return false
		}
		if len(r) == 2 {
			out = append(out, names...)
			return false
		}
		if name, ok := r[2].Value.(ast.String); !ok {
			out = append(out, names...)
		} else if slices.Contains(names, string(name)) {
			out = append(out, string(name))
		}
		return false
	})
	return out
}
