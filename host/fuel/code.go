package fuel

// code rewrites the code section.
func (m *module) code(_ []byte) ([]byte, error) {
	if !m.present[secCode] {
		return nil, nil
	}
	size := 0
	for i := range m.bodies {
		size += len(m.bodies[i].code.p)
	}
	out := appendU32(make([]byte, 0, size+size/2), uint32(len(m.bodies)))
	var buf []byte
	for i := range m.bodies {
		b := &m.bodies[i]
		if err := m.planner.read(m, b); err != nil {
			return nil, err
		}
		m.planner.place()
		if b.paid > 0 {
			m.planner.points = m.planner.points[:0]
		}
		m.report.Points += len(m.planner.points)
		t := &m.types[m.functions[m.imported+uint32(i)]]
		buf = m.body(buf[:0], b, t)
		out = appendU32(out, uint32(len(buf)))
		out = append(out, buf...)
	}
	return out, nil
}

// emitter writes one function.
type emitter struct {
	m       *module
	out     []byte
	from    []byte // the original code
	copied  uint32
	points  []point // still to come, last one first
	scratch uint32
}

// body writes a function: its variables, its code with the points, the calls
// with their new indices, and what counts the depth of calls.
func (m *module) body(out []byte, b *body, t *functype) []byte {
	p := &m.planner
	if p.bulk {
		out = append(append(appendU32(out, b.groups+1), b.locals...), 1, 0x7f)
	} else {
		out = append(appendU32(out, b.groups), b.locals...)
	}
	e := &emitter{m: m, out: out, from: b.code.p, points: p.points, scratch: b.vars}
	if b.counted > 0 {
		cost := uint32(0)
		if n := len(e.points); n > 0 {
			cost, e.points = e.points[n-1].cost, e.points[:n-1]
		}
		e.enter(b.counted, cost)
		e.out = append(e.out, 0x02)
		e.out = append(e.out, m.blockOf(t)...)
	}
	for i := range p.marks {
		e.mark(&p.marks[i], b, i == len(p.marks)-1)
	}
	return e.out
}

// blockOf is the encoded type of a block with the results of t.
func (m *module) blockOf(t *functype) []byte {
	switch t.nres {
	case 0:
		return []byte{0x40}
	case 1:
		return t.results
	}
	if m.blocks[t.same] == 0 {
		m.addedTypes++
		m.added = append(appendU32(append(m.added, 0x60, 0), t.nres), t.results...)
		m.blocks[t.same] = uint32(len(m.types)) + m.addedTypes
	}
	return appendS64(nil, int64(m.blocks[t.same]))
}

// copyTo copies the original code up to an offset, with the points on the way.
func (e *emitter) copyTo(at uint32) {
	for len(e.points) > 0 {
		next := e.points[len(e.points)-1]
		if next.at > at {
			break
		}
		e.points = e.points[:len(e.points)-1]
		e.out = append(e.out, e.from[e.copied:next.at]...)
		e.copied = next.at
		e.spend(next.cost)
	}
	e.out = append(e.out, e.from[e.copied:at]...)
	e.copied = at
}

func (e *emitter) mark(k *mark, b *body, last bool) {
	e.copyTo(k.at)
	switch k.op {
	case opCall:
		e.replace(k, appendU32(append(e.out, 0x10), e.m.shift(k.arg)))
	case opRefFunc:
		e.replace(k, appendU32(append(e.out, 0xd2), e.m.shift(k.arg)))
	case opReturnCall:
		e.leave(b.counted)
		e.replace(k, appendU32(append(e.out, 0x12), e.m.shift(k.arg)))
	case opReturnCallIndirect:
		e.leave(b.counted)
	case opReturn:
		if b.counted > 0 { // to the end of the block around the function
			e.replace(k, appendU32(append(e.out, 0x0c), k.arg))
		}
	case opBulkMemory, opBulkTable, opMemoryGrow, opTableGrow:
		e.bulk(k)
	case opEnd:
		if last && b.counted > 0 {
			e.out = append(e.out, 0x0b)
			e.leave(b.counted)
		}
	}
	if last {
		e.copyTo(k.end)
	}
}

func (e *emitter) replace(k *mark, out []byte) {
	e.out, e.copied = out, k.end
}

// spend writes a point.
func (e *emitter) spend(cost uint32) {
	e.take(e.m.fuel, int64(cost))
	e.refill()
}

// take lowers a global.
func (e *emitter) take(global uint32, n int64) {
	e.get(global)
	e.out = appendS64(append(e.out, 0x42), n)            // i64.const
	e.out = appendU32(append(e.out, 0x7d, 0x24), global) // i64.sub global.set
}

func (e *emitter) get(global uint32) {
	e.out = appendU32(append(e.out, 0x23), global) // global.get
}

// refill calls the host if the fuel is below zero.
func (e *emitter) refill() {
	e.get(e.m.fuel)
	e.out = append(e.out, 0x42, 0, 0x53, 0x04, 0x40, 0x41, WhyFuel) // i64.const 0 i64.lt_s if i32.const
	e.callHost()
}

func (e *emitter) callHost() {
	e.get(e.m.fuel)
	e.out = appendU32(append(e.out, 0x10), e.m.refill)             // call
	e.out = append(appendU32(append(e.out, 0x24), e.m.fuel), 0x0b) // global.set end
}

// enter takes a call's part of the stack's budget, and the fuel of the first
// point with it: one comparison for both.
func (e *emitter) enter(stack int64, cost uint32) {
	if cost > 0 {
		e.take(e.m.fuel, int64(cost))
	}
	e.take(e.m.stack, stack)
	e.get(e.m.fuel)
	e.get(e.m.stack)
	e.out = append(e.out, 0x84, 0x42, 0, 0x53, 0x04, 0x40) // i64.or i64.const 0 i64.lt_s if
	e.get(e.m.stack)
	e.out = append(e.out, 0x42, 63, 0x88, 0xa7) // i64.const i64.shr_u i32.wrap_i64: WhyStack if below zero
	e.callHost()
}

// leave gives it back.
func (e *emitter) leave(cost int64) {
	if cost == 0 {
		return
	}
	e.out = appendU32(append(e.out, 0x23), e.m.stack)
	e.out = appendS64(append(e.out, 0x42), cost)
	e.out = appendU32(append(e.out, 0x7c, 0x24), e.m.stack) // i64.add global.set
}

// bulk uses fuel for the size that is on the stack. To grow by more than there
// may be fails at once and costs nothing.
func (e *emitter) bulk(k *mark) {
	e.m.report.Bulk++
	e.out = appendU32(append(e.out, 0x22), e.scratch)               // local.tee
	e.out = appendU32(append(e.out, 0x23), e.m.fuel)                // global.get
	e.out = append(appendU32(append(e.out, 0x20), e.scratch), 0xad) // local.get i64.extend_i32_u
	switch k.op {
	case opBulkMemory:
		e.out = append(e.out, 0x42, 3, 0x88) // i64.const i64.shr_u: bytesPerUnit
	case opMemoryGrow:
		e.upTo(e.m.pages)
		e.out = append(appendS64(append(e.out, 0x42), pageCost), 0x7e) // i64.const i64.mul
	case opTableGrow:
		e.upTo(e.m.tables[k.arg].max)
	}
	e.out = appendU32(append(e.out, 0x7d, 0x24), e.m.fuel) // i64.sub global.set
	e.refill()
}

// upTo makes the scratch variable's value on the stack zero if it is above most.
func (e *emitter) upTo(most uint32) {
	e.out = appendU32(append(e.out, 0x20), e.scratch)
	e.out = appendS64(append(e.out, 0x41), int64(int32(most)))
	e.out = append(e.out, 0x4d, 0xad, 0x7e) // i32.le_u i64.extend_i32_u i64.mul
}
