package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/headgate/headgate/cmd/headgate/internal/toolchain"
	"github.com/headgate/headgate/host"
)

const pluginInspectUsage = `
Tell what a module is: its ABI, its size, what it exports and imports, which
attributes of allow that may need, the schema of its configuration, and whether
this gateway can load it.

  headgate plugin inspect hello.wasm
  headgate plugin inspect -o json hello.wasm
`

// inspected is what inspect prints with -o json.
type inspected struct {
	*toolchain.Facts
	Schema json.RawMessage `json:"schema,omitempty"`
	// Problem is why the gateway can't load it.
	Problem string `json:"problem,omitempty"`
}

func runPluginInspect(args []string, s streams) int {
	f := newFlags("plugin inspect", pluginInspectUsage)
	format := f.format()
	rest, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(rest) != 1:
		return f.misuse(s, "name a module")
	case !knownFormat(*format):
		return f.misuse(s, "there is no output format %q; write text or json", *format)
	}
	wasm, err := os.ReadFile(rest[0])
	if err != nil {
		return refuse(s, "plugin inspect", err)
	}
	facts, err := toolchain.Inspect(background(), wasm)
	if err != nil {
		return refuse(s, "plugin inspect", fmt.Errorf("%s: %w", rest[0], err))
	}
	i := inspected{Facts: facts, Problem: loads(background(), wasm)}
	if json.Valid(facts.Schema) {
		i.Schema = facts.Schema
	} else if facts.Schema != nil {
		i.Problem = "the schema in it is not JSON"
	}
	code = exitOK
	if i.Problem != "" {
		code = exitInput
	}
	if *format == "json" {
		return max(writeJSON(s.out, i), code)
	}
	i.print(s.out)
	return code
}

// loads tells why the host can't load a module, "" if it can.
func loads(ctx context.Context, wasm []byte) string {
	h, err := host.New(ctx, host.Options{})
	if err != nil {
		return err.Error()
	}
	defer func() { _ = h.Close(ctx) }() // nothing runs any more
	p, err := h.Plugin(ctx, host.Spec{Name: "module", Wasm: wasm, HeadersRead: []string{"*"}, HeadersWrite: []string{"*"}, Instances: 1})
	var wrong *host.ModuleError
	if errors.As(err, &wrong) || err != nil {
		return err.Error()
	}
	p.Close()
	return ""
}

func (i *inspected) print(w io.Writer) {
	fmt.Fprintf(w, "ABI       %s\nsize      %s\nmemory    %s at the start\n", i.ABI, size(i.Bytes), size(int(i.Memory)))
	grants := "none"
	if len(i.Grants) > 0 {
		grants = strings.Join(i.Grants, ", ") + ", as far as it uses what it imports"
	}
	fmt.Fprintf(w, "allow     %s\n", grants)
	if i.Problem == "" {
		fmt.Fprintln(w, "loads     yes")
	} else {
		fmt.Fprintf(w, "loads     no: %s\n", i.Problem)
	}
	fmt.Fprintln(w, "exports")
	for _, e := range i.Exports {
		fmt.Fprintf(w, "  %s%s\n", e.Name, e.Signature)
	}
	fmt.Fprintln(w, "imports")
	for _, e := range i.Imports {
		fmt.Fprintf(w, "  %s.%s%s\n", e.Module, e.Name, e.Signature)
	}
	if i.Schema != nil {
		fmt.Fprintln(w, "schema")
		var v any
		_ = json.Unmarshal(i.Schema, &v) // it is valid
		e := json.NewEncoder(w)
		e.SetIndent("  ", "  ")
		fmt.Fprint(w, "  ")
		_ = e.Encode(v) // as the lines above
	}
}
