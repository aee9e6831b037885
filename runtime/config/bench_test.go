package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func BenchmarkLoad10000Routes(b *testing.B) {
	var text strings.Builder
	text.WriteString("upstream \"u\" {\n  endpoint \"h:1\" {}\n}\nlistener \"l\" {\n  address = \":80\"\n}\nlocals {\n  a = \"x\"\n}\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "route \"r%d\" {\n  path = \"/r%d/{id}\"\n  upstream = upstream.u\n  rewrite {\n    path = \"/v2/${local.a}/${path.id}\"\n  }\n}\n", i, i)
	}
	name := filepath.Join(b.TempDir(), "x.hcl")
	if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, d := Load(Source{Paths: []string{name}}); d.HasErrors() {
			b.Fatal(d.Text())
		}
	}
}
