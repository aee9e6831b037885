package fuel

import (
	"bytes"
	"fmt"
	"math"
)

// The sections (section 5.5.2) by id.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	sections
)

// order is the order of the sections in a module.
var order = [...]byte{
	secType, secImport, secFunction, secTable, secMemory, secGlobal, secExport,
	secStart, secElement, secDataCount, secCode, secData,
}

// module is a module while it is rewritten.
type module struct {
	in     []byte
	opts   Options
	report Report

	section [sections]reader
	present [sections]bool
	content [sections][]byte // rewritten
	names   reader           // the name section
	named   bool

	types     []functype
	functions []uint32 // types; imported ones first
	imported  uint32   // functions
	tables    []table
	pages     uint32 // the most that the memory may have
	globals   uint32
	taken     []bool // functions that an indirect call may reach

	bodies  []body // of the functions that are not imported
	calls   []uint32
	planner planner

	refill      uint32   // the function's index
	fuel, stack uint32   // the globals' indices
	added       []byte   // encoded types
	blocks      []uint32 // for a type of many results: the type of a block with these; else 0
	addedTypes  uint32
}

type functype struct {
	params  uint32
	results []byte // encoded
	nres    uint32
	same    uint32 // the first type that is equal
}

type table struct {
	kind     []byte // encoded, with what comes before the limits
	imported bool
	flags    byte
	low, max uint32
	init     []byte // rewritten expression
}

func (m *module) parse() error {
	if !bytes.HasPrefix(m.in, []byte("\x00asm\x01\x00\x00\x00")) {
		return &MalformedError{Detail: "not a WebAssembly 1.0 binary"}
	}
	if len(m.in) > math.MaxInt32 {
		return &MalformedError{Detail: "the module is larger than 2 GiB"}
	}
	if err := m.split(); err != nil {
		return err
	}
	m.pages = 1 << 16
	steps := []func() error{m.parseTypes, m.parseImports, m.parseFunctions, m.countGlobals, m.parseTables, m.parseMemory}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	m.refill, m.fuel = m.imported, m.globals
	m.stack = m.fuel + 1
	return nil
}

// split finds the sections.
func (m *module) split() error {
	r := reader{p: m.in, at: 8}
	last := -1
	for r.left() > 0 {
		at := r.at
		id := r.byte()
		size := r.u32()
		if int64(size) > int64(r.left()) {
			r.failAt(at, "a section is cut short")
		}
		content := r.sub(int(size))
		if r.err != nil {
			return r.err
		}
		if id == secCustom {
			name := content.name()
			if content.err != nil {
				return content.err
			}
			if name == "name" {
				if m.named {
					r.failAt(at, "there are two name sections")
					return r.err
				}
				m.names, m.named = content, true
			}
			continue
		}
		place := bytes.IndexByte(order[:], id)
		if place <= last {
			r.failAt(at, "section %d is unknown or not in order", id)
			return r.err
		}
		last = place
		m.section[id], m.present[id] = content, true
	}
	return nil
}

func (m *module) parseTypes() error {
	r := &m.section[secType]
	if !m.present[secType] {
		return nil
	}
	n := r.count()
	m.types = make([]functype, 0, n)
	seen := make(map[string]uint32, n)
	for range n {
		start := r.at
		if b := r.byte(); b != 0x60 {
			r.failAt(start, "type %#x is not that of a function", b)
		}
		var t functype
		t.params = uint32(r.count())
		for range t.params {
			r.valueType()
		}
		t.nres = uint32(r.count())
		at := r.at
		for range t.nres {
			r.valueType()
		}
		if r.err != nil {
			return r.err
		}
		t.results = r.p[at:r.at]
		i := uint32(len(m.types))
		key := string(r.p[start:r.at])
		if first, ok := seen[key]; ok {
			t.same = first
		} else {
			seen[key], t.same = i, i
		}
		m.types = append(m.types, t)
	}
	m.blocks = make([]uint32, n)
	return r.done()
}

func (m *module) parseImports() error {
	if !m.present[secImport] {
		return nil
	}
	r := &m.section[secImport]
	for range r.count() {
		at := r.at
		from := r.name()
		r.name()
		if from == Module {
			return fmt.Errorf("%w: it imports from %q", ErrReserved, Module)
		}
		switch kind := r.byte(); kind {
		case 0:
			m.functions = append(m.functions, r.index(uint32(len(m.types)), "type"))
			m.imported++
		case 1:
			t := m.parseTable(r)
			t.imported = true
			m.tables = append(m.tables, t)
		case 2:
			_, low, high := r.limits()
			m.pages = max(low, min(high, m.pages))
		case 3:
			r.valueType()
			r.byte()
			m.globals++
		default:
			r.failAt(at, "import of unknown kind %d", kind)
		}
	}
	return r.done()
}

func (m *module) parseFunctions() error {
	if !m.present[secFunction] {
		return nil
	}
	r := &m.section[secFunction]
	for range r.count() {
		m.functions = append(m.functions, r.index(uint32(len(m.types)), "type"))
	}
	return r.done()
}

// limits reads the bounds of a memory or table (section 5.3.7). Without a
// maximum, high is the largest number.
func (r *reader) limits() (flags byte, low, high uint32) {
	flags = r.byte()
	if flags > 3 && r.err == nil {
		r.failAt(r.at-1, "unknown limits %#x", flags)
	}
	low, high = r.u32(), math.MaxUint32
	if flags&1 != 0 {
		high = r.u32()
	}
	return flags, low, high
}

func (m *module) parseTable(r *reader) (t table) {
	at := r.at
	with := r.at < len(r.p) && r.p[r.at] == 0x40
	if with {
		r.skip(2)
	}
	r.valueType()
	if r.err == nil {
		t.kind = r.p[at:r.at]
	}
	t.flags, t.low, t.max = r.limits()
	if with {
		t.init = m.expression(r, nil)
	}
	return t
}

func (m *module) parseTables() error {
	m.taken = make([]bool, len(m.functions))
	if !m.present[secTable] {
		return nil
	}
	r := &m.section[secTable]
	for range r.count() {
		m.tables = append(m.tables, m.parseTable(r))
	}
	if err := r.done(); err != nil {
		return err
	}
	return m.boundTables()
}

// boundTables lowers the maxima until all tables together are within the limit.
func (m *module) boundTables() error {
	limit := uint64(m.opts.MaxTable)
	if limit == 0 {
		return nil
	}
	used, growing := uint64(0), uint64(0)
	for i := range m.tables {
		t := &m.tables[i]
		used += uint64(t.low)
		if !t.imported && t.max > t.low {
			growing++
		}
	}
	if used > limit {
		return &MalformedError{Offset: m.section[secTable].base, Detail: fmt.Sprintf("tables of %d elements are larger than the limit of %d", used, limit)}
	}
	for i := range m.tables {
		t := &m.tables[i]
		if t.imported || t.max <= t.low {
			continue
		}
		t.flags |= 1
		t.max = uint32(min(uint64(t.max), uint64(t.low)+(limit-used)/growing))
	}
	return nil
}

func (m *module) parseMemory() error {
	if !m.present[secMemory] {
		return nil
	}
	r := &m.section[secMemory]
	for range r.count() {
		_, low, high := r.limits()
		m.pages = max(low, min(high, m.pages))
		if m.opts.MaxMemory > 0 {
			m.pages = max(low, min(m.pages, m.opts.MaxMemory))
		}
	}
	return r.done()
}

func (m *module) countGlobals() error {
	if !m.present[secGlobal] {
		return nil
	}
	r := m.section[secGlobal]
	m.globals += uint32(r.count())
	return r.err
}

// shift is the index of a function after the host's import.
func (m *module) shift(f uint32) uint32 {
	if f >= m.imported {
		return f + 1
	}
	return f
}

// expression copies a constant expression (section 5.4.9).
func (m *module) expression(r *reader, out []byte) []byte {
	for r.err == nil {
		at := r.at
		switch code := r.byte(); code {
		case 0x0b:
			return append(out, code)
		case 0x41:
			r.sleb(32)
		case 0x42:
			r.sleb(64)
		case 0x43:
			r.skip(4)
		case 0x44:
			r.skip(8)
		case 0x23:
			if i := r.u32(); i >= m.globals {
				r.failAt(at, "there is no global %d", i)
			}
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e:
		case 0xd0:
			r.heapType()
		case 0xd2:
			f := r.index(uint32(len(m.functions)), "function")
			if r.err == nil {
				m.taken[f] = true
				out = appendU32(append(out, code), m.shift(f))
			}
			continue
		case 0xfd:
			if r.byte() != 0x0c {
				r.failAt(at, "the vector instruction is not constant")
			}
			r.skip(16)
		default:
			r.failAt(at, "instruction %#x is not constant", code)
		}
		if r.err == nil {
			out = append(out, r.p[at:r.at]...)
		}
	}
	return out
}
