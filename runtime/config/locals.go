package config

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// local is one local value.
type local struct {
	expr  hclsyntax.Expression
	scope *scope
	rng   hcl.Range
	state localState
	value cty.Value
}

type localState uint8

const (
	localNew localState = iota
	localBusy
	localDone
)

// declareLocals gathers the attributes of all locals blocks.
func (l *loader) declareLocals(blocks []block) {
	for _, b := range blocks {
		if b.Type != "locals" {
			continue
		}
		list, diags := b.Body.JustAttributes()
		l.diags.append(diags)
		for _, name := range mapKeys(list) {
			a := list[name]
			if first, ok := l.locals[name]; ok {
				l.diags.twice(a.NameRange, first.rng, "Duplicate local value", "The local value %q is declared already.", name)
				continue
			}
			e, diags := syntaxOf(a.Expr)
			l.diags.append(diags)
			l.locals[name] = &local{expr: e, scope: b.scope, rng: a.NameRange, value: cty.DynamicVal}
		}
	}
}

// evaluateLocals fills base["local"] in the order of the references.
func (l *loader) evaluateLocals() {
	values := map[string]cty.Value{}
	for name := range l.locals {
		values[name] = cty.DynamicVal // what a cycle never gets to
	}
	for _, name := range mapKeys(l.locals) {
		l.evaluateLocal(name, values, nil)
	}
	l.base["local"] = cty.ObjectVal(values)
	// What is compiled later knows the names still, and must hold nothing else.
	for _, v := range l.locals {
		v.expr, v.scope = nil, nil
	}
}

func (l *loader) evaluateLocal(name string, values map[string]cty.Value, path []string) {
	v := l.locals[name]
	if v == nil || v.state == localDone {
		return
	}
	path = append(path, name)
	if v.state == localBusy {
		for path[0] != name {
			path = path[1:]
		}
		l.diags.errorf(v.rng, "Cyclic local values", "local.%s depends on itself: %s.", name, strings.Join(path, " -> "))
		return
	}
	v.state = localBusy
	// What the expression sees as "local": what it names, so that the work is not
	// that of all locals for each; all of them if it names none, or one that is not
	// there, which is an error that suggests others.
	named, all := map[string]cty.Value{}, false
	for _, t := range v.expr.Variables() {
		if t.RootName() != "local" {
			continue
		}
		dep, ok := "", false
		if len(t) > 1 {
			dep, ok = stepName(t[1])
		}
		if !ok || l.locals[dep] == nil {
			all = true
			continue
		}
		l.evaluateLocal(dep, values, path)
		named[dep] = values[dep]
	}
	v.state = localDone
	if all {
		named = values
	}
	l.base["local"] = cty.ObjectVal(named)
	if val, ok := v.scope.evaluate(v.expr, "local."+name); ok {
		l.keep("local", name, val)
		v.value = val
	}
	values[name] = v.value
}
