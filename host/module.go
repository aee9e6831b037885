package host

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/headgate/headgate/host/abi/native"
	"github.com/headgate/headgate/host/abi/proxywasm"
	"github.com/headgate/headgate/host/fuel"
)

// module is compiled code, once per digest, shared by every pool that runs it.
type module struct {
	host   *Host
	digest [32]byte
	refs   int // guarded by host.mu

	once         sync.Once
	err          error
	compiled     wazero.CompiledModule
	proxy        bool // it speaks proxy-wasm
	configurable bool // one instance serves many configurations
	ends         bool // it wants to know of exchanges whose response it does not see
	chunks       bool // it sees bodies as they pass
	values       bool // it evaluates request-time expressions
	initial      uint64
	schema       []byte
}

// module returns the compiled module of some bytes. The caller gives it back
// with release.
func (h *Host) module(wasm []byte) (*module, error) {
	digest := sha256.Sum256(wasm)
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, ErrClosed
	}
	m := h.modules[digest]
	if m == nil {
		m = &module{host: h, digest: digest}
		h.modules[digest] = m
	}
	m.refs++
	h.mu.Unlock()
	m.once.Do(func() { m.err = m.compile(wasm) })
	if m.err != nil {
		m.release()
		return nil, m.err
	}
	return m, nil
}

func (m *module) release() {
	h := m.host
	h.mu.Lock()
	m.refs--
	last := m.refs == 0
	if last && h.modules[m.digest] == m {
		delete(h.modules, m.digest)
	}
	h.mu.Unlock()
	if last && m.compiled != nil {
		_ = m.compiled.Close(context.Background()) // only lets go; never fails
	}
}

func (m *module) compile(wasm []byte) error {
	code, _, err := fuel.Rewrite(wasm, fuel.Options{MaxTable: maxElements, MaxStack: maxStack})
	if err != nil {
		return &ModuleError{Detail: "the file is not a usable WebAssembly module", Err: err}
	}
	c, err := m.host.compile(code)
	if err != nil {
		return &ModuleError{Detail: "the module does not compile", Err: err}
	}
	if err := m.check(c); err != nil {
		_ = c.Close(context.Background())
		return err
	}
	m.compiled, m.schema = c, slices.Clone(customSection(wasm, schemaSection))
	return nil
}

// compile compiles code. What is wrong with it may make the compiler panic; that
// is an error of the module's as any other.
func (h *Host) compile(code []byte) (c wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the compiler fails: %v", p)
		}
	}()
	ctx := experimental.WithCompilationWorkers(context.Background(), runtime.GOMAXPROCS(0))
	return h.runtime.CompileModule(ctx, code)
}

// check compares the module's exports and imports with the ABI.
func (m *module) check(c wazero.CompiledModule) error {
	functions, memories := c.ExportedFunctions(), c.ExportedMemories()
	m.proxy = proxywasm.Is(functions)
	if m.proxy {
		if export, problem := proxywasm.Check(functions, memories); problem != "" {
			return &ModuleError{Missing: export, Detail: problem}
		}
		if err := m.checkImports(c); err != nil {
			return err
		}
		m.initial = uint64(memories["memory"].Min()) * pageSize
		return nil
	}
	configurable, missing, wrong := native.Check(functions, memories)
	switch {
	case missing != "":
		return &ModuleError{Missing: missing, Detail: fmt.Sprintf("the module does not export %q (%s)", missing, native.Describe(missing))}
	case wrong != "":
		return &ModuleError{Missing: wrong, Detail: fmt.Sprintf("the module exports %q with another signature than %s", wrong, native.Describe(wrong))}
	}
	if err := m.checkImports(c); err != nil {
		return err
	}
	m.configurable, m.ends = configurable, functions["headgate_done"] != nil
	m.chunks = functions["headgate_request_chunk"] != nil || functions["headgate_response_chunk"] != nil
	m.initial = uint64(memories["memory"].Min()) * pageSize
	return nil
}

// checkImports compares what the module imports with what there is for its ABI.
func (m *module) checkImports(c wazero.CompiledModule) error {
	for _, f := range c.ImportedFunctions() {
		mod, name, _ := f.Import()
		other := mod == native.ModuleHandler || mod == native.ModuleExtras
		if !m.proxy {
			other = mod == moduleEnv && name != abort
		}
		if other {
			return &ModuleError{Detail: fmt.Sprintf("the module imports %q from %q, which belongs to another ABI than its exports", name, mod)}
		}
		if err := m.host.offers(f); err != nil {
			return err
		}
		m.values = m.values || mod == native.ModuleExtras && name == native.FunctionValue
	}
	if len(c.ImportedMemories()) > 0 {
		return &ModuleError{Detail: "the module imports a memory; it must have its own"}
	}
	return nil
}

// offers reports whether the host has an imported function.
func (h *Host) offers(f api.FunctionDefinition) error {
	mod, name, _ := f.Import()
	have := h.runtime.Module(mod)
	if have == nil {
		return &ModuleError{Detail: fmt.Sprintf("the module imports %q from %q, which Headgate does not offer", name, mod)}
	}
	def := have.ExportedFunctionDefinitions()[name]
	if def == nil {
		return &ModuleError{Detail: fmt.Sprintf("the module imports %q, which is not in Headgate's %q", name, mod)}
	}
	if !slices.Equal(def.ParamTypes(), f.ParamTypes()) || !slices.Equal(def.ResultTypes(), f.ResultTypes()) {
		return &ModuleError{Detail: fmt.Sprintf("the module imports %q from %q with another signature than Headgate's", name, mod)}
	}
	return nil
}
