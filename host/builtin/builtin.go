// Package builtin holds the filters that come with the gateway, compiled to one
// WebAssembly module. It knows their bytes and names and nothing of what runs
// them.
package builtin

import (
	"embed"
	"strings"
)

// files holds std.wasm if make built it. A plain go build has the placeholder
// only and makes a gateway that knows the names of the filters that it lacks.
//
//go:embed files
var files embed.FS

// names is checked against the module's registrations by a test in plugins.
//
//go:embed names.txt
var names string

// Module returns the module that holds every built-in filter. ok is false if
// this program was built without it.
func Module() (wasm []byte, ok bool) {
	wasm, err := files.ReadFile("files/std.wasm")
	return wasm, err == nil
}

// Names returns the names of the built-in filters, in order, whether or not
// this program holds them.
func Names() []string { return strings.Fields(names) }
