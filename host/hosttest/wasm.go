// Package hosttest makes guests and exchanges for tests: modules assembled from
// a few instructions, guests built by the Go toolchain, exchanges without a
// network. It knows the binary format of WebAssembly and nothing of the host.
package hosttest

import "encoding/binary"

// The value types.
const (
	I32 byte = 0x7f
	I64 byte = 0x7e
)

// Module assembles a module. Imports come before functions.
type Module struct {
	types   [][]byte
	imports [][]byte
	funcs   []fn
	exports [][]byte
	memory  []byte
	table   []byte
	data    [][]byte
	customs [][]byte
}

type fn struct {
	kind int
	code []byte
}

// Types lists value types.
func Types(t ...byte) []byte { return t }

// Params returns n parameters of type i32.
func Params(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = I32
	}
	return p
}

func vec(p []byte) []byte { return append(U32(uint32(len(p))), p...) }

func (m *Module) kind(params, results []byte) int {
	t := append([]byte{0x60}, vec(params)...)
	t = append(t, vec(results)...)
	for i, have := range m.types {
		if string(have) == string(t) {
			return i
		}
	}
	m.types = append(m.types, t)
	return len(m.types) - 1
}

// Import adds an imported function and returns its index.
func (m *Module) Import(module, name string, params, results []byte) uint32 {
	e := append(vec([]byte(module)), vec([]byte(name))...)
	e = append(e, 0x00)
	e = append(e, U32(uint32(m.kind(params, results)))...)
	m.imports = append(m.imports, e)
	return uint32(len(m.imports) - 1)
}

// Func adds a function, exported unless export is "", with a number of local
// variables of type i32, and returns its index.
func (m *Module) Func(export string, params, results []byte, locals int, code ...[]byte) uint32 {
	var body []byte
	if locals > 0 {
		body = append([]byte{1}, U32(uint32(locals))...)
		body = append(body, I32)
	} else {
		body = []byte{0}
	}
	for _, c := range code {
		body = append(body, c...)
	}
	body = append(body, 0x0b)
	m.funcs = append(m.funcs, fn{m.kind(params, results), body})
	i := uint32(len(m.imports) + len(m.funcs) - 1)
	if export != "" {
		m.export(export, 0x00, i)
	}
	return i
}

func (m *Module) export(name string, kind byte, i uint32) {
	m.exports = append(m.exports, append(append(vec([]byte(name)), kind), U32(i)...))
}

// Memory adds the memory, exported as "memory"; max 0 is none.
func (m *Module) Memory(min, max uint32) {
	m.memory = append([]byte{0x00}, U32(min)...)
	if max > 0 {
		m.memory = append(append([]byte{0x01}, U32(min)...), U32(max)...)
	}
	m.export("memory", 0x02, 0)
}

// Table adds a table of functions without a maximum.
func (m *Module) Table(min uint32) { m.table = append([]byte{0x70, 0x00}, U32(min)...) }

// Data puts text at an address.
func (m *Module) Data(at uint32, text string) {
	d := append([]byte{0x00}, Const(int32(at))...)
	d = append(d, 0x0b)
	m.data = append(m.data, append(d, vec([]byte(text))...))
}

// Custom adds a custom section.
func (m *Module) Custom(name string, content []byte) {
	m.customs = append(m.customs, append(vec([]byte(name)), content...))
}

// Bytes returns the binary module.
func (m *Module) Bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, items [][]byte) {
		if len(items) == 0 {
			return
		}
		p := U32(uint32(len(items)))
		for _, it := range items {
			p = append(p, it...)
		}
		out = append(append(out, id), vec(p)...)
	}
	var decls, code [][]byte
	for _, f := range m.funcs {
		decls = append(decls, U32(uint32(f.kind)))
		code = append(code, vec(f.code))
	}
	one := func(p []byte) [][]byte {
		if p == nil {
			return nil
		}
		return [][]byte{p}
	}
	section(1, m.types)
	section(2, m.imports)
	section(3, decls)
	section(4, one(m.table))
	section(5, one(m.memory))
	section(7, m.exports)
	section(10, code)
	section(11, m.data)
	for _, c := range m.customs {
		out = append(append(out, 0), vec(c)...)
	}
	return out
}

// U32 encodes a number in unsigned LEB128.
func U32(n uint32) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func signed(n int64) []byte {
	var out []byte
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// Const pushes an i32.
func Const(n int32) []byte { return append([]byte{0x41}, signed(int64(n))...) }

// Const64 pushes an i64.
func Const64(n int64) []byte { return append([]byte{0x42}, signed(n)...) }

// Call calls the function with an index.
func Call(i uint32) []byte { return append([]byte{0x10}, U32(i)...) }

// Get and Set read and write a local variable.
func Get(i uint32) []byte { return append([]byte{0x20}, U32(i)...) }

// Set writes a local variable.
func Set(i uint32) []byte { return append([]byte{0x21}, U32(i)...) }

// Op encodes instructions without operands.
func Op(b ...byte) []byte { return b }

// Instructions without operands, and Forever, a loop without an end.
var (
	Unreachable = Op(0x00)
	Drop        = Op(0x1a)
	Grow        = Op(0x40, 0x00)                // memory.grow
	Add64       = Op(0x7c)                      // i64.add
	Wide        = Op(0xad)                      // i64.extend_i32_u
	Load8       = Op(0x2d, 0x00, 0x00)          // i32.load8_u
	Forever     = Op(0x03, 0x40, 0x0c, 0, 0x0b) // loop br 0 end
)

// Loop repeats code without an end.
func Loop(code ...[]byte) []byte {
	out := Op(0x03, 0x40)
	for _, c := range code {
		out = append(out, c...)
	}
	return append(out, 0x0c, 0, 0x0b)
}
