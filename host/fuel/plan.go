package fuel

// One unit of fuel is about what an addition takes.
const (
	costSlow     = 8
	costCall     = 4
	costIndirect = 8 + paidMost
	costImport   = 192 // the host does more than the guest can in the time
	costRuntime  = 128 // what leaves the machine code: growing, bulk operations
	costMost     = 256 // what a path may take between two points

	smallBody = 256 // bytes of code
	paidMost  = 32  // what a function may cost that has no points itself

	runMost = 64 // what plain instructions may take between two marks

	bytesPerUnit  = 8 // of memory copied or filled
	pageCost      = 1 << 13
	constantBytes = 1 << 10 // bulk operations of known length up to this cost what they cost
)

// mark is an instruction that the plan is about, with the plain ones before it.
type mark struct {
	from    uint32 // where the plain ones begin
	at, end uint32
	op      op
	arg     uint32
	run     uint32 // cost of the plain ones
	cost    uint32
}

// point is a place where fuel is used: as much as the costliest path to the next
// points.
type point struct{ at, cost uint32 }

type planner struct {
	marks  []mark
	labels []uint32
	points []point // last one first
	open   []uint32
	frames []frame
	bulk   bool // an instruction needs the scratch variable
}

// frame is a block while a function is read from its end.
type frame struct {
	loop        bool
	after, then uint32 // costliest path from its end, and from its else
	hasElse     bool
}

// read decodes a body into marks.
func (p *planner) read(m *module, b *body) error {
	p.marks, p.labels, p.open, p.bulk = p.marks[:0], p.labels[:0], p.open[:0], false
	r, s := b.code, m.space(b)
	at, run := uint32(0), uint32(0)
	before, n := opPlain, uint32(0) // the last instruction and its constant
	ended := false
	for r.left() > 0 {
		if ended {
			r.fail("code follows the end of the function")
			break
		}
		in := r.next(&s)
		switch in.op {
		case opPlain:
			run++
		case opSlow:
			run += costSlow
		}
		if in.op <= opSlow || in.op == opConst {
			if run >= runMost {
				p.marks = append(p.marks, mark{from: at, at: uint32(r.at), end: uint32(r.at), run: run})
				at, run = uint32(r.at), 0
			}
			before, n = in.op, in.arg
			continue
		}
		k := mark{from: at, at: uint32(in.at), op: in.op, arg: in.arg, run: run}
		p.cost(m, &k, before == opConst, n)
		if ended = p.nest(&r, &k); r.err != nil {
			break
		}
		k.end = uint32(r.at)
		p.marks = append(p.marks, k)
		at, run, before = k.end, 0, in.op
	}
	if !ended {
		r.fail("the function has no end")
	}
	return r.err
}

// cost is what an instruction takes itself.
func (p *planner) cost(m *module, k *mark, known bool, n uint32) {
	switch k.op {
	case opCall, opReturnCall:
		k.cost = costCall
		if k.arg < m.imported {
			k.cost = costImport
		} else {
			k.cost += m.bodies[k.arg-m.imported].paid
		}
	case opCallIndirect, opReturnCallIndirect:
		k.cost = costIndirect
	case opBrTable:
		k.cost = 3
	case opBulkMemory, opBulkTable:
		size := uint64(n)
		if k.op == opBulkTable {
			size *= 8
		}
		if known && size <= constantBytes {
			k.op, k.cost = opPlain, costSlow+uint32(size)/bytesPerUnit
			return
		}
		k.cost, p.bulk = costSlow, true
	case opMemoryGrow, opTableGrow:
		k.cost, p.bulk = costRuntime, true
	case opBrIf, opIf:
		k.cost = 1
	}
}

// nest keeps the stack of open blocks. It reports whether the function ended.
func (p *planner) nest(r *reader, k *mark) (ended bool) {
	depth := uint32(len(p.open))
	switch k.op {
	case opBlock, opLoop, opIf:
		p.open = append(p.open, uint32(len(p.marks)))
	case opElse:
		if depth == 0 || p.marks[p.open[depth-1]].op != opIf || p.marks[p.open[depth-1]].arg != 0 {
			r.fail("else without if")
			return false
		}
		p.marks[p.open[depth-1]].arg = 1
	case opEnd:
		if depth == 0 {
			k.arg = uint32(opBlock)
			return true
		}
		k.arg = uint32(p.marks[p.open[depth-1]].op)
		p.open = p.open[:depth-1]
	case opBr, opBrIf:
		if k.arg > depth {
			r.fail("there is no label %d", k.arg)
		}
	case opBrTable:
		first := uint32(len(p.labels))
		for range k.arg + 1 {
			l := r.u32()
			if l > depth {
				r.fail("there is no label %d", l)
			}
			if r.err != nil {
				return false
			}
			p.labels = append(p.labels, l)
		}
		k.arg = first
		p.labels = append(p.labels, noLabel)
	case opReturn:
		k.arg = depth
	}
	return false
}

// noLabel ends a list of labels.
const noLabel = 1<<32 - 1

// place chooses the points. It goes from the end to the start: there, the cost
// of the costliest path from an instruction to the next points is known when the
// instruction comes up, since only loops branch backwards and a loop starts with
// a point. No path is longer than costMost.
func (p *planner) place() {
	p.points, p.frames = p.points[:0], p.frames[:0]
	rest := uint32(0)
	for i := len(p.marks) - 1; i >= 0; i-- {
		k := &p.marks[i]
		if rest > 0 && rest+k.cost+k.run > costMost && k.op != opLoop {
			p.points = append(p.points, point{k.end, rest})
			rest = 0
		}
		rest = p.before(k, rest) + k.run
	}
	p.points = append(p.points, point{0, max(1, rest)})
}

// entire returns what a function costs at most if that is so little that its
// callers can pay for it, else 0. Errors come up again when it is written.
func (p *planner) entire(m *module, b *body) uint32 {
	if p.read(m, b) != nil || p.bulk {
		return 0
	}
	p.place()
	if len(p.points) > 1 || p.points[0].cost > paidMost {
		return 0
	}
	return p.points[0].cost
}

// before returns the costliest path from before an instruction; rest is that
// from after it.
func (p *planner) before(k *mark, rest uint32) uint32 {
	top := len(p.frames) - 1
	switch k.op {
	case opEnd:
		p.frames = append(p.frames, frame{loop: op(k.arg) == opLoop, after: rest})
		return rest
	case opElse:
		f := &p.frames[top]
		f.then, f.hasElse = rest, true
		return f.after
	case opIf:
		f := p.frames[top]
		p.frames = p.frames[:top]
		if f.hasElse {
			return k.cost + max(rest, f.then)
		}
		return k.cost + max(rest, f.after)
	case opBlock:
		p.frames = p.frames[:top]
		return rest
	case opLoop:
		p.frames = p.frames[:top]
		p.points = append(p.points, point{k.end, max(1, rest)})
		return 0
	case opBr:
		return k.cost + p.target(k.arg)
	case opBrIf:
		return k.cost + max(rest, p.target(k.arg))
	case opBrTable:
		rest = 0
		for _, l := range p.labels[k.arg:] {
			if l == noLabel {
				break
			}
			rest = max(rest, p.target(l))
		}
		return k.cost + rest
	case opReturn, opUnreachable, opReturnCall, opReturnCallIndirect:
		return k.cost
	}
	return k.cost + rest
}

func (p *planner) target(label uint32) uint32 {
	f := &p.frames[len(p.frames)-1-int(label)]
	if f.loop {
		return 0
	}
	return f.after
}
