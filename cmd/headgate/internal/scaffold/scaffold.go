// Package scaffold makes the folder that a plugin begins with: a filter, its
// configuration, a test that passes, and what the language needs to find its SDK.
package scaffold

import (
	"archive/zip"
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// templates holds a folder for each language, and shared what is the same in all of
// them: the plugins do the same. In names, "NAME" stands for the plugin's and ".tmpl"
// is left out.
//
//go:embed all:templates all:shared
var templates embed.FS

// files holds sdk.zip if make built it. A plain go build has the placeholder only
// and makes projects with SDKs from elsewhere.
//
//go:embed files
var files embed.FS

// ErrNoSDK means that the program was built without the SDKs.
var ErrNoSDK = errors.New("this headgate was built without the SDKs; name the folder sdk of a checkout with -sdk")

// Options say what to make.
type Options struct {
	Language string
	// Dir must not exist, or be empty. Its last element is the plugin's name.
	Dir string
	// SDK is the folder sdk of a checkout, which the project then refers to; "" puts
	// a copy into the project.
	SDK string
}

// values are what templates use.
type values struct {
	Name     string // the plugin's
	SDK      string // the SDK of the language, from the project, with slashes
	Language string // as its users call it
}

// titles are what languages are called.
func titles() map[string]string {
	return map[string]string{"go": "Go", "c": "C", "rust": "Rust", "as": "AssemblyScript"}
}

// Languages returns the languages that there is a template for.
func Languages() []string {
	entries, err := templates.ReadDir("templates")
	if err != nil {
		return nil // there always is one
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

var goodName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// New makes a project and returns the files that it made, but for the SDK.
func New(o Options) (made []string, err error) {
	if !slices.Contains(Languages(), o.Language) {
		return nil, fmt.Errorf("there is no template for %q; there is for %s", o.Language, strings.Join(Languages(), ", "))
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	v := values{Name: filepath.Base(dir), Language: titles()[o.Language]}
	if !goodName.MatchString(v.Name) {
		return nil, fmt.Errorf("%q can't be the name of a plugin: small letters, digits, - and _, and a letter first", v.Name)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty", o.Dir)
	} else if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if v.SDK, err = provide(o, dir); err != nil {
		return nil, err
	}
	for _, folder := range []string{path.Join("templates", o.Language), "shared"} {
		from, err := fs.Sub(templates, folder)
		if err != nil {
			return nil, err
		}
		names, err := fill(from, dir, v)
		if err != nil {
			return nil, err
		}
		made = append(made, names...)
	}
	slices.Sort(made)
	return made, nil
}

// fill writes what the templates of a folder make and returns the names.
func fill(from fs.FS, dir string, v values) (made []string, err error) {
	err = fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		to := strings.ReplaceAll(strings.TrimSuffix(name, ".tmpl"), "NAME", v.Name)
		made = append(made, to)
		return write(from, name, filepath.Join(dir, filepath.FromSlash(to)), v)
	})
	return made, err
}

func write(from fs.FS, name, to string, v values) error {
	text, err := fs.ReadFile(from, name)
	if err != nil {
		return err
	}
	t, err := template.New(name).Delims("<<", ">>").Option("missingkey=error").Parse(string(text))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b.Bytes(), 0o644)
}

// provide returns the path of the language's SDK from the project's folder.
func provide(o Options, dir string) (string, error) {
	if o.SDK != "" {
		from, err := filepath.Abs(filepath.Join(o.SDK, o.Language))
		if err != nil {
			return "", err
		}
		if st, err := os.Stat(from); err != nil || !st.IsDir() {
			return "", fmt.Errorf("there is no SDK in %s; name the folder sdk of a checkout", from)
		}
		rel, err := filepath.Rel(dir, from)
		return filepath.ToSlash(rel), err
	}
	packed, err := files.ReadFile("files/sdk.zip")
	if err != nil {
		return "", ErrNoSDK
	}
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		return "", err
	}
	from, err := fs.Sub(z, o.Language)
	if err != nil {
		return "", err
	}
	return "./sdk", os.CopyFS(filepath.Join(dir, "sdk"), from)
}
