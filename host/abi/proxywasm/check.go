package proxywasm

import (
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// version is the prefix of the export that names the version of the ABI.
const version = "proxy_abi_version_"

// versions are those that this host has. 0.2.100 is what some vendors call 0.2.1
// with functions of their own.
var versions = []string{"0_1_0", "0_2_0", "0_2_1", "0_2_100"}

// Is reports whether a module with these exports is made for proxy-wasm.
func Is(functions map[string]api.FunctionDefinition) bool {
	for name := range functions {
		if strings.HasPrefix(name, version) {
			return true
		}
	}
	return false
}

// legacy reports whether the module speaks 0.1.0 only.
func legacy(has func(export string) bool) bool {
	return has(version+"0_1_0") && !has(version+"0_2_0") && !has(version+"0_2_1")
}

// callback is a function that a guest exports for its host: the number of i32
// parameters, and whether it returns one.
type callback struct {
	name    string
	params  int
	returns bool
}

// callbacks are all that the ABI has, none of which a guest must export.
func callbacks(legacy bool) []callback {
	headers := 3
	if legacy { // has no end_of_stream
		headers = 2
	}
	return []callback{
		{"malloc", 1, true},
		{"proxy_on_memory_allocate", 1, true},
		{"proxy_on_context_create", 2, false},
		{"proxy_on_vm_start", 2, true},
		{"proxy_on_configure", 2, true},
		{"proxy_on_tick", 1, false},
		{"proxy_on_request_headers", headers, true},
		{"proxy_on_request_body", 3, true},
		{"proxy_on_request_trailers", 2, true},
		{"proxy_on_response_headers", headers, true},
		{"proxy_on_response_body", 3, true},
		{"proxy_on_response_trailers", 2, true},
		{"proxy_on_log", 1, false},
		{"proxy_on_done", 1, true},
		{"proxy_on_delete", 1, false},
		{"proxy_on_http_call_response", 5, false},
		{"proxy_on_grpc_receive_initial_metadata", 3, false},
		{"proxy_on_grpc_receive", 3, false},
		{"proxy_on_grpc_receive_trailing_metadata", 3, false},
		{"proxy_on_grpc_close", 3, false},
		{"proxy_on_queue_ready", 2, false},
	}
}

// Check looks at the exports of a module. problem is a sentence for the person
// who configured it, "" if there is none; export is what it is about.
func Check(functions map[string]api.FunctionDefinition, memories map[string]api.MemoryDefinition) (export, problem string) {
	has := func(name string) bool { return functions[name] != nil }
	if !slices.ContainsFunc(versions, func(v string) bool { return has(version + v) }) {
		return version + "0_2_1", "the module speaks none of the versions of proxy-wasm that Headgate does: " + strings.ReplaceAll(strings.Join(versions, ", "), "_", ".")
	}
	if memories["memory"] == nil {
		return "memory", `the module does not export "memory"`
	}
	if !has("malloc") && !has("proxy_on_memory_allocate") {
		return "proxy_on_memory_allocate", `the module exports neither "proxy_on_memory_allocate" nor "malloc"`
	}
	for _, c := range callbacks(legacy(has)) {
		f := functions[c.name]
		if f == nil {
			continue
		}
		if !slices.Equal(f.ParamTypes(), types(c.params)) || len(f.ResultTypes()) != count(c.returns) || c.returns && f.ResultTypes()[0] != i32 {
			return c.name, "the module exports \"" + c.name + "\" with another signature than that of proxy-wasm"
		}
	}
	return "", ""
}

func types(n int) []api.ValueType { return slices.Repeat([]api.ValueType{i32}, n) }

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
