package config

import (
	"encoding/json"
	"strings"
)

// Schema returns a JSON Schema (draft 2020-12) of a configuration in JSON
// syntax, *.hcl.json, with a description of everything. Native syntax has the
// same blocks and arguments.
func Schema() []byte {
	root := rootSpec.jsonSchema()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Headgate configuration"
	root["$defs"] = map[string]any{
		"duration":  described(typedString(`^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`), "A number and a unit: ms, s, m or h."),
		"size":      described(typedString(`^[0-9]+(\.[0-9]+)? ?(B|[KMGT]iB|[kKMGT]B)?$`), "A number and a unit: B, KiB, MiB or GiB."),
		"number":    anyOf(map[string]any{"type": "number"}, typedString(`^-?[0-9.]+$`)),
		"boolean":   anyOf(map[string]any{"type": "boolean"}, map[string]any{"enum": []string{"true", "false"}}),
		"template":  described(typedString(`[$%]\{`), "A template, whose value is known when the configuration is loaded."),
		"reference": described(typedString(`^(\$\{)?[a-z]+\.[A-Za-z_][A-Za-z0-9_-]*(\[.*\])?\}?$|\$\{`), "The name of a block, such as upstream.orders."),
	}
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return []byte("{}") // strings, lists and maps always marshal
	}
	return append(b, '\n')
}

func described(s map[string]any, text string) map[string]any {
	s["description"] = text
	return s
}

func anyOf(list ...map[string]any) map[string]any { return map[string]any{"anyOf": list} }

func typedString(pattern string) map[string]any {
	return map[string]any{"type": "string", "pattern": pattern}
}

func definition(name string) map[string]any { return map[string]any{"$ref": "#/$defs/" + name} }

// jsonSchema is the schema of the body of the block.
func (s *spec) jsonSchema() map[string]any {
	properties := map[string]any{"//": map[string]any{"description": "A comment."}}
	var needed []string
	for _, a := range s.args {
		properties[a.name] = a.jsonSchema()
		if a.def == required {
			needed = append(needed, a.name)
		}
	}
	for _, b := range s.blocks {
		properties[b.name] = b.jsonSchema()
	}
	out := map[string]any{"type": "object", "description": s.doc, "properties": properties}
	if len(s.blocks) > 0 {
		properties["dynamic"] = map[string]any{"description": dynamicSpec.doc}
	}
	if !s.open {
		out["additionalProperties"] = false
	}
	if len(needed) > 0 {
		out["required"] = needed
	}
	return out
}

// jsonSchema is the schema of all blocks of a kind: objects by label, if they
// have one, and lists wherever there may be several.
func (n *nested) jsonSchema() map[string]any {
	one := n.spec.jsonSchema()
	if n.label == "" {
		return described(several(one), n.doc)
	}
	return described(several(map[string]any{"type": "object", "additionalProperties": several(one)}), n.doc)
}

func several(one map[string]any) map[string]any {
	return anyOf(one, map[string]any{"type": "array", "items": one})
}

func (a *argSpec) jsonSchema() map[string]any {
	s := a.typ.jsonSchema()
	if a.values != nil {
		s = anyOf(map[string]any{"enum": a.values}, definition("template"))
	}
	text := a.doc
	if a.def != "" && a.def != required {
		text += " Default: " + a.def + "."
	}
	out := described(s, text)
	var v any
	if json.Unmarshal([]byte(a.def), &v) == nil {
		out["default"] = v
	}
	return out
}

func (t argType) jsonSchema() map[string]any {
	text := map[string]any{"type": "string"}
	switch {
	case t == typeString:
		return text
	case t == typeBool:
		return anyOf(definition("boolean"), definition("template"))
	case t == typeNumber:
		return anyOf(definition("number"), definition("template"))
	case t == typeDuration:
		return anyOf(definition("duration"), definition("template"))
	case t == typeSize:
		return anyOf(definition("size"), definition("template"))
	case t == typeStrings:
		return anyOf(map[string]any{"type": "array", "items": text}, definition("template"))
	case t == typeStringMap:
		return anyOf(map[string]any{"type": "object", "additionalProperties": text}, definition("template"))
	case t == typeExprMap:
		return anyOf(map[string]any{"type": "object"}, definition("template"))
	case strings.HasPrefix(string(t), string(typeRefs)):
		return map[string]any{"type": "array", "items": definition("reference")}
	case strings.HasPrefix(string(t), string(typeRef)):
		return definition("reference")
	}
	return map[string]any{} // any value, or an expression
}
