package toolchain

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headgate/headgate/test/need"
)

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpen(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Language
	}{
		{"go", map[string]string{"go.mod": ""}, Go},
		{"rust", map[string]string{"Cargo.toml": ""}, Rust},
		{"zig", map[string]string{"build.zig": ""}, Zig},
		{"as", map[string]string{"package.json": `{"devDependencies":{"assemblyscript":"1"}}`}, AssemblyScript},
		{"c", map[string]string{"x.c": ""}, C},
		{"c++", map[string]string{"x.cc": ""}, C},
		{"other npm", map[string]string{"package.json": `{}`}, ""},
		{"nothing", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Open(write(t, t.TempDir(), c.files))
			if c.want == "" {
				if !errors.Is(err, ErrNoLanguage) {
					t.Fatal(err)
				}
				return
			}
			if err != nil || p.Language != c.want {
				t.Errorf("%v %v", p, err)
			}
		})
	}
}

const twoFilters = `package main

import (
	"time"

	hg "github.com/headgate/headgate/sdk/go"
)

// A is the first.
type A struct {
	// Header is where
	// it comes from.
	Header  string ` + "`headgate:\"header,required\"`" + `
	MaxAge  time.Duration // how long
	Names   []string
	By      map[string]uint
	Inner   *Inner
	Hidden  int ` + "`headgate:\"-\"`" + `
	private int
}

type Inner struct {
	Rate  float64
	Again *Inner
}

type B struct{ On bool }

func newB(B) (hg.Filter, error) { return nil, nil }

func init() {
	hg.Register("a", func(c A) (hg.Filter, error) { return nil, nil }, hg.BufferRequest)
	hg.Register("b", newB)
}

func main() {}
`

func TestGoSchema(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"go.mod": "module x", "main.go": twoFilters})
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("plugin.json", doc); err != nil {
		t.Fatal(err)
	}
	a, err := c.Compile("plugin.json#/$defs/a")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, c := range []struct {
		config, wrong string
	}{
		{`{"header": "x", "max_age": "1s", "names": ["a"], "by": {"x": 1}, "inner": {"rate": 1.5, "again": {}}}`, ""},
		{`{}`, "header"},
		{`{"header": 1}`, "string"},
		{`{"header": "x", "hidden": 1}`, "hidden"},
		{`{"header": "x", "by": {"x": -1}}`, "minimum"},
		{`{"header": "x", "inner": {"rat": 1}}`, "rat"},
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(c.config))
		if err != nil {
			t.Fatal(err)
		}
		err = a.Validate(v)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v", c.config, err)
		}
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	of := s.Defs["a"]
	if of.Description != "A is the first." || of.Properties["header"].Description != "Header is where it comes from." || of.Properties["max_age"].Description != "how long" {
		t.Errorf("%s", text)
	}
}

func TestSetSection(t *testing.T) {
	empty := []byte("\x00asm\x01\x00\x00\x00")
	once, err := SetSection(empty, SchemaSection, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	twice, err := SetSection(once, SchemaSection, bytes.Repeat([]byte("x"), 300))
	if err != nil {
		t.Fatal(err)
	}
	list, err := Sections(twice)
	if err != nil || len(list) != 1 || len(Custom(list, SchemaSection)) != 300 {
		t.Errorf("%v %v", list, err)
	}
	for _, bad := range []string{"", "hello", "\x00asm\x0d\x00\x01\x00", string(once[:len(once)-1]), "\x00asm\x01\x00\x00\x00\x00\x01\x09"} {
		if _, err := Sections([]byte(bad)); !errors.Is(err, ErrNotWasm) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

const plus = `#include "headgate.h"

static hg_verdict request(hg_exchange *) {
	hg_set_header(HG_REQUEST, "x-uri", hg_uri());
	return HG_CONTINUE;
}

static const hg_filter filter = {"plus", 0, nullptr, request, nullptr, nullptr};

HG_PLUGIN(&filter);
`

// The header is for C++, too, and may be in several files.
func TestCPlusPlus(t *testing.T) {
	need.Program(t, "clang++-19")
	need.Program(t, "wasm-ld-19")
	header, err := os.ReadFile("../../../../sdk/c/headgate.h")
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, t.TempDir(), map[string]string{
		"headgate.h": string(header), "plugin.cc": plus, "more.c": "#include \"headgate.h\"\nhg_str more(void) { return hg_method(); }\n",
	})
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "plus.wasm")
	if err := p.Build(t.Context(), out); err != nil {
		var c *CompileError
		errors.As(err, &c)
		t.Fatalf("%v %+v", err, c)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Inspect(t.Context(), wasm)
	if err != nil || f.ABI != "native" || f.Bytes > 64<<10 {
		t.Errorf("%+v %v", f, err)
	}
}

const rustConfigSource = `headgate::config! {
    /// What the filter
    /// block says.
    pub(crate) struct Settings {
        /// Names who is greeted.
        header: String,
        pub names: Vec<String>,
        rate: Option<f64>,
        max: u32 = 5u32,
    }
}

headgate::plugin!("greeter" => Settings);
`

func TestRustSchema(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"Cargo.toml": "", "src/lib.rs": rustConfigSource})
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Schema()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"greeter","description":"What the filter block says.","type":"object",` +
		`"properties":{"header":{"description":"Names who is greeted.","type":"string"},"max":{"type":"integer","minimum":0},` +
		`"names":{"type":"array","items":{"type":"string"}},"rate":{"type":"number"}},"required":["header"],"additionalProperties":false}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
