package docs

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestABI holds the ABI's text against the functions that the host has and those
// that the Go SDK imports.
func TestABI(t *testing.T) {
	read := func(name, pattern string) (list []string) {
		t.Helper()
		b, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(b), -1) {
			if !slices.Contains(list, m[1]) {
				list = append(list, m[1])
			}
		}
		slices.Sort(list)
		return list
	}
	host := read("host/abi/native/functions.go", `\{"([a-z_]+)", (?:types|none)`)
	host = slices.DeleteFunc(host, func(s string) bool { return s == "abort" })
	if len(host) < 20 {
		t.Fatalf("only %v", host)
	}
	text := read("sdk/ABI.md", "`([a-z_]+)`")
	for _, f := range host {
		if !slices.Contains(text, f) {
			t.Errorf("sdk/ABI.md does not say what %s is", f)
		}
	}
	for _, f := range read("sdk/go/internal/host/wasm.go", `go:wasmimport \S+ ([a-z_]+)`) {
		if !slices.Contains(host, f) {
			t.Errorf("the Go SDK imports %s, which the host does not have", f)
		}
	}
}
