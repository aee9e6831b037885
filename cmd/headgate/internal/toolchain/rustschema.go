package toolchain

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A plugin in Rust declares its settings with the SDK's macro config!, whose form is
// fixed: comments, then "name: Type" or "name: Type = default". Lines are enough.
var (
	rustStruct = regexp.MustCompile(`^(?:pub(?:\([^)]*\))?\s+)?struct\s+(\w+)\s*\{`)
	rustField  = regexp.MustCompile(`^(?:pub(?:\([^)]*\))?\s+)?(\w+)\s*:\s*([\w<>: ]+?)\s*(=.*)?,?$`)
	rustPlugin = regexp.MustCompile(`plugin!\s*[({\[]\s*"([^"]+)"`)
)

// rustFilters returns the schema of what config! declares. A crate that declares
// several structs, or has several filters, needs a schema.json.
func rustFilters(dir string) ([]*schema, error) {
	paths, err := filepath.Glob(filepath.Join(escape(dir), "src", "*.rs"))
	if err != nil {
		return nil, err
	}
	var all []*schema
	title := ""
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if m := rustPlugin.FindSubmatch(text); m != nil {
			title = string(m[1])
		}
		for _, block := range strings.Split(string(text), "config! {")[1:] {
			all = append(all, rustConfig(block))
		}
	}
	if len(all) != 1 {
		return nil, nil
	}
	all[0].Title = title
	return all, nil
}

// rustConfig reads what stands behind "config! {".
func rustConfig(block string) *schema {
	s := &schema{Type: "object", Properties: map[string]*schema{}, Additional: false}
	var comment []string
	inside := false
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		switch doc, ok := strings.CutPrefix(line, "///"); {
		case ok:
			comment = append(comment, strings.TrimSpace(doc))
			continue
		case !inside && rustStruct.MatchString(line):
			inside = true
			s.Description = strings.Join(comment, " ")
		case inside && line == "}":
			return s
		case inside:
			if m := rustField.FindStringSubmatch(line); m != nil {
				field, optional := rustType(m[2])
				field.Description = strings.Join(comment, " ")
				s.Properties[m[1]] = field
				if !optional && m[3] == "" {
					s.Required = append(s.Required, m[1])
				}
			}
		}
		comment = nil
	}
	return s
}

// rustType describes a type that a setting may have; optional ones may be left out.
func rustType(name string) (s *schema, optional bool) {
	name = strings.TrimSpace(name)
	if inner, ok := generic(name, "Option"); ok {
		s, _ = rustType(inner)
		return s, true
	}
	if inner, ok := generic(name, "Vec"); ok {
		item, _ := rustType(inner)
		return &schema{Type: "array", Items: item}, true
	}
	var zero float64
	switch {
	case name == "String":
		return &schema{Type: "string"}, false
	case name == "bool":
		return &schema{Type: "boolean"}, false
	case name == "f32", name == "f64":
		return &schema{Type: "number"}, false
	case slices.Contains([]string{"i8", "i16", "i32", "i64", "isize"}, name):
		return &schema{Type: "integer"}, false
	case slices.Contains([]string{"u8", "u16", "u32", "u64", "usize"}, name):
		return &schema{Type: "integer", Minimum: &zero}, false
	}
	return &schema{}, false
}

func generic(name, of string) (inner string, ok bool) {
	rest, ok := strings.CutPrefix(name, of+"<")
	return strings.TrimSuffix(rest, ">"), ok
}
