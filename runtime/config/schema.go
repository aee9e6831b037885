package config

import (
	"github.com/hashicorp/hcl/v2"
)

// spec describes a kind of block: what may stand in it and what it means. The
// loader, the JSON schema and the reference pages are made of it.
type spec struct {
	doc string
	// label is what the label of the block is; "" if it has none.
	label string
	// many allows more than one block of the kind in the block around it.
	many bool
	// open allows arguments and blocks that are not listed.
	open   bool
	args   []argSpec
	blocks []nested
}

// argSpec describes an argument of a block.
type argSpec struct {
	name string
	typ  argType
	// def is the default as one would write it, or what happens without the
	// argument; required if it has to be written.
	def string
	doc string
	// values are all that it can be; nil: there are too many.
	values []string
}

const required = "(required)"

// nested is a kind of block within another.
type nested struct {
	name string
	*spec
}

// argType is the type of an argument.
type argType string

// The types. Where a name of a block follows, it is a reference to one.
const (
	typeString    argType = "string"
	typeBool      argType = "bool"
	typeNumber    argType = "number"
	typeDuration  argType = "duration"
	typeSize      argType = "size"
	typeStrings   argType = "list of strings"
	typeStringMap argType = "map of strings"
	typeExpr      argType = "expression"
	typeExprMap   argType = "map of expressions"
	typeAny       argType = "any value"
	typeRef       argType = "reference to "
	typeRefs      argType = "list of references to "
)

// schema is what HCL needs to know of the block. Where there are nested blocks,
// dynamic ones may stand for them.
func (s *spec) schema() *hcl.BodySchema {
	out := s.written()
	if len(out.Blocks) > 0 {
		out.Blocks = append(out.Blocks, dynamicHeader)
	}
	return out
}

// written is schema without dynamic blocks.
func (s *spec) written() *hcl.BodySchema {
	out := &hcl.BodySchema{}
	for _, a := range s.args {
		out.Attributes = append(out.Attributes, hcl.AttributeSchema{Name: a.name})
	}
	for _, b := range s.blocks {
		h := hcl.BlockHeaderSchema{Type: b.name}
		if b.label != "" {
			h.LabelNames = []string{b.label}
		}
		out.Blocks = append(out.Blocks, h)
	}
	return out
}

// forEachArg is the for_each of blocks that can have instances.
var forEachArg = argSpec{"for_each", typeAny, "", "Makes an instance of the block for each element of a map, an object or a set of strings. In the block, each.key and each.value are the element; elsewhere an instance is called NAME[\"key\"].", nil}

// rootSpec is a configuration.
var rootSpec = &spec{
	doc: "All files of a configuration together.",
	blocks: []nested{
		{"gateway", gatewaySpec},
		{"listener", listenerSpec},
		{"certificate", certificateSpec},
		{"upstream", upstreamSpec},
		{"plugin", pluginSpec},
		{"policy", policySpec},
		{"chain", chainSpec},
		{"route", routeSpec},
		{"variable", variableSpec},
		{"locals", localsSpec},
	},
}

var variableSpec = &spec{
	doc: "A value that is given from outside, with -var NAME=VALUE or HEADGATE_VAR_NAME. It is used as var.NAME.", label: "name", many: true,
	args: []argSpec{
		{"default", typeAny, "none: the variable has to be given", "The value if none is given. A constant.", nil},
		{"type", typeAny, "any", "A type constraint such as string, number, bool, list(string) or map(number).", nil},
		{"sensitive", typeBool, "false", "The value is never shown: not in messages, logs or the admin API.", nil},
		{"description", typeString, `""`, "What the variable is for.", nil},
	},
}

var localsSpec = &spec{
	doc: "Names for values: each argument is one, used as local.NAME. They may depend on each other, but not in a circle.", many: true, open: true,
}

var dynamicSpec = &spec{
	doc: "Makes a nested block of the kind of its label for each element.", label: "type", many: true,
	args: []argSpec{
		{"for_each", typeAny, required, "A list, a map or a set.", nil},
		{"iterator", typeAny, "the kind of block", "The name of the element in content; NAME.key and NAME.value.", nil},
		{"labels", typeStrings, "[]", "The labels of the block, for kinds that have one.", nil},
	},
	blocks: []nested{{"content", &spec{doc: "What each of the blocks holds.", open: true}}},
}

var (
	rootSchema     = rootSpec.written()
	forEachSchema  = (&spec{args: []argSpec{forEachArg}}).written()
	variableSchema = variableSpec.schema()
	dynamicSchema  = dynamicSpec.schema()
)
