package config

import (
	"os"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// EnvPrefix starts the names of environment variables that set a variable.
const EnvPrefix = "HEADGATE_VAR_"

// variable is a variable block and its value.
type variable struct {
	rng       hcl.Range
	sensitive bool
}

// declareVariables decodes the variable blocks and fills base["var"].
func (l *loader) declareVariables(blocks []block) {
	values := map[string]cty.Value{}
	for _, b := range blocks {
		if b.Type != "variable" || !l.validName(b) {
			continue
		}
		name := b.Labels[0]
		if first, ok := l.vars[name]; ok {
			l.diags.twice(b.DefRange, first.rng, "Duplicate variable", "The variable %q is declared already.", name)
			continue
		}
		v := &variable{rng: b.DefRange}
		l.vars[name] = v
		values[name] = l.variableValue(b, v)
		l.keep("var", name, values[name])
	}
	l.base["var"] = cty.ObjectVal(values)
	for _, name := range mapKeys(l.src.Vars) {
		if l.vars[name] == nil && !l.partial {
			l.diags.add(&hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Unknown variable",
				Detail: "-var " + name + "=... sets a variable that is not declared." + suggest(name, mapKeys(l.vars)),
			})
		}
	}
}

// variableValue returns the value that is given, or else the default. Unknown
// stands for one that is wrong: what depends on it is not reported again.
func (l *loader) variableValue(b block, v *variable) cty.Value {
	name := b.Labels[0]
	// Defaults are constants: an empty scope keeps variables from needing an
	// order.
	s := l.read(block{Block: b.Block, scope: b.scope}, variableSchema)
	s.name = "variable"
	s.flag("sensitive", &v.sensitive)
	ty, anyType := cty.DynamicPseudoType, true
	if a := s.attrs["type"]; a != nil {
		t, diags := typeexpr.TypeConstraint(a.raw)
		l.diags.append(diags)
		if diags.HasErrors() {
			return cty.DynamicVal
		}
		ty, anyType = t, t == cty.DynamicPseudoType
	}
	given, source, ok := l.given(name)
	var val cty.Value
	rng := b.DefRange
	switch a := s.attrs["default"]; {
	case ok:
		val = cty.StringVal(given)
		if !anyType && !ty.IsPrimitiveType() {
			// As with Terraform, lists and objects are given in HCL.
			e, diags := hclsyntax.ParseExpression([]byte(given), source, hcl.InitialPos)
			if !diags.HasErrors() {
				val, diags = e.Value(nil)
			}
			if diags.HasErrors() {
				l.diags.errorf(rng, "Invalid value for variable", "%s for variable %q is not %s. Write it as in a file, in quotes of your shell: '[\"a\", \"b\"]'", source, name, article(ty))
				return cty.DynamicVal
			}
		}
	case a != nil:
		if len(a.expr.Variables()) > 0 {
			l.diags.errorf(a.expr.Range(), "Invalid default", "The default of a variable is a constant. Use a local value for something that is computed.")
			return cty.DynamicVal
		}
		rng, source = a.expr.Range(), "The default"
		e, diags := a.expr.Value(b.scope.ctx)
		if diags.HasErrors() && v.sensitive {
			l.hidden(rng, "Invalid default", "The default of the sensitive variable "+name+" has no value.")
			return cty.DynamicVal
		}
		l.diags.append(diags)
		val = e
		if diags.HasErrors() {
			return cty.DynamicVal
		}
	default:
		l.diags.errorf(rng, "Variable without a value", "The variable %q has no default: set it with -var %s=... or in the environment with %s%s.", name, name, EnvPrefix, name)
		return cty.DynamicVal
	}
	c, err := convert.Convert(val, ty)
	if err != nil {
		msg := source + " for variable " + name + " is not " + article(ty) + "."
		if v.sensitive {
			l.hidden(rng, "Invalid value for variable", msg)
		} else {
			l.diags.errorf(rng, "Invalid value for variable", "%s", msg)
		}
		return cty.DynamicVal
	}
	if v.sensitive {
		c = c.Mark(sensitiveMark{})
	}
	return c
}

// given looks for a value from outside. The command line wins.
func (l *loader) given(name string) (value, source string, ok bool) {
	if v, ok := l.src.Vars[name]; ok {
		return v, "The value of -var", true
	}
	if l.src.Env != nil {
		if v, ok := l.src.Env(EnvPrefix + name); ok {
			return v, "The value of " + EnvPrefix + name, true
		}
	}
	return "", "", false
}

// hidden adds an error whose source line is not shown.
func (l *loader) hidden(rng hcl.Range, summary, detail string) {
	l.diags.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &rng, Extra: extra{hidden: true}})
}

// OSEnv looks a variable of the process's environment up; for Source.Env.
func OSEnv(name string) (string, bool) { return os.LookupEnv(name) }

// validName checks the label of a root block.
func (l *loader) validName(b block) bool {
	name := b.Labels[0]
	if hclsyntax.ValidIdentifier(name) {
		return true
	}
	rng := b.DefRange
	if len(b.LabelRanges) > 0 {
		rng = b.LabelRanges[0]
	}
	l.diags.errorf(rng, "Invalid name", "%q can't be a name: use letters, digits, \"-\" and \"_\", and start with a letter, so that others can refer to it.", name)
	return false
}
