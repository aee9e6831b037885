package toolchain

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Function is one that a module exports or imports.
type Function struct {
	Module    string `json:"module,omitempty"` // of an import
	Name      string `json:"name"`
	Signature string `json:"signature"`
}

// Facts are what a module says about itself.
type Facts struct {
	// ABI is "native", "http-wasm", "proxy-wasm 0.2.1" and so on, or "none".
	ABI     string     `json:"abi"`
	Bytes   int        `json:"bytes"`
	Memory  uint64     `json:"memory"` // bytes that it starts with
	Exports []Function `json:"exports"`
	Imports []Function `json:"imports"`
	// Grants are the attributes of allow that what it imports may need.
	Grants []string `json:"grants"`
	Schema []byte   `json:"-"`
}

// Inspect reads a module without running it.
func Inspect(ctx context.Context, wasm []byte) (*Facts, error) {
	sections, err := Sections(wasm)
	if err != nil {
		return nil, err
	}
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = r.Close(ctx) }() // only lets go
	m, err := r.CompileModule(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotWasm, err)
	}
	f := &Facts{Bytes: len(wasm), Schema: Custom(sections, SchemaSection)}
	for name, d := range m.ExportedFunctions() {
		f.Exports = append(f.Exports, Function{Name: name, Signature: signature(d)})
	}
	slices.SortFunc(f.Exports, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	for _, d := range m.ImportedFunctions() {
		module, name, _ := d.Import()
		f.Imports = append(f.Imports, Function{module, name, signature(d)})
	}
	slices.SortFunc(f.Imports, func(a, b Function) int {
		return strings.Compare(a.Module+" "+a.Name, b.Module+" "+b.Name)
	})
	if mem := m.ExportedMemories()["memory"]; mem != nil {
		f.Memory = uint64(mem.Min()) << 16
	}
	f.ABI, f.Grants = f.abi(), f.grants()
	return f, nil
}

func signature(d api.FunctionDefinition) string {
	list := func(types []api.ValueType) string {
		var names []string
		for _, t := range types {
			names = append(names, api.ValueTypeName(t))
		}
		return strings.Join(names, ", ")
	}
	s := "(" + list(d.ParamTypes()) + ")"
	switch results := d.ResultTypes(); len(results) {
	case 0:
		return s
	case 1:
		return s + " -> " + list(results)
	default:
		return s + " -> (" + list(results) + ")"
	}
}

func (f *Facts) abi() string {
	newest := "" // of the versions that it has
	for _, e := range f.Exports {
		if version, ok := strings.CutPrefix(e.Name, "proxy_abi_version_"); ok {
			newest = max(newest, version)
		}
	}
	if newest != "" {
		return "proxy-wasm " + strings.ReplaceAll(newest, "_", ".")
	}
	exports := func(name string) bool {
		return slices.ContainsFunc(f.Exports, func(e Function) bool { return e.Name == name })
	}
	extras := slices.ContainsFunc(f.Imports, func(i Function) bool { return i.Module == "headgate_v1" })
	switch {
	case !exports("handle_request"):
		return "none"
	case extras || exports("headgate_configure"):
		return "native"
	}
	return "http-wasm"
}

// grants tells what of allow the imports are for.
func (f *Facts) grants() []string {
	var list []string
	for _, i := range f.Imports {
		for _, g := range [][2]string{
			{"fetch", "fetch"}, {"proxy_http_call", "fetch"}, {"proxy_grpc_call", "fetch"}, {"proxy_grpc_stream", "fetch"},
			{"state_", "state"}, {"auth_", "auth"}, {"published", "call"},
		} {
			whole := i.Name == g[0] || strings.HasSuffix(g[0], "_") && strings.HasPrefix(i.Name, g[0])
			if (i.Module == "headgate_v1" || i.Module == "env") && whole && !slices.Contains(list, g[1]) {
				list = append(list, g[1])
			}
		}
	}
	slices.Sort(list)
	return list
}
