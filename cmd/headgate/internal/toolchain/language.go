package toolchain

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Language is one that plugins are written in.
type Language string

// The languages.
const (
	Go             Language = "go"
	C              Language = "c"
	Rust           Language = "rust"
	AssemblyScript Language = "as"
	Zig            Language = "zig"
)

// Languages returns all languages that projects can be built from.
func Languages() []Language { return []Language{Go, Rust, AssemblyScript, C, Zig} }

// ErrNoLanguage means that a folder is no project of a known language.
var ErrNoLanguage = errors.New("not a plugin's project: there is no *.go, Cargo.toml, build.zig, package.json with assemblyscript, or *.c")

// Project is the source of a plugin.
type Project struct {
	Dir      string // absolute
	Language Language
	// Name is the plugin's: what its manifest says, or the folder.
	Name string
}

// Open looks at a folder.
func Open(dir string) (*Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !st.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	p := &Project{Dir: dir, Name: filepath.Base(dir)}
	switch {
	case p.has("go.mod"), len(p.files("*.go")) > 0:
		p.Language = Go
	case p.has("Cargo.toml"):
		p.Language = Rust
	case p.has("build.zig"):
		p.Language = Zig
	case p.assemblyScript():
		p.Language = AssemblyScript
	case len(p.sources()) > 0:
		p.Language = C
	default:
		return nil, fmt.Errorf("%s: %w", dir, ErrNoLanguage)
	}
	return p, nil
}

func (p *Project) has(name string) bool {
	_, err := os.Stat(filepath.Join(p.Dir, name))
	return err == nil
}

// npm is what counts of a package.json.
type npm struct {
	Dependencies    map[string]string `json:"dependencies"`
	DevDependencies map[string]string `json:"devDependencies"`
}

func (p *Project) assemblyScript() bool {
	text, err := os.ReadFile(filepath.Join(p.Dir, "package.json"))
	if err != nil {
		return false
	}
	var n npm
	if json.Unmarshal(text, &n) != nil {
		return false
	}
	return n.Dependencies["assemblyscript"] != "" || n.DevDependencies["assemblyscript"] != ""
}

// sources are the files of C and C++.
func (p *Project) sources() []string { return p.files("*.c", "*.cc", "*.cpp") }

func (p *Project) files(patterns ...string) (names []string) {
	for _, pattern := range patterns {
		found, _ := filepath.Glob(filepath.Join(escape(p.Dir), pattern)) // the patterns are good
		names = append(names, found...)
	}
	slices.Sort(names)
	return names
}

// escape quotes what filepath.Glob would take for a pattern.
func escape(dir string) string {
	var b []byte
	for i := range len(dir) {
		if c := dir[i]; c == '*' || c == '?' || c == '[' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, dir[i])
	}
	return string(b)
}

// Module is the file that Build writes unless it is told another.
func (p *Project) Module() string { return filepath.Join(p.Dir, p.Name+".wasm") }
