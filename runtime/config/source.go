package config

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
)

// Source says where a configuration comes from.
type Source struct {
	// Paths are directories and files.
	Paths []string
	// Vars are the values given with -var.
	Vars map[string]string
	// Previous is the configuration in force, if there is one: what did not
	// change is taken over from it.
	Previous *Config
	// Env looks a variable of the environment up; nil means that there are none.
	Env func(string) (string, bool)
}

// Bounds on what is read. They are far above what people write and far below
// what would hurt.
const (
	maxFileSize = 16 << 20 // of one configuration file, or one file read by file()
	maxFiles    = 10_000
	maxDepth    = 32 // directories below a given one
)

// file is one configuration file.
type file struct {
	name string // as shown in diagnostics
	dir  string // what its relative paths are relative to
	json bool
	body hcl.Body
	// broken are the ranges of syntax errors.
	broken []hcl.Range
}

// found is a configuration file.
type found struct {
	name string
	info fs.FileInfo
}

// discover returns the configuration files below paths, in a fixed
// order, and remembers what has to be watched.
func (l *loader) discover(paths []string) []found {
	var names []found
	seen := map[string]bool{}
	add := func(name string, info fs.FileInfo) {
		if !seen[name] {
			seen[name] = true
			names = append(names, found{name, info})
		}
	}
	if len(paths) == 0 {
		l.diags.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "No configuration", Detail: "Name a directory or a file to load."})
	}
	for _, p := range paths {
		st, err := os.Stat(p)
		switch {
		case err != nil:
			l.unreadable(p, err)
		case !st.IsDir():
			l.watch(filepath.Dir(p))
			l.watch(p)
			add(filepath.Clean(p), st)
		default:
			before := len(names)
			l.walk(filepath.Clean(p), nil, add)
			if len(names) == before && !l.diags.HasErrors() {
				l.diags.add(&hcl.Diagnostic{
					Severity: hcl.DiagError, Summary: "No configuration files",
					Detail: fmt.Sprintf("There is no *.hcl or *.hcl.json file below %s. Names that start with \".\" or \"_\" are skipped.", p),
				})
			}
		}
	}
	if len(names) > maxFiles {
		l.diags.add(&hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Too many configuration files",
			Detail: fmt.Sprintf("There are %d files; at most %d are read.", len(names), maxFiles),
		})
		return nil
	}
	slices.SortFunc(names, func(a, b found) int { return strings.Compare(a.name, b.name) })
	return names
}

// walk visits dir and the directories below it. Symbolic links are followed:
// Kubernetes mounts a ConfigMap as links into a directory whose name starts
// with "..", which is skipped itself. above are the directories on the way, so
// that a link to one of them is no endless walk.
func (l *loader) walk(dir string, above []string, add func(string, fs.FileInfo)) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		l.unreadable(dir, err)
		return
	}
	if slices.Contains(above, real) || len(above) > maxDepth {
		return
	}
	above = append(slices.Clip(above), real)
	entries, err := os.ReadDir(dir)
	if err != nil {
		l.unreadable(dir, err)
		return
	}
	l.watch(dir)
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
			continue
		}
		path := filepath.Join(dir, name)
		st, err := os.Stat(path)
		switch {
		case err != nil:
			if isConfig(name) {
				l.unreadable(path, err)
			}
		case st.IsDir():
			l.walk(path, above, add)
		case isConfig(name):
			add(path, st)
		}
	}
}

func isConfig(name string) bool {
	return strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json")
}

func (l *loader) unreadable(path string, err error) {
	l.diags.add(&hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "Unreadable configuration",
		Detail: fmt.Sprintf("%s can't be read: %s.", path, reason(err)),
	})
}

// reason is the cause of a file error without the operation and the path, which
// the diagnostic names already.
func reason(err error) error {
	for {
		pe, ok := err.(*os.PathError)
		if !ok {
			return err
		}
		err = pe.Err
	}
}

// readFile reads a regular file of a bounded size: a pipe or a device would
// make a load wait forever.
func readFile(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("it is not a regular file")
	}
	if st.Size() > maxFileSize {
		return nil, fmt.Errorf("it is larger than %d MiB", maxFileSize>>20)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(b) > maxFileSize {
		err = fmt.Errorf("it is larger than %d MiB", maxFileSize>>20)
	}
	return b, err
}

// parse understands one file. What was understood of a file with syntax errors
// is kept, so that its other problems are reported too.
func (l *loader) parse(name string, src []byte) *file {
	f := &file{name: name, dir: filepath.Dir(name), json: strings.HasSuffix(name, ".json")}
	l.diags.file(name, src)
	var diags hcl.Diagnostics
	if f.json {
		diags = checkJSON(src, name)
	} else {
		diags = checkNative(src, name)
	}
	if diags.HasErrors() {
		l.diags.append(diags)
		l.partial = true
		return nil
	}
	var parsed *hcl.File
	if f.json {
		parsed, diags = hcljson.Parse(src, name)
	} else {
		parsed, diags = hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	}
	l.diags.append(diags)
	if diags.HasErrors() {
		l.partial = true
		for _, d := range diags {
			if d.Subject != nil {
				f.broken = append(f.broken, *d.Subject)
			}
		}
	}
	if parsed == nil || parsed.Body == nil || f.json && diags.HasErrors() {
		return nil
	}
	f.body = parsed.Body
	return f
}
