package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/headgate/headgate/runtime/config"
)

const fmtUsage = `
Lay configuration files out in the canonical way, in place; comments are kept.
A directory means every *.hcl file below it, "-" standard input. The names of
changed files are printed. A file that does not parse is left alone.

  headgate fmt [-check|-diff] DIR|FILE...
  headgate fmt -check -diff examples
`

// formatter is one run of fmt.
type formatter struct {
	check, diff bool
	s           streams
	differs     bool
	broken      *config.Diagnostics
	// layout lays out a language that is not HCL; wrong is what it can't.
	layout func(src []byte, name string) ([]byte, error)
	wrong  error
}

func runFmt(args []string, s streams) int {
	f := newFlags("fmt", fmtUsage)
	r := &formatter{s: s, broken: &config.Diagnostics{}}
	f.BoolVar(&r.check, "check", false, "change nothing; exit 1 if a file would change")
	f.BoolVar(&r.diff, "diff", false, "change nothing; print what would change")
	paths, code, done := f.parse(args, s)
	if done {
		return code
	}
	if len(paths) == 0 {
		return f.misuse(s, "name a directory or a file to format")
	}
	for _, p := range paths {
		if err := r.path(p); err != nil {
			fmt.Fprintf(s.err, "headgate fmt: %v\n", err)
			code = exitInput
		}
	}
	if r.broken.HasErrors() {
		code = report(r.broken, "fmt", s)
	}
	if r.check && r.differs {
		code = exitInput
	}
	return code
}

// path formats one argument.
func (r *formatter) path(p string) error {
	if p == "-" {
		src, err := io.ReadAll(r.s.in)
		if err != nil {
			return err
		}
		out, ok := r.format(src, "<stdin>")
		if ok && !r.check && !r.diff {
			_, err = r.s.out.Write(out)
		}
		return err
	}
	st, err := os.Stat(p)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return r.file(p)
	}
	return filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
		switch name := filepath.Base(path); {
		case err != nil:
			return err
		case path != p && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || !strings.HasSuffix(name, ".hcl"):
			return nil
		}
		return r.file(path)
	})
}

func (r *formatter) file(path string) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	out, ok := r.format(src, path)
	if !ok || bytes.Equal(src, out) {
		return nil
	}
	if !r.diff {
		fmt.Fprintln(r.s.out, path)
	}
	if r.check || r.diff {
		return nil
	}
	return replace(path, out)
}

// format returns the layout of src and prints how it differs, if asked to.
func (r *formatter) format(src []byte, name string) (out []byte, ok bool) {
	if r.layout != nil {
		var err error
		if out, err = r.layout(src, name); err != nil {
			r.wrong = errors.Join(r.wrong, err)
			return nil, false
		}
	} else {
		var diags *config.Diagnostics
		if out, diags = config.Format(src, name); diags.HasErrors() {
			r.broken.Merge(diags)
			return nil, false
		}
	}
	if !bytes.Equal(src, out) {
		r.differs = true
		if r.diff {
			writeDiff(r.s.out, name, string(src), string(out))
		}
	}
	return out, true
}

// replace puts a file in place at once, so that a gateway that watches it never
// loads half of it. A symbolic link stays one.
func replace(path string, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".headgate-fmt-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Chmod(st.Mode().Perm())
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}
