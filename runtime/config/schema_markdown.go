package config

import (
	"fmt"
	"strings"
)

// ReferencePage is one page of the reference.
type ReferencePage struct {
	// Name is that of a file.
	Name, Text string
}

// Reference returns pages, in Markdown, that describe every block.
func Reference() []ReferencePage {
	var index strings.Builder
	index.WriteString("# Configuration reference\n\nMade by `headgate schema` from the descriptions that the gateway itself reads configurations with. [Configuration](../configuration.md) explains the language.\n\n")
	var pages []ReferencePage
	for _, b := range rootSpec.blocks {
		fmt.Fprintf(&index, "- [%s](%s.md): %s\n", b.name, b.name, b.doc)
		var text strings.Builder
		b.markdown(&text, "", "#")
		pages = append(pages, ReferencePage{b.name + ".md", text.String()})
	}
	return append([]ReferencePage{{"README.md", index.String()}}, pages...)
}

func (n *nested) markdown(w *strings.Builder, path, level string) {
	path += n.name
	title := path
	if n.label != "" {
		title += fmt.Sprintf(" \"%s\"", strings.ToUpper(n.label))
	}
	fmt.Fprintf(w, "%s %s\n\n%s\n", level, title, n.doc)
	if len(n.args) > 0 {
		w.WriteString("\n| argument | type | default | |\n| --- | --- | --- | --- |\n")
		for _, a := range n.args {
			fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", a.name, cell(a.kind()), cell(a.fallback()), cell(a.doc))
		}
	}
	if len(n.blocks) > 0 {
		var names []string
		for _, b := range n.blocks {
			names = append(names, "`"+b.name+"`")
		}
		fmt.Fprintf(w, "\nBlocks: %s.\n", strings.Join(names, ", "))
	}
	for _, b := range n.blocks {
		w.WriteByte('\n')
		b.markdown(w, path+".", "##")
	}
}

// kind is the type, or all that the argument can be.
func (a *argSpec) kind() string {
	if a.values == nil {
		return string(a.typ)
	}
	var list []string
	for _, v := range a.values {
		list = append(list, fmt.Sprintf("`%q`", v))
	}
	return strings.Join(list, ", ")
}

// fallback is the default: code if it is a value.
func (a *argSpec) fallback() string {
	switch {
	case a.def == required:
		return "**required**"
	case a.def == "":
		return ""
	case strings.ContainsAny(a.def[:1], "\"[{0123456789") || a.def == "true" || a.def == "false":
		return "`" + a.def + "`"
	}
	return a.def
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
