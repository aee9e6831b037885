package config

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("headgate.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("headgate.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchemaAgreesWithLoader checks that the schema takes what the loader takes,
// and refuses what it can see to be wrong.
func TestSchemaAgreesWithLoader(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("testdata/good/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, name := range files {
		src, err := readFile(name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(src))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []struct {
		text string
		good bool
	}{
		{`{"route": {"a": {"respond": {"status": 200}}}}`, true},
		{`{"route": {"a": [{"respond": [{"status": "${var.s}"}]}]}}`, true},
		{`{"route": {"a": {"timeout": "5s", "max_body": "1MiB", "methods": ["GET"], "respond": {}}}}`, true},
		{`{"locals": {"anything": [1]}}`, true},
		{`{"rout": {}}`, false},
		{`{"route": {"a": {"pth": "/x"}}}`, false},
		{`{"route": {"a": {"timeout": "5 parsecs", "respond": {}}}}`, false},
		{`{"route": {"a": {"methods": "GET", "respond": {}}}}`, false},
		{`{"route": {"a": {"upstream": "orders"}}}`, false},
		{`{"listener": {"a": {}}}`, false},
		{`{"gateway": {"log": {"level": "loud"}}}`, false},
		{`{"gateway": {"limits": {"max_headers": "many"}}}`, false},
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); (err == nil) != c.good {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

// TestSpecs checks that everything is described, and by one sentence at least.
func TestSpecs(t *testing.T) {
	var visit func(path string, s *spec)
	visit = func(path string, s *spec) {
		if !strings.HasSuffix(s.doc, ".") {
			t.Errorf("%s: %q is no sentence", path, s.doc)
		}
		seen := map[string]bool{}
		for _, a := range s.args {
			if seen[a.name] || a.typ == "" || !strings.HasSuffix(a.doc, ".") && !strings.HasSuffix(a.doc, "]") {
				t.Errorf("%s.%s: %q of type %q", path, a.name, a.doc, a.typ)
			}
			seen[a.name] = true
		}
		for _, b := range s.blocks {
			visit(path+"."+b.name, b.spec)
		}
	}
	visit("", rootSpec)
}
