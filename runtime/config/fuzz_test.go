package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func seeds(f *testing.F) {
	names, err := filepath.Glob("testdata/*/*.hcl*")
	if err != nil || len(names) == 0 {
		f.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, filepath.Ext(n) == ".json")
	}
	f.Add([]byte(`locals { x = "${`), false)
	f.Add([]byte("route \"a\" { respond { body = <<E\n${request.path}\nE\n} }"), false)
	f.Add([]byte(`route "r" { for_each = { a = 1 } 
 path = "/${each.key}/{x}" 
 upstream = upstream.u[each.value] }`), false)
}

// FuzzLoad checks that no bytes make a load panic or hang, and that what is
// reported can be written.
func FuzzLoad(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte, json bool) {
		if len(src) > 1<<16 {
			return
		}
		name := "testdata/fuzz.hcl"
		if json {
			name += ".json"
		}
		start := time.Now()
		c, d := newLoader(Source{}).load([]*unit{{name: name, src: append([]byte{}, src...)}})
		if (c == nil) != d.HasErrors() {
			t.Error("a configuration with errors, or neither")
		}
		if d.Text() == "" && d.Len() > 0 || len(d.JSON()) < 2 {
			t.Error("diagnostics without a text")
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%d bytes took %s", len(src), took)
		}
	})
}

// FuzzFormat checks that formatting twice is formatting once, and that the
// result still parses.
func FuzzFormat(f *testing.F) {
	seeds(f)
	f.Add([]byte("a = 1 # c\r\nbb = 2 # d\r\n"), false)
	f.Fuzz(func(t *testing.T, src []byte, json bool) {
		if len(src) > 1<<14 || json {
			return
		}
		once, d := Format(src, "x.hcl")
		if d.HasErrors() {
			return
		}
		twice, d := Format(once, "x.hcl")
		if d.HasErrors() {
			t.Fatalf("no longer parses: %s\n%q\n%q", d.Text(), src, once)
		}
		if !bytes.Equal(once, twice) {
			t.Errorf("not idempotent\n%q\n%q\n%q", src, once, twice)
		}
	})
}

func TestFormat(t *testing.T) {
	got, d := Format([]byte("route \"a\" {\n# why\npath=\"/a\"  # here\nupstream = upstream.u\n}\n"), "x.hcl")
	want := "route \"a\" {\n  # why\n  path     = \"/a\" # here\n  upstream = upstream.u\n}\n"
	if d.HasErrors() || string(got) != want {
		t.Errorf("%s\n%s", got, d.Text())
	}
	broken := []byte("route \"a\" {\n  path = \n}\n")
	if got, d := Format(broken, "x.hcl"); !d.HasErrors() || !bytes.Equal(got, broken) {
		t.Errorf("%s", got)
	}
	names, err := filepath.Glob("testdata/good/*.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		src, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		once, _ := Format(src, n)
		if twice, _ := Format(once, n); !bytes.Equal(once, twice) {
			t.Errorf("%s: not idempotent", n)
		}
	}
}

// FuzzHarmless checks that what passes without the lexer would pass with it.
func FuzzHarmless(f *testing.F) {
	seeds(f)
	f.Add(bytes.Repeat([]byte("["), 101), false)
	f.Add([]byte("a = \""+strings.Repeat("%{ if x }", 200)+"\""), false)
	f.Add([]byte("a = "+strings.Repeat("b+", 1500)+"{\nc = "+strings.Repeat("b+", 1500)+"1\n}"), false)
	f.Add([]byte("a = \"$${\"\nb = \"${x}\"\n"), false)
	f.Add([]byte("a = \"\\\"${a.b}\" # \"\nb = 1 // }\n"), false)
	f.Fuzz(func(t *testing.T, src []byte, _ bool) {
		if len(src) > 1<<16 || !harmless(src) {
			return
		}
		tokens, _ := hclsyntax.LexConfig(src, "x.hcl", hcl.InitialPos)
		if diags := checkTokens(tokens, false); diags.HasErrors() {
			t.Errorf("%q passes, but %s", src, diags)
		}
	})
}
