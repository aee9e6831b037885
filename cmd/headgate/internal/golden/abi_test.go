package golden_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// functionsOf returns the functions of a module that ABI.md lists.
func functionsOf(t *testing.T, text, module string) (names []string) {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n## Module "+module+"\n")
	if !ok {
		t.Fatalf("ABI.md has no module %s", module)
	}
	section, _, _ := strings.Cut(rest, "\n### ")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\| `\\(").FindAllStringSubmatch(section, -1) {
		for name := range strings.SplitSeq(row[1], ",") {
			names = append(names, strings.Trim(name, " `"))
		}
	}
	return names
}

// TestSDKsNameTheFunctions compares ABI.md, which a test of the host's compares with
// the host, with what each SDK imports.
func TestSDKsNameTheFunctions(t *testing.T) {
	const sdk = "../../../../sdk/"
	read := func(name string) string {
		text, err := os.ReadFile(sdk + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	abi := read("ABI.md")
	for _, s := range []struct{ file, handler, extra string }{
		{"c/headgate.h", `HG_HANDLER\("(\w+)"\)`, `HG_EXTRA\("(\w+)"\)`},
		{"as/assembly/raw.ts", `@external\("http_handler", "(\w+)"\)`, `@external\("headgate_v1", "(\w+)"\)`},
		{"rust/src/raw.rs", `pub fn (\w+)\(`, ``},
	} {
		text := read(s.file)
		var have []string
		for _, pattern := range []string{s.handler, s.extra} {
			if pattern == "" {
				continue
			}
			body := text
			if strings.HasSuffix(s.file, ".rs") { // what follows the imports is Rust
				body = text[:strings.Index(text, "/// What a length says")]
			}
			for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(body, -1) {
				have = append(have, m[1])
			}
		}
		want := append(functionsOf(t, abi, "http_handler"), functionsOf(t, abi, "headgate_v1")...)
		if len(want) < 40 {
			t.Fatalf("ABI.md lists only %q", want)
		}
		slices.Sort(want)
		slices.Sort(have)
		for _, name := range want {
			if !slices.Contains(have, name) {
				t.Errorf("sdk/%s lacks %s", s.file, name)
			}
		}
		for _, name := range have {
			if !slices.Contains(want, name) {
				t.Errorf("sdk/%s has %s, which ABI.md does not list", s.file, name)
			}
		}
	}
}
