package policies

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	opaversion "github.com/open-policy-agent/opa/v1/version"
)

// Guarded lists the builtins that reach outside the process. A policy has none
// of them unless its Spec allows it.
func Guarded() []string { return []string{"http.send", "net.lookup_ip_addr", "opa.runtime"} }

// capabilities are those of this OPA without the guarded builtins that allow
// does not name, and without what a capabilities file, if there is one, leaves out.
func capabilities(allow []string, limits *file) (*ast.Capabilities, error) {
	guarded := Guarded()
	for _, name := range allow {
		if !slices.Contains(guarded, name) {
			return nil, &Error{Message: fmt.Sprintf("%q can't be allowed; only %s can", name, strings.Join(guarded, ", "))}
		}
	}
	caps := ast.CapabilitiesForThisVersion()
	caps.Builtins = slices.DeleteFunc(caps.Builtins, func(b *ast.Builtin) bool {
		return slices.Contains(guarded, b.Name) && !slices.Contains(allow, b.Name)
	})
	if limits == nil {
		return caps, nil
	}
	l, err := ast.LoadCapabilitiesJSON(bytes.NewReader(limits.text))
	if err != nil {
		return nil, &Error{File: limits.name, Message: "this is no capabilities file: " + err.Error()}
	}
	caps.Builtins = slices.DeleteFunc(caps.Builtins, func(b *ast.Builtin) bool {
		return !slices.ContainsFunc(l.Builtins, func(a *ast.Builtin) bool { return a.Name == b.Name })
	})
	caps.AllowNet = l.AllowNet
	return caps, nil
}

// hint adds to the message of a compile error how to grant the builtin that it
// complains of.
func hint(message string) string {
	for _, name := range Guarded() {
		if strings.Contains(message, "undefined function "+name) {
			return fmt.Sprintf("%s is not granted to this policy; allow = [%q] in the policy block grants it", name, name)
		}
	}
	return message
}

// runtimeTerm is what opa.runtime() returns to a policy that was granted it.
func runtimeTerm() *ast.Term {
	env := ast.NewObject()
	for _, kv := range os.Environ() {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env.Insert(ast.StringTerm(k), ast.StringTerm(v))
		}
	}
	return ast.ObjectTerm(
		ast.Item(ast.StringTerm("env"), ast.NewTerm(env)),
		ast.Item(ast.StringTerm("version"), ast.StringTerm(opaversion.Version)),
	)
}
