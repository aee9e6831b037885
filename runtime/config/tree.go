package config

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Node is a block of a configuration as it was understood: instances of for_each
// and dynamic blocks are blocks of their own, and what is known at load is
// evaluated.
type Node struct {
	Type string `json:"type"`
	// Name is the label, or label["key"] for an instance; "" if there is none.
	Name string `json:"name,omitempty"`
	// At is the file and line.
	At string `json:"at"`
	// Arguments are JSON values. Expressions that need a request are text as in
	// JSON syntax, "${request.path}". A sensitive value is "(sensitive ...)" with
	// a fingerprint.
	Arguments map[string]any `json:"arguments,omitempty"`
	Blocks    []*Node        `json:"blocks,omitempty"`
}

// Tree returns the blocks of the configuration in the order of files. The
// fingerprints of sensitive values depend on salt; digests are those of Digests
// when the configuration was loaded. Files that file() and secret() name are
// read again.
func (c *Config) Tree(salt []byte, digests map[string]string) []*Node {
	t := &treeBuilder{l: newLoader(c.source), salt: salt, prints: map[string]string{}}
	t.l.base = c.base
	out := []*Node{}
	for _, u := range c.units {
		f := t.l.parse(u.name, u.src)
		if f == nil {
			continue
		}
		for _, b := range t.l.rootBlocks(f) {
			i := slices.IndexFunc(rootSpec.blocks, func(n nested) bool { return n.name == b.Type })
			if i < 0 {
				continue
			}
			s := rootSpec.blocks[i].spec
			made := []block{b}
			if len(s.args) > 0 && s.args[0].name == forEachArg.name {
				made, _, _ = t.l.each(b)
			}
			for _, in := range made {
				n := t.node(in, s)
				if in.id != "" {
					n.Name = in.id
				}
				if d := digests[n.Type+"."+n.Name]; d != "" {
					n.Arguments["digest of its files"] = d
				}
				out = append(out, n)
			}
		}
	}
	return out
}

// treeBuilder renders blocks.
type treeBuilder struct {
	l      *loader
	salt   []byte
	prints map[string]string // by value
}

func (t *treeBuilder) node(b block, s *spec) *Node {
	n := &Node{Type: b.Type, Name: strings.Join(b.Labels, " "), At: line(b.DefRange), Arguments: map[string]any{}}
	var args map[string]*attribute
	var inner []block
	if s.open {
		body := t.l.readBody(b)
		args, inner = body.attrs, body.blocks
	} else {
		read := t.l.read(b, s.schema())
		args, inner = read.attrs, read.nested
	}
	switch b.Type {
	case "variable": // its value counts, wherever it came from
		n.Arguments["value"] = t.member("var", n.Name)
		return n
	case "locals":
		for name := range args {
			n.Arguments[name] = t.member("local", name)
		}
		return n
	}
	for name, a := range args {
		if name == forEachArg.name {
			continue
		}
		typ := typeAny
		for _, known := range s.args {
			if known.name == name {
				typ = known.typ
			}
		}
		n.Arguments[name] = t.value(b.scope, a, typ)
	}
	for _, in := range inner {
		of := &spec{open: true}
		for _, known := range s.blocks {
			if known.name == in.Type {
				of = known.spec
			}
		}
		n.Blocks = append(n.Blocks, t.node(in, of))
	}
	return n
}

// member is the value of a variable or a local value.
func (t *treeBuilder) member(root, name string) any {
	v := t.l.base[root]
	if !v.Type().IsObjectType() || !v.Type().HasAttribute(name) {
		return nil
	}
	return t.plain(v.GetAttr(name))
}

func (t *treeBuilder) value(s *scope, a *attribute, typ argType) any {
	switch kind, many := strings.CutPrefix(string(typ), string(typeRefs)); {
	case many:
		var list []any
		if tuple, ok := a.expr.(*hclsyntax.TupleConsExpr); ok {
			for _, e := range tuple.Exprs {
				list = append(list, t.reference(s, e, kind))
			}
		}
		return list
	case strings.HasPrefix(string(typ), string(typeRef)):
		return t.reference(s, a.expr, strings.TrimPrefix(string(typ), string(typeRef)))
	}
	return t.rendered(s, a.expr)
}

func (t *treeBuilder) reference(s *scope, e hclsyntax.Expression, kind string) any {
	if r := s.reference(e, kind, ""); r != nil {
		return kind + "." + r.ID
	}
	return t.text(s, e)
}

// rendered is e as JSON.
func (t *treeBuilder) rendered(s *scope, e hclsyntax.Expression) any {
	if !t.late(s, e) {
		if v, ok := s.evaluate(e, ""); ok {
			return t.plain(v)
		}
		return t.text(s, e)
	}
	switch e := e.(type) {
	case *hclsyntax.ObjectConsExpr:
		obj := map[string]any{}
		for _, it := range e.Items {
			c := &compiler{s: s}
			key, ok := c.key(it.KeyExpr)
			if !ok {
				key = t.source(it.KeyExpr)
			}
			obj[key] = t.rendered(s, it.ValueExpr)
		}
		return obj
	case *hclsyntax.TupleConsExpr:
		list := []any{}
		for _, item := range e.Exprs {
			list = append(list, t.rendered(s, item))
		}
		return list
	}
	return t.text(s, e)
}

// late reports whether e has anything but values that are known at load.
func (t *treeBuilder) late(s *scope, e hclsyntax.Expression) bool {
	for _, v := range e.Variables() {
		if root := v.RootName(); root != "var" && root != "local" && !slices.Contains(s.iterators, root) {
			return true
		}
	}
	return false
}

// text is e as in JSON syntax, with the values of what is known at load.
func (t *treeBuilder) text(s *scope, e hclsyntax.Expression) string {
	src := t.source(e)
	at := e.Range().Start.Byte
	vars := e.Variables()
	slices.SortFunc(vars, func(a, b hcl.Traversal) int { return b.SourceRange().Start.Byte - a.SourceRange().Start.Byte })
	for _, v := range vars {
		root, rng := v.RootName(), v.SourceRange()
		from, to := rng.Start.Byte-at, rng.End.Byte-at
		if root != "var" && root != "local" && !slices.Contains(s.iterators, root) || from < 0 || to > len(src) {
			continue
		}
		if known, diags := v.TraverseAbs(s.ctx); !diags.HasErrors() {
			src = src[:from] + t.literal(known) + src[to:]
		}
	}
	src = plainText.ReplaceAllString(src, "$1")
	if inner, ok := strings.CutPrefix(src, `"`); ok && strings.HasSuffix(inner, `"`) {
		if _, template := e.(*hclsyntax.TemplateExpr); template {
			return strings.TrimSuffix(inner, `"`)
		}
		if _, template := e.(*hclsyntax.TemplateWrapExpr); template {
			return strings.TrimSuffix(inner, `"`)
		}
	}
	return "${" + strings.Join(strings.Fields(src), " ") + "}"
}

// plainText is a string within a template.
var plainText = regexp.MustCompile(`[$]\{"([^"\\$%]*)"\}`)

// source is the text of e.
func (t *treeBuilder) source(e hclsyntax.Expression) string {
	rng := e.Range()
	src := t.l.diags.files[rng.Filename]
	if rng.End.Byte > len(src) || rng.Start.Byte > rng.End.Byte {
		return ""
	}
	return string(src[rng.Start.Byte:rng.End.Byte])
}

func (t *treeBuilder) literal(v cty.Value) string {
	if v.ContainsMarked() {
		return t.secret(v)
	}
	b, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return "null"
	}
	return string(b)
}

// plain is v as JSON, less what is sensitive.
func (t *treeBuilder) plain(v cty.Value) any {
	bare, marks := v.Unmark()
	switch {
	case len(marks) > 0:
		return t.secret(v)
	case bare.IsNull() || !bare.IsKnown():
		return nil
	case bare.Type().IsObjectType() || bare.Type().IsMapType():
		obj := map[string]any{}
		for it := bare.ElementIterator(); it.Next(); {
			k, e := it.Element()
			obj[k.AsString()] = t.plain(e)
		}
		return obj
	case bare.CanIterateElements():
		list := []any{}
		for it := bare.ElementIterator(); it.Next(); {
			_, e := it.Element()
			list = append(list, t.plain(e))
		}
		return list
	}
	return plain(valueOf(bare))
}

// rounds is what it costs to try one guess at a sensitive value.
const rounds = 100_000

// secret stands for v: equal values have equal fingerprints.
func (t *treeBuilder) secret(v cty.Value) string {
	bare, _ := v.UnmarkDeep()
	b, err := ctyjson.Marshal(bare, bare.Type())
	if err != nil {
		return "(sensitive)"
	}
	print, ok := t.prints[string(b)]
	if !ok {
		key, err := pbkdf2.Key(sha256.New, string(b), t.salt, rounds, 8)
		if err != nil {
			return "(sensitive)"
		}
		print = "(sensitive " + hex.EncodeToString(key) + ")"
		t.prints[string(b)] = print
	}
	return print
}

// Digests returns a digest of the files behind every plugin and policy, by
// plugin.NAME and policy.NAME: they may change while the configuration does not.
func (c *Config) Digests() map[string]string {
	out := map[string]string{}
	for _, p := range c.Plugins {
		if p.Remote == nil {
			out["plugin."+p.Name] = filesDigest([]string{p.Path})
		}
	}
	for _, p := range c.Policies {
		files := append(slices.Clone(p.Rego), p.Data...)
		if p.Capabilities != "" {
			files = append(files, p.Capabilities)
		}
		out["policy."+p.Name] = filesDigest(files)
	}
	return out
}

// filesDigest condenses the contents of files and of what is below folders.
func filesDigest(paths []string) string {
	h := sha256.New()
	for _, p := range paths {
		_ = filepath.WalkDir(p, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // what can't be read is no part of it
			}
			if sum, ok := fileDigest(name); ok {
				rel, _ := filepath.Rel(p, name)
				fmt.Fprintf(h, "%q %x\n", rel, sum)
			}
			return nil
		})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// fileDigest condenses a file, unless it is a pipe or a device, whose reading may
// never end.
func fileDigest(name string) (sum []byte, ok bool) {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, false
	}
	return h.Sum(nil), true
}
