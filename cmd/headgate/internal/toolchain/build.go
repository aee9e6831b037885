package toolchain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// command is one program of a build.
type command struct {
	args []string
	env  []string // added to the environment
}

// MissingError is a compiler that is not installed.
type MissingError struct{ Program, Hint string }

// Error implements error.
func (e *MissingError) Error() string { return e.Program + " is not installed; " + e.Hint }

// CompileError is a compiler that found something wrong.
type CompileError struct {
	Command string
	Output  string
}

// Error implements error.
func (e *CompileError) Error() string { return e.Command + " failed" }

// Build compiles the project to the file out and adds the schema. The compiler's
// messages are in a *CompileError.
func (p *Project) Build(ctx context.Context, out string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	schema, err := p.Schema()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "headgate-build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // of no use to anyone
	made := filepath.Join(dir, "plugin.wasm")
	commands, made, err := p.commands(dir, made)
	if err != nil {
		return err
	}
	for _, c := range commands {
		if err := p.run(ctx, c); err != nil {
			return err
		}
	}
	wasm, err := os.ReadFile(made)
	if err != nil {
		return fmt.Errorf("the build made no module: %w", err)
	}
	if schema != nil {
		if wasm, err = SetSection(wasm, SchemaSection, schema); err != nil {
			return err
		}
	}
	return replace(out, wasm)
}

// replace writes a file so that nobody sees half of it.
func replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".headgate-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error counts
	}
	return err
}

func (p *Project) run(ctx context.Context, c command) error {
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env = p.Dir, append(os.Environ(), c.env...)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &CompileError{Command: strings.Join(append(slices.Clone(c.env), c.args...), " "), Output: string(text)}
	}
	return err
}

// commands are what has to run, and the file that they make: want, or one that
// the compiler chooses within dir.
func (p *Project) commands(dir, want string) ([]command, string, error) {
	switch p.Language {
	case Go:
		return p.goCommands(want)
	case C:
		return p.cCommands(want)
	case Rust:
		return p.rustCommands(dir)
	case AssemblyScript:
		return p.asCommands(want)
	}
	return nil, "", fmt.Errorf("projects in %s can't be built by this command yet", p.Language)
}

func (p *Project) goCommands(want string) ([]command, string, error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return nil, "", &MissingError{"go", "get it from https://go.dev/dl/"}
	}
	return []command{{
		args: []string{tool, "build", "-trimpath", "-ldflags=-s -w", "-buildmode=c-shared", "-o", want, "."},
		env:  []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOWORK=off"},
	}}, want, nil
}

// stack is the size of the stack of C, C++ and Rust plugins in bytes.
const stack = "65536"

// cCommands compile all files of the folder at once. CC or CXX names another
// compiler; CFLAGS are added. C++ is without its library, which the SDK does not
// need and few machines have for WebAssembly; CFLAGS=-lc++ adds it.
func (p *Project) cCommands(want string) ([]command, string, error) {
	plus := slices.ContainsFunc(p.sources(), func(s string) bool { return filepath.Ext(s) != ".c" })
	cc, err := compiler(plus)
	if err != nil {
		return nil, "", err
	}
	args := []string{cc, "--target=wasm32-wasi", "-O2", "-mexec-model=reactor", "-Wall", "-Wextra", "-ffunction-sections"}
	if plus {
		args = append(args, "-fno-exceptions", "-fno-rtti", "-nostdlib++")
	}
	args = append(args, strings.Fields(os.Getenv("CFLAGS"))...)
	args = append(args, p.sources()...)
	return []command{{args: append(args, "-Wl,--gc-sections", "-Wl,--strip-all", "-Wl,-z,stack-size="+stack, "-o", want)}}, want, nil
}

// compiler returns the clang to use.
func compiler(plus bool) (string, error) {
	names, variable := []string{"clang-19", "clang-20", "clang-21", "clang"}, "CC"
	if plus {
		names, variable = []string{"clang++-19", "clang++-20", "clang++-21", "clang++"}, "CXX"
	}
	if name := os.Getenv(variable); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", &MissingError{names[0], "Debian has it: apt-get install clang-19 lld-19 libclang-rt-19-dev-wasm32 wasi-libc libc++-19-dev-wasm32"}
}

// rustCommands build with cargo: the one in PATH if it has the target, else
// Debian's, which has the standard library for it as source only.
func (p *Project) rustCommands(dir string) ([]command, string, error) {
	const target = "wasm32-unknown-unknown"
	c := command{args: []string{"cargo", "build", "--release", "--target", target}, env: []string{"CARGO_TARGET_DIR=" + p.cargoDir(dir)}}
	switch {
	case hasTarget(target):
	case debianRust():
		c.args[0] = "/usr/bin/cargo"
		c.args = append(c.args, "-Z", "build-std=std,panic_abort")
		c.env = append(c.env, "PATH=/usr/bin:/bin", "RUSTC=/usr/bin/rustc", "RUSTC_BOOTSTRAP=1", "RUSTFLAGS=-C linker=/usr/bin/wasm-ld-19 -C link-arg=-zstack-size="+stack)
	default:
		return nil, "", &MissingError{"Rust for " + target, "run rustup target add " + target + ", or with Debian apt-get install rustc-web cargo-web rust-web-src lld-19"}
	}
	name, err := p.crate()
	if err != nil {
		return nil, "", err
	}
	made := filepath.Join(p.cargoDir(dir), target, "release", strings.ReplaceAll(name, "-", "_")+".wasm")
	return []command{c}, made, nil
}

// cargoDir keeps what cargo compiled, so that the next build is fast.
func (p *Project) cargoDir(string) string { return filepath.Join(p.Dir, "target") }

func hasTarget(target string) bool {
	text, err := exec.Command("rustc", "--print", "target-libdir", "--target", target).Output()
	if err != nil {
		return false
	}
	_, err = os.Stat(strings.TrimSpace(string(text)))
	return err == nil
}

func debianRust() bool {
	for _, path := range []string{"/usr/bin/cargo", "/usr/bin/rustc", "/usr/bin/wasm-ld-19", "/usr/share/doc/rust-web-src"} {
		if _, err := os.Stat(path); err != nil {
			return false
		}
	}
	return true
}

// crate returns the name that Cargo.toml gives the package.
func (p *Project) crate() (string, error) {
	text, err := os.ReadFile(filepath.Join(p.Dir, "Cargo.toml"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "name" {
			return strings.Trim(strings.TrimSpace(value), `"`), nil
		}
	}
	return "", errors.New("no package is named in Cargo.toml")
}

// asCommands fetch what package.json asks for, the first time, and compile. The
// runtimes stub and minimal never free anything by themselves.
func (p *Project) asCommands(want string) ([]command, string, error) {
	var all []command
	asc := filepath.Join(p.Dir, "node_modules", ".bin", "asc")
	if _, err := os.Stat(asc); err != nil {
		npm, err := exec.LookPath("npm")
		if err != nil {
			return nil, "", &MissingError{"npm", "it comes with Node.js; with Debian apt-get install npm"}
		}
		verb := "install"
		if p.has("package-lock.json") {
			verb = "ci"
		}
		all = append(all, command{args: []string{npm, verb, "--no-audit", "--no-fund"}})
	}
	entry := filepath.Join("assembly", "index.ts")
	if !p.has(entry) {
		entry = "index.ts"
	}
	return append(all, command{args: []string{asc, entry, "--optimizeLevel", "3", "--shrinkLevel", "1", "--runtime", "incremental", "--exportRuntime", "-o", want}}), want, nil
}
