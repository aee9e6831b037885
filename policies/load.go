package policies

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// file is a file that was read.
type file struct {
	name string
	text []byte
}

// sources are the files of a policy.
type sources struct {
	rego, data []file
	limits     *file // the capabilities file; nil for none
}

// readSources reads the Rego files that match, and the data. All problems are
// reported at once.
func readSources(s *Spec, match func(string) bool) (*sources, error) {
	var src sources
	var err, err2 error
	src.rego, err = readFiles(s.Files, match)
	src.data, err2 = readFiles(s.Data, isData)
	if err = errors.Join(err, err2); err != nil {
		return nil, err
	}
	if s.Capabilities != "" {
		text, err := os.ReadFile(s.Capabilities)
		if err != nil {
			return nil, readError(s.Capabilities, err)
		}
		src.limits = &file{s.Capabilities, text}
	}
	if len(src.rego) == 0 && s.Bundle == nil {
		return nil, &Error{File: strings.Join(s.Files, ", "), Message: "no Rego file here"}
	}
	return &src, nil
}

// parse checks the files by themselves.
func (s *sources) parse() error {
	_, err := parseModules(s.rego, ast.CapabilitiesForThisVersion())
	_, err2 := parseData(s.data)
	return errors.Join(err, err2)
}

func readFiles(paths []string, match func(string) bool) ([]file, error) {
	names, err := find(paths, match)
	if err != nil {
		return nil, err
	}
	var out []file
	var errs []error
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			errs = append(errs, readError(name, err))
		}
		out = append(out, file{name, text})
	}
	return out, errors.Join(errs...)
}

func isRego(name string) bool { return strings.HasSuffix(name, ".rego") }

// isRule reports whether a file belongs to a policy in service.
func isRule(name string) bool { return isRego(name) && !strings.HasSuffix(name, "_test.rego") }

func isData(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".json" || ext == ".yaml" || ext == ".yml"
}

func parseModules(files []file, caps *ast.Capabilities) (map[string]*ast.Module, error) {
	modules := make(map[string]*ast.Module, len(files))
	var errs []error
	for _, f := range files {
		m, err := ast.ParseModuleWithOpts(f.name, string(f.text), ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: caps})
		if err != nil {
			errs = append(errs, problems(err))
			continue
		}
		modules[f.name] = m
	}
	return modules, errors.Join(errs...)
}

// parseData merges JSON and YAML files into one document.
func parseData(files []file) (map[string]any, error) {
	data := map[string]any{}
	var errs []error
	for _, f := range files {
		var v any
		var err error
		if filepath.Ext(f.name) == ".json" {
			err = util.UnmarshalJSON(f.text, &v)
		} else {
			err = util.Unmarshal(f.text, &v)
		}
		if err != nil {
			errs = append(errs, &Error{File: f.name, Message: "this is no valid JSON or YAML: " + err.Error()})
			continue
		}
		doc, ok := v.(map[string]any)
		if !ok {
			errs = append(errs, &Error{File: f.name, Message: "a data file holds an object at its root; its members become data.NAME"})
			continue
		}
		if at := merge(data, doc, "data"); at != "" {
			errs = append(errs, &Error{File: f.name, Message: at + " is already in another data file"})
		}
	}
	return data, errors.Join(errs...)
}

// merge adds src to dst and returns the first place where both have a value.
func merge(dst, src map[string]any, at string) string {
	for k, v := range src {
		old, ok := dst[k]
		if !ok {
			dst[k] = v
			continue
		}
		a, okA := old.(map[string]any)
		b, okB := v.(map[string]any)
		if !okA || !okB {
			return at + "." + k
		}
		if at := merge(a, b, at+"."+k); at != "" {
			return at
		}
	}
	return ""
}

// find lists the files that paths name, and those below folders that match, in
// a stable order and each once.
func find(paths []string, match func(string) bool) ([]string, error) {
	var files []string
	var errs []error
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return readError(path, err)
			case d.IsDir():
				if path != root && strings.HasPrefix(d.Name(), ".") {
					return fs.SkipDir
				}
			case match(d.Name()) && !slices.Contains(files, filepath.Clean(path)):
				files = append(files, filepath.Clean(path))
			}
			return nil
		})
		if err != nil {
			errs = append(errs, err)
		}
	}
	slices.Sort(files)
	return files, errors.Join(errs...)
}

func readError(name string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &Error{File: name, Message: fmt.Sprintf("can't be read: %v", err)}
}

// inData reports whether the data has a value at ref.
func inData(data map[string]any, ref ast.Ref) bool {
	var v any = data
	for _, t := range ref[1:] {
		m, ok := v.(map[string]any)
		if !ok {
			return false
		}
		key, ok := t.Value.(ast.String)
		if !ok {
			return false
		}
		if v, ok = m[string(key)]; !ok {
			return false
		}
	}
	return true
}

// suggestion names the rules of the compiled modules if they are few.
func suggestion(c *ast.Compiler, decide string) string {
	var names []string
	for _, m := range c.Modules {
		for _, r := range m.Rules {
			if name := r.Ref().GroundPrefix().String(); len(r.Head.Args) == 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	last := decide[strings.LastIndexByte(decide, '.')+1:]
	for _, n := range names {
		if strings.HasSuffix(n, "."+last) || strings.EqualFold(n, decide) {
			return fmt.Sprintf("; did you mean %s?", n)
		}
	}
	if len(names) == 0 || len(names) > 12 {
		return ""
	}
	return "; there are " + strings.Join(names, ", ")
}
