package fuel

import (
	"fmt"
	"math"
)

type writer struct {
	id    byte
	write func([]byte) ([]byte, error)
}

func (m *module) write(list ...writer) (err error) {
	for _, w := range list {
		if m.content[w.id], err = w.write(nil); err != nil {
			return err
		}
	}
	return nil
}

// declare writes the sections that may name functions.
func (m *module) declare() error {
	return m.write(writer{secTable, m.tableSection}, writer{secGlobal, m.globalSection},
		writer{secExport, m.exportSection}, writer{secStart, m.startSection},
		writer{secElement, m.elements})
}

// encode writes the module. What it does not change it copies.
func (m *module) encode() ([]byte, error) {
	// The code comes before the types: it may add some.
	err := m.write(writer{secCode, m.code}, writer{secType, m.typeSection},
		writer{secImport, m.importSection}, writer{secMemory, m.memorySection}, writer{secData, m.data})
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(m.in)+len(m.content[secCode])/2+len(m.in)/8+256)
	out = append(out, m.in[:8]...)
	for _, id := range order {
		c := m.content[id]
		if id == secFunction || id == secDataCount {
			if !m.present[id] {
				continue
			}
			c = m.section[id].p
		}
		if c == nil {
			continue
		}
		out = appendSection(out, id, c)
	}
	if names := m.nameSection(); names != nil {
		out = appendSection(out, secCustom, names)
	}
	return out, nil
}

func appendSection(out []byte, id byte, content []byte) []byte {
	out = append(out, id)
	out = appendU32(out, uint32(len(content)))
	return append(out, content...)
}

func appendName(out []byte, name string) []byte {
	return append(appendU32(out, uint32(len(name))), name...)
}

// rest is a vector's encoded elements, and how many.
func (m *module) rest(id byte) (n uint32, p []byte) {
	if !m.present[id] {
		return 0, nil
	}
	r := m.section[id]
	r.at = 0
	n = r.u32()
	return n, r.p[r.at:]
}

func (m *module) typeSection(out []byte) ([]byte, error) {
	n, p := m.rest(secType)
	out = append(appendU32(out, n+1+m.addedTypes), p...)
	// The type of refill comes first: its index is the number of the guest's types.
	out = append(out, 0x60, 2, 0x7f, 0x7e, 1, 0x7e)
	return append(out, m.added...), nil
}

func (m *module) importSection(out []byte) ([]byte, error) {
	n, p := m.rest(secImport)
	out = append(appendU32(out, n+1), p...)
	out = appendName(appendName(out, Module), Refill)
	return appendU32(append(out, 0), uint32(len(m.types))), nil
}

func (m *module) tableSection(out []byte) ([]byte, error) {
	if !m.present[secTable] {
		return nil, nil
	}
	n, _ := m.rest(secTable)
	out = appendU32(out, n)
	for i := range m.tables {
		t := &m.tables[i]
		if t.imported {
			continue
		}
		out = append(append(out, t.kind...), t.flags)
		out = appendU32(out, t.low)
		if t.flags&1 != 0 {
			out = appendU32(out, t.max)
		}
		out = append(out, t.init...)
	}
	return out, nil
}

func (m *module) memorySection(out []byte) ([]byte, error) {
	if !m.present[secMemory] {
		return nil, nil
	}
	r := m.section[secMemory]
	r.at = 0
	n := r.count()
	out = appendU32(out, uint32(n))
	for range n {
		flags, low, high := r.limits()
		if limit := m.opts.MaxMemory; limit > 0 && high > max(limit, low) {
			flags |= 1
			high = max(limit, low)
		}
		out = appendU32(append(out, flags), low)
		if flags&1 != 0 {
			out = appendU32(out, high)
		}
	}
	return out, nil
}

func (m *module) globalSection(out []byte) ([]byte, error) {
	n := uint32(0)
	if m.present[secGlobal] {
		r := &m.section[secGlobal]
		r.at = 0
		n = r.u32()
		out = appendU32(out, n+2)
		for range n {
			at := r.at
			r.valueType()
			r.byte()
			if r.err == nil {
				out = append(out, r.p[at:r.at]...)
			}
			out = m.expression(r, out)
		}
		if err := r.done(); err != nil {
			return nil, err
		}
	} else {
		out = appendU32(out, 2)
	}
	out = append(out, 0x7e, 1, 0x42, 0, 0x0b)
	limit := m.opts.MaxStack
	if limit <= 0 {
		limit = math.MaxInt64
	}
	return append(appendS64(append(out, 0x7e, 1, 0x42), limit), 0x0b), nil
}

func (m *module) exportSection(out []byte) ([]byte, error) {
	n, _ := m.rest(secExport)
	out = appendU32(out, n+2)
	if m.present[secExport] {
		r := &m.section[secExport]
		for range r.count() {
			name := r.name()
			if name == Fuel || name == Stack {
				return nil, fmt.Errorf("%w: it exports %q", ErrReserved, name)
			}
			at := r.at
			kind := r.byte()
			index := r.u32()
			switch kind {
			case 0:
				if index >= uint32(len(m.functions)) {
					r.failAt(at, "there is no function %d", index)
				}
				index = m.shift(index)
			case 3:
				if index >= m.globals {
					r.failAt(at, "there is no global %d", index)
				}
			}
			if r.err != nil {
				return nil, r.err
			}
			out = appendU32(append(appendName(out, name), kind), index)
		}
		if err := r.done(); err != nil {
			return nil, err
		}
	}
	out = appendU32(append(appendName(out, Fuel), 3), m.fuel)
	return appendU32(append(appendName(out, Stack), 3), m.stack), nil
}

func (m *module) startSection(out []byte) ([]byte, error) {
	if !m.present[secStart] {
		return nil, nil
	}
	r := &m.section[secStart]
	f := r.index(uint32(len(m.functions)), "function")
	return appendU32(out, m.shift(f)), r.done()
}

// elements copies the element segments (section 5.5.12), all eight forms.
func (m *module) elements(out []byte) ([]byte, error) {
	if !m.present[secElement] {
		return nil, nil
	}
	r := &m.section[secElement]
	n := r.count()
	out = appendU32(out, uint32(n))
	for range n {
		at := r.at
		form := r.u32()
		if form > 7 {
			r.failAt(at, "unknown form %d of an element segment", form)
		}
		out = appendU32(out, form)
		if form&1 == 0 {
			if form&2 != 0 {
				out = appendU32(out, r.u32())
			}
			out = m.expression(r, out)
		}
		if form&3 != 0 {
			at := r.at
			if form&4 != 0 {
				r.valueType()
			} else {
				r.byte()
			}
			if r.err == nil {
				out = append(out, r.p[at:r.at]...)
			}
		}
		out = m.elementList(r, form, out)
		if r.err != nil {
			return nil, r.err
		}
	}
	return out, r.done()
}

func (m *module) elementList(r *reader, form uint32, out []byte) []byte {
	n := r.count()
	out = appendU32(out, uint32(n))
	for range n {
		if form&4 != 0 {
			out = m.expression(r, out)
			continue
		}
		f := r.index(uint32(len(m.functions)), "function")
		if r.err != nil {
			return out
		}
		m.taken[f] = true
		out = appendU32(out, m.shift(f))
	}
	return out
}

// data checks that no offset names a global of the host, and copies.
func (m *module) data(out []byte) ([]byte, error) {
	if !m.present[secData] {
		return nil, nil
	}
	r := &m.section[secData]
	for range r.count() {
		at := r.at
		switch form := r.u32(); form {
		case 0:
			m.expression(r, nil)
		case 1:
		case 2:
			r.u32()
			m.expression(r, nil)
		default:
			r.failAt(at, "unknown form %d of a data segment", form)
		}
		r.skip(r.count())
	}
	return r.p, r.done()
}

// nameSection copies the names of module and functions, for traps to be
// readable. A name section that is not in order is left out.
func (m *module) nameSection() []byte {
	if !m.named {
		return nil
	}
	out := appendName(nil, "name")
	r := m.names
	for r.left() > 0 {
		id := r.byte()
		sub := r.sub(int(r.u32()))
		if r.err != nil {
			return nil
		}
		switch id {
		case 0:
			sub.name()
			if sub.done() != nil {
				return nil
			}
			out = appendSection(out, id, sub.p)
		case 1:
			names := m.functionNames(&sub)
			if names == nil {
				return nil
			}
			out = appendSection(out, id, names)
		}
	}
	return out
}

func (m *module) functionNames(r *reader) []byte {
	n := r.count()
	out := appendU32(make([]byte, 0, len(r.p)+n+8), uint32(n))
	for range n {
		f := r.u32()
		out = appendName(appendU32(out, m.shift(min(f, math.MaxUint32-1))), r.name())
	}
	if r.done() != nil {
		return nil
	}
	return out
}
