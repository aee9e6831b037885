package main

import (
	"os"
	"path/filepath"

	"github.com/headgate/headgate/runtime/config"
)

const schemaUsage = `
Describe the configuration language: as a JSON Schema of *.hcl.json files, which
editors and other tools understand, or as pages of Markdown.

  headgate schema > headgate.schema.json
  headgate schema -reference docs/reference
`

func runSchema(args []string, s streams) int {
	f := newFlags("schema", schemaUsage)
	f.String("o", "json", "output `format`: json, the only one")
	pages := f.String("reference", "", "write Markdown pages into this `directory`")
	rest, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(rest) > 0:
		return f.misuse(s, "schema takes no arguments")
	case f.Lookup("o").Value.String() != "json":
		return f.misuse(s, "there is no output format %q; write json", f.Lookup("o").Value)
	case *pages == "":
		if _, err := s.out.Write(config.Schema()); err != nil {
			return report(err, "schema", s)
		}
		return exitOK
	}
	if err := os.MkdirAll(*pages, 0o755); err != nil {
		return report(err, "schema", s)
	}
	for _, p := range config.Reference() {
		if err := os.WriteFile(filepath.Join(*pages, p.Name), []byte(p.Text), 0o644); err != nil {
			return report(err, "schema", s)
		}
	}
	return exitOK
}
