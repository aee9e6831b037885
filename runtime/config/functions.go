package config

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"encoding/base64"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are the load-time functions. They are cty's and HCL's, but for those
// that read files and the environment. range and setproduct are left out:
// nested, they make a short file run for ever.
type functions struct {
	pure *hcl.EvalContext                        // with those that depend on their arguments alone
	own  map[string]map[string]function.Function // the others, by directory
}

func newFunctions() *functions { return &functions{pure: pureFunctions()} }

// forFile returns functions for the loader of another file.
func (f *functions) forFile() *functions { return &functions{pure: f.pure} }

// context returns the functions for files in dir.
func (l *loader) context(dir string) *hcl.EvalContext {
	own, ok := l.functions.own[dir]
	if !ok {
		own = map[string]function.Function{"env": l.envFunc(), "file": l.fileFunc(dir, false), "secret": l.fileFunc(dir, true)}
		if l.functions.own == nil {
			l.functions.own = map[string]map[string]function.Function{}
		}
		l.functions.own[dir] = own
	}
	ctx := l.functions.pure.NewChild()
	ctx.Variables, ctx.Functions = l.base, own
	return ctx
}

// knows reports whether there is a function, and names all of them.
func (f *functions) knows(name string) bool {
	switch name {
	case "env", "file", "secret":
		return true
	}
	_, ok := f.pure.Functions[name]
	return ok
}

func (f *functions) names() []string {
	return append(mapKeys(f.pure.Functions), "env", "file", "secret")
}

func pureFunctions() *hcl.EvalContext {
	return &hcl.EvalContext{Functions: map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "max": stdlib.MaxFunc, "min": stdlib.MinFunc,
		"parseint": stdlib.ParseIntFunc, "signum": stdlib.SignumFunc,
		"chomp": stdlib.ChompFunc, "indent": boundedFunc(stdlib.IndentFunc, indentedSize), "join": boundedFunc(stdlib.JoinFunc, joinedSize), "lower": stdlib.LowerFunc, "upper": stdlib.UpperFunc,
		"title": stdlib.TitleFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimsuffix": stdlib.TrimSuffixFunc,
		"trimspace": stdlib.TrimSpaceFunc, "replace": boundedFunc(stdlib.ReplaceFunc, replacedSize), "split": stdlib.SplitFunc, "substr": stdlib.SubstrFunc,
		"format": boundedFunc(formatFunc, formattedSize), "formatlist": boundedFunc(stdlib.FormatListFunc, formattedSize), "regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc,
		"startswith": startsWithFunc, "endswith": endsWithFunc, "strrev": stdlib.ReverseFunc,
		"chunklist": stdlib.ChunklistFunc, "coalesce": stdlib.CoalesceFunc, "coalescelist": stdlib.CoalesceListFunc, "compact": stdlib.CompactFunc,
		"concat": stdlib.ConcatFunc, "contains": containsFunc, "distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc,
		"flatten": stdlib.FlattenFunc, "keys": stdlib.KeysFunc, "values": stdlib.ValuesFunc, "length": lengthFunc, "lookup": stdlib.LookupFunc,
		"merge": stdlib.MergeFunc, "reverse": stdlib.ReverseListFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "zipmap": stdlib.ZipmapFunc,
		"setintersection": stdlib.SetIntersectionFunc, "setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc,
		"csvdecode": stdlib.CSVDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc, "jsondecode": stdlib.JSONDecodeFunc,
		"base64encode": base64EncodeFunc, "base64decode": base64DecodeFunc,
		"toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)), "tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
		"tomap": stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)), "tostring": stdlib.MakeToFunc(cty.String),
		"tonumber": stdlib.MakeToFunc(cty.Number), "tobool": stdlib.MakeToFunc(cty.Bool),
		"try": tryfunc.TryFunc, "can": tryfunc.CanFunc,
		"sensitive": sensitiveFunc,
		"cidrhost":  cidrHostFunc, "cidrnetmask": cidrNetmaskFunc,
	}}
}

// sensitiveFunc marks a value that is never to be shown.
var sensitiveFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowMarked: true, AllowDynamicType: true}},
	Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
	Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return args[0].Mark(sensitiveMark{}), nil },
})

// envFunc makes env(name) and env(name, default).
func (l *loader) envFunc() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String, AllowNull: true},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			l.readsEnv = true
			name := args[0].AsString()
			if l.src.Env != nil {
				if v, ok := l.src.Env(name); ok {
					return cty.StringVal(v), nil
				}
			}
			switch len(args) {
			case 1:
				return cty.NilVal, fmt.Errorf("the environment has no variable %q; env(%q, \"...\") gives a default", name, name)
			case 2:
				return args[1], nil
			}
			return cty.NilVal, errors.New("env takes a name and at most one default")
		},
	})
}

// fileFunc makes file(path), or secret(path): the same, but the value is marked
// and loses the newline that editors put at the end.
func (l *loader) fileFunc(dir string, secret bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			path := args[0].AsString()
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			l.watch(path)
			b, err := readFile(path)
			if err != nil {
				return cty.NilVal, fmt.Errorf("%s can't be read: %w", path, reason(err))
			}
			if !utf8.Valid(b) {
				return cty.NilVal, fmt.Errorf("%s is not UTF-8 text", path)
			}
			if secret {
				return cty.StringVal(strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")).Mark(sensitiveMark{}), nil
			}
			return cty.StringVal(string(b)), nil
		},
	})
}

// textFunc makes a function of two strings.
func textFunc(a, b string, ret cty.Type, f func(a, b string) (cty.Value, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: a, Type: cty.String}, {Name: b, Type: cty.String}},
		Type:   function.StaticReturnType(ret),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return f(args[0].AsString(), args[1].AsString())
		},
	})
}

var (
	startsWithFunc = textFunc("text", "prefix", cty.Bool, func(a, b string) (cty.Value, error) { return cty.BoolVal(strings.HasPrefix(a, b)), nil })
	endsWithFunc   = textFunc("text", "suffix", cty.Bool, func(a, b string) (cty.Value, error) { return cty.BoolVal(strings.HasSuffix(a, b)), nil })
)

var base64EncodeFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.StringVal(base64.StdEncoding.EncodeToString([]byte(args[0].AsString()))), nil
	},
})

var base64DecodeFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		b, err := base64.StdEncoding.DecodeString(args[0].AsString())
		if err != nil {
			return cty.NilVal, errors.New("it is not base64")
		}
		if !utf8.Valid(b) {
			return cty.NilVal, errors.New("what it encodes is not UTF-8 text")
		}
		return cty.StringVal(string(b)), nil
	},
})

// lengthFunc also takes strings, as Terraform's does.
var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true}},
	Type: func(args []cty.Value) (cty.Type, error) {
		if ty := args[0].Type(); ty != cty.String && ty != cty.DynamicPseudoType && !ty.IsCollectionType() && !ty.IsTupleType() && !ty.IsObjectType() {
			return cty.NilType, errors.New("length takes a string, a list, a set or a map")
		}
		return cty.Number, nil
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v := args[0]
		if v.Type() == cty.String {
			return stdlib.Strlen(v)
		}
		if v.Type().IsObjectType() {
			return cty.NumberIntVal(int64(len(v.Type().AttributeTypes()))), nil
		}
		return v.Length(), nil
	},
})

// containsFunc takes a list and an element, or a string and a part of it, the
// same as at request time.
var containsFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "in", Type: cty.DynamicPseudoType}, {Name: "value", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if args[0].Type() == cty.String && args[1].Type() == cty.String {
			return cty.BoolVal(strings.Contains(args[0].AsString(), args[1].AsString())), nil
		}
		return stdlib.Contains(args[0], args[1])
	},
})

// formatFunc is cty's, without widths that make a few bytes fill the memory.
var formatFunc = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "format", Type: cty.String}},
	VarParam: &function.Parameter{Name: "args", Type: cty.DynamicPseudoType, AllowNull: true},
	Type:     function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		digits := 0
		for _, c := range args[0].AsString() {
			if digits++; c < '0' || c > '9' {
				digits = 0
			}
			if digits > 4 {
				return cty.NilVal, errors.New("a width or precision has at most four digits")
			}
		}
		return stdlib.Format(args[0], args[1:]...)
	},
})

// cidrHostFunc is Terraform's cidrhost(prefix, number); a negative number counts
// from the end.
var cidrHostFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "hostnum", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := netip.ParsePrefix(args[0].AsString())
		if err != nil {
			return cty.NilVal, errors.New("the first argument is not a network such as 10.0.0.0/8")
		}
		n, accuracy := args[1].AsBigFloat().Int(nil)
		if accuracy != big.Exact {
			return cty.NilVal, errors.New("the host number is not a whole number")
		}
		size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
		if n.Sign() < 0 {
			n.Add(n, size)
		}
		if n.Sign() < 0 || n.Cmp(size) >= 0 {
			return cty.NilVal, fmt.Errorf("the network %s has no such host", p)
		}
		base := p.Masked().Addr().AsSlice()
		n.Add(n, new(big.Int).SetBytes(base))
		a, _ := netip.AddrFromSlice(n.FillBytes(make([]byte, len(base))))
		return cty.StringVal(a.String()), nil
	},
})

var cidrNetmaskFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := netip.ParsePrefix(args[0].AsString())
		if err != nil || !p.Addr().Is4() {
			return cty.NilVal, errors.New("the argument is not an IPv4 network such as 10.0.0.0/8")
		}
		var b [4]byte
		for i := range p.Bits() {
			b[i/8] |= 0x80 >> (i % 8)
		}
		return cty.StringVal(netip.AddrFrom4(b).String()), nil
	},
})
