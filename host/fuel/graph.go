package fuel

// body is a function's code.
type body struct {
	code   reader // without the local variables
	locals []byte // their declarations, encoded, without the count
	groups uint32 // how many declarations
	vars   uint32 // parameters and local variables

	from, to uint32 // its calls in module.calls
	frame    int64  // an estimate of what a call takes of the engine's stack
	counted  int64  // what a call takes of the budget; 0 if it is not counted
	small    bool   // short, and without loops and indirect calls
	paid     uint32 // what a call costs that its caller pays; 0 if it has points itself
}

// indirect marks an entry of module.calls as a type instead of a function.
const indirect = 1 << 31

// The engine's stack: what a call takes without and with variables, and how
// much of it a chain of calls may take uncounted.
const (
	frameBase  = 48
	frameLocal = 8
	uncounted  = 1 << 10
)

func (m *module) space(b *body) space {
	return space{
		functions: uint32(len(m.functions)), types: uint32(len(m.types)), globals: m.globals,
		locals: b.vars, tables: uint32(len(m.tables)),
	}
}

// survey reads all code once: who calls whom.
func (m *module) survey() error {
	defined := uint32(len(m.functions)) - m.imported
	n := 0
	r := &m.section[secCode]
	if m.present[secCode] {
		n = r.count()
	}
	if uint32(n) != defined {
		r.failAt(0, "%d functions have %d bodies", defined, n)
		return r.err
	}
	m.bodies = make([]body, n)
	m.report.Functions = n
	for i := range m.bodies {
		b := &m.bodies[i]
		code := r.sub(int(r.u32()))
		if r.err != nil {
			return r.err
		}
		b.vars = m.types[m.functions[m.imported+uint32(i)]].params
		b.groups = uint32(code.count())
		at := code.at
		for range b.groups {
			k := code.u32()
			if uint64(b.vars)+uint64(k) >= 1<<32 {
				code.fail("too many local variables")
			}
			b.vars += k
			code.valueType()
		}
		if code.err != nil {
			return code.err
		}
		b.locals = code.p[at:code.at]
		b.code = code.sub(code.left())
		b.frame = frameBase + frameLocal*int64(b.vars)
		if err := m.surveyCalls(b); err != nil {
			return err
		}
	}
	if m.present[secCode] {
		return r.done()
	}
	return nil
}

func (m *module) surveyCalls(b *body) error {
	r, s := b.code, m.space(b)
	b.from = uint32(len(m.calls))
	b.small = len(b.code.p) <= smallBody
	for r.left() > 0 {
		switch in := r.next(&s); in.op {
		case opCall, opReturnCall:
			if in.arg >= m.imported {
				m.calls = append(m.calls, in.arg-m.imported)
			}
		case opCallIndirect, opReturnCallIndirect:
			if r.err == nil {
				m.calls = append(m.calls, indirect|m.types[in.arg].same)
			}
			b.small = false
		case opRefFunc:
			if r.err == nil {
				m.taken[in.arg] = true
			}
		case opBrTable:
			for range int64(in.arg) + 1 {
				r.u32()
			}
		case opLoop:
			m.report.Loops++
			b.small = false
		}
	}
	b.to = uint32(len(m.calls))
	return r.err
}

// node is a function or, from len(bodies) on, a type: it stands for every
// function of it that an indirect call may reach.
type node struct {
	state uint8
	next  uint32 // edge
	path  int64  // the longest uncounted chain of calls from here, in bytes
}

const (
	unseen = iota
	open   // on the path from the root
	done
)

// nest chooses the functions that count as call depth such that every cycle of
// calls has one, and every chain without one is short. It is a depth-first
// search: a cycle has an edge back to a node that is still open.
func (m *module) nest() {
	byType := make([][]uint32, len(m.types))
	for i := range m.bodies {
		if f := m.imported + uint32(i); m.taken[f] {
			t := m.types[m.functions[f]].same
			byType[t] = append(byType[t], uint32(i))
		}
	}
	g := &graph{m: m, nodes: make([]node, len(m.bodies)+len(m.types)), byType: byType}
	for i := range m.bodies {
		g.visit(uint32(i))
	}
	for i := range m.bodies {
		if m.bodies[i].counted > 0 {
			m.report.Counted++
		}
	}
}

type graph struct {
	m      *module
	nodes  []node
	byType [][]uint32
	path   []uint32
}

func (g *graph) edges(n uint32) []uint32 {
	if k := uint32(len(g.m.bodies)); n >= k {
		return g.byType[n-k]
	}
	b := &g.m.bodies[n]
	return g.m.calls[b.from:b.to]
}

func (g *graph) visit(root uint32) {
	functions := uint32(len(g.m.bodies))
	if g.nodes[root].state != unseen {
		return
	}
	g.nodes[root].state = open
	g.path = append(g.path[:0], root)
	for len(g.path) > 0 {
		u := g.path[len(g.path)-1]
		n := &g.nodes[u]
		edges := g.edges(u)
		if int(n.next) == len(edges) {
			g.leave(u)
			g.path = g.path[:len(g.path)-1]
			continue
		}
		v := edges[n.next]
		n.next++
		if v&indirect != 0 {
			v = v&^indirect + functions
		}
		switch g.nodes[v].state {
		case unseen:
			g.nodes[v].state = open
			g.path = append(g.path, v)
			n.next-- // comes back to this edge with v done
		case open:
			g.cycle(u, v)
		case done:
			n.path = max(n.path, g.nodes[v].path)
		}
	}
}

// cycle is told of an edge that closes a cycle. It marks one of the functions as
// counted; what it takes is known when it is left.
func (g *graph) cycle(u, v uint32) {
	functions := uint32(len(g.m.bodies))
	if u < functions {
		g.m.bodies[u].small = false // each cycle has a function with a point
	}
	if v < functions {
		u = v
	}
	if b := &g.m.bodies[u]; b.counted == 0 && g.m.opts.MaxStack > 0 {
		b.counted = 1
	}
}

func (g *graph) leave(u uint32) {
	n := &g.nodes[u]
	n.state = done
	if u >= uint32(len(g.m.bodies)) {
		return
	}
	b := &g.m.bodies[u]
	n.path += b.frame
	if b.counted > 0 || n.path > uncounted && g.m.opts.MaxStack > 0 {
		b.counted, n.path = n.path, 0
	}
	if b.small {
		b.paid = g.m.planner.entire(g.m, b)
	}
}
