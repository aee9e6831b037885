package toolchain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// schemaFile, in a project's folder, is the schema of its configuration, where the
// language's own types don't say it.
const schemaFile = "schema.json"

// Schema returns the JSON Schema of the plugin's configuration: that of
// schema.json, or what the Config types of a Go project or config! of a Rust
// project say. nil if there is none.
func (p *Project) Schema() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(p.Dir, schemaFile))
	switch {
	case err == nil:
		var b bytes.Buffer
		if err := json.Compact(&b, text); err != nil {
			return nil, fmt.Errorf("%s: %w", schemaFile, err)
		}
		return b.Bytes(), nil
	case !os.IsNotExist(err):
		return nil, err
	}
	var filters []*schema
	switch p.Language {
	case Go:
		filters, err = goFilters(p.Dir)
	case Rust:
		filters, err = rustFilters(p.Dir)
	default:
		return nil, nil
	}
	if err != nil || len(filters) == 0 {
		return nil, err
	}
	return json.Marshal(together(filters))
}

// schema is the part of JSON Schema (draft 2020-12) that configurations need.
type schema struct {
	Version     string             `json:"$schema,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"`
	Format      string             `json:"format,omitempty"`
	Minimum     *float64           `json:"minimum,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	// Additional is false, or the schema of the values of a map.
	Additional any                `json:"additionalProperties,omitempty"`
	Items      *schema            `json:"items,omitempty"`
	AnyOf      []*schema          `json:"anyOf,omitempty"`
	Defs       map[string]*schema `json:"$defs,omitempty"`
}

const draft = "https://json-schema.org/draft/2020-12/schema"

// together is the schema of a module: that of its only filter, or one for each
// under $defs.
func together(filters []*schema) *schema {
	if len(filters) == 1 {
		filters[0].Version = draft
		return filters[0]
	}
	s := &schema{Version: draft, Defs: map[string]*schema{}}
	for _, f := range filters {
		s.Defs[f.Title] = f
		s.AnyOf = append(s.AnyOf, &schema{Ref: "#/$defs/" + f.Title})
	}
	return s
}
