package toolchain

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// sdkPath is the import path of the Go SDK.
const sdkPath = "github.com/headgate/headgate/sdk/go"

// source is a Go package as far as its types go.
type source struct {
	files []*ast.File
	types map[string]*declared
	funcs map[string]*ast.FuncType
	open  []string // types on the way, so that one that contains itself ends
}

type declared struct {
	expr    ast.Expr
	comment string
}

// goFilters returns a schema for each filter that a Go package registers, by name,
// from the type that its function takes.
func goFilters(dir string) ([]*schema, error) {
	p := &source{types: map[string]*declared{}, funcs: map[string]*ast.FuncType{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".go" || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, filepath.Join(dir, e.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		p.add(f)
	}
	var all []*schema
	for _, f := range p.files {
		name := sdkName(f)
		if name == "" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if s := p.registration(call, name); s != nil {
					all = append(all, s)
				}
			}
			return true
		})
	}
	slices.SortFunc(all, func(a, b *schema) int { return strings.Compare(a.Title, b.Title) })
	return all, nil
}

func (p *source) add(f *ast.File) {
	p.files = append(p.files, f)
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				p.funcs[d.Name.Name] = d.Type
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok {
					comment := t.Doc
					if comment == nil {
						comment = d.Doc
					}
					p.types[t.Name.Name] = &declared{t.Type, text(comment)}
				}
			}
		}
	}
}

// sdkName is what a file calls the SDK, "" if it doesn't import it.
func sdkName(f *ast.File) string {
	for _, i := range f.Imports {
		if path, _ := strconv.Unquote(i.Path.Value); path == sdkPath {
			if i.Name != nil {
				return i.Name.Name
			}
			return "headgate"
		}
	}
	return ""
}

// registration is the schema of a call of Register, or nil for another call.
func (p *source) registration(call *ast.CallExpr, sdk string) *schema {
	fun := call.Fun
	var given ast.Expr // Register[Config]
	if i, ok := fun.(*ast.IndexExpr); ok {
		fun, given = i.X, i.Index
	}
	s, ok := fun.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "Register" || len(call.Args) < 2 {
		return nil
	}
	if x, ok := s.X.(*ast.Ident); !ok || x.Name != sdk {
		return nil
	}
	lit, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return nil
	}
	name, err := strconv.Unquote(lit.Value)
	if err != nil {
		return nil
	}
	if given == nil {
		given = p.parameter(call.Args[1])
	}
	if given == nil {
		return nil
	}
	out := p.schema(given)
	out.Title = name
	return out
}

// parameter is the type of the only parameter of a function.
func (p *source) parameter(e ast.Expr) ast.Expr {
	var t *ast.FuncType
	switch e := e.(type) {
	case *ast.FuncLit:
		t = e.Type
	case *ast.Ident:
		t = p.funcs[e.Name]
	}
	if t == nil || len(t.Params.List) != 1 {
		return nil
	}
	return t.Params.List[0].Type
}

// schema describes a type as the SDK's Decode takes it. A type of another package
// may be anything.
func (p *source) schema(e ast.Expr) *schema {
	switch e := e.(type) {
	case *ast.StarExpr:
		return p.schema(e.X)
	case *ast.ArrayType:
		if id, ok := e.Elt.(*ast.Ident); ok && e.Len == nil && (id.Name == "byte" || id.Name == "uint8") {
			return &schema{Type: "string", Format: "byte"} // as encoding/json has it: base64
		}
		return &schema{Type: "array", Items: p.schema(e.Elt)}
	case *ast.MapType:
		return &schema{Type: "object", Additional: p.schema(e.Value)}
	case *ast.StructType:
		return p.object(e)
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok && x.Name == "time" && e.Sel.Name == "Duration" {
			return &schema{Type: "string", Format: "duration"}
		}
	case *ast.Ident:
		return p.named(e.Name)
	}
	return &schema{}
}

func (p *source) named(name string) *schema {
	if d := p.types[name]; d != nil {
		if slices.Contains(p.open, name) {
			return &schema{}
		}
		p.open = append(p.open, name)
		defer func() { p.open = p.open[:len(p.open)-1] }()
		s := p.schema(d.expr)
		if s.Description == "" {
			s.Description = d.comment
		}
		return s
	}
	var zero float64
	switch name {
	case "string":
		return &schema{Type: "string"}
	case "bool":
		return &schema{Type: "boolean"}
	case "float32", "float64":
		return &schema{Type: "number"}
	case "int", "int8", "int16", "int32", "int64":
		return &schema{Type: "integer"}
	case "uint", "uint8", "uint16", "uint32", "uint64":
		return &schema{Type: "integer", Minimum: &zero}
	}
	return &schema{}
}

func (p *source) object(t *ast.StructType) *schema {
	s := &schema{Type: "object", Properties: map[string]*schema{}, Additional: false}
	for _, f := range t.Fields.List {
		var tag string
		if f.Tag != nil {
			raw, _ := strconv.Unquote(f.Tag.Value) // the parser saw to it
			tag = reflect.StructTag(raw).Get("headgate")
		}
		for _, id := range f.Names {
			if !id.IsExported() || tag == "-" {
				continue
			}
			name, option, _ := strings.Cut(tag, ",")
			if name == "" {
				name = snake(id.Name)
			}
			if option == "required" {
				s.Required = append(s.Required, name)
			}
			field := *p.schema(f.Type)
			if c := text(f.Doc, f.Comment); c != "" {
				field.Description = c
			}
			s.Properties[name] = &field
		}
	}
	return s
}

// snake is the name of a field without one in its tag, as the SDK has it.
func snake(s string) string {
	var b strings.Builder
	var before rune
	for _, r := range s {
		if unicode.IsUpper(r) && unicode.IsLower(before) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
		before = r
	}
	return b.String()
}

// text is the first of some comments, in one line.
func text(groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		if t := strings.Join(strings.Fields(g.Text()), " "); t != "" {
			return t
		}
	}
	return ""
}
