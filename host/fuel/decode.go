package fuel

// op is what the rewriter has to know of an instruction.
type op uint8

const (
	opPlain op = iota
	opFree     // makes no machine code, or next to none
	opSlow     // some ten times an addition
	opBlock
	opLoop
	opIf
	opElse
	opEnd
	opBr
	opBrIf
	opBrTable
	opReturn
	opUnreachable
	opCall
	opCallIndirect
	opReturnCall
	opReturnCallIndirect
	opRefFunc
	opConst // i32.const
	opMemoryGrow
	opTableGrow
	opBulkMemory // copies or fills as many bytes as the last operand says
	opBulkTable  // as many elements
)

// instruction is one decoded instruction. at is where it begins.
type instruction struct {
	at  int
	op  op
	arg uint32 // label, function, type, table or constant
}

// space is how many of each there are; an index must be below.
type space struct {
	functions, types, globals, locals, tables uint32
}

func (r *reader) index(limit uint32, what string) uint32 {
	start := r.at
	i := r.u32()
	if i >= limit && r.err == nil {
		r.failAt(start, "there is no %s %d", what, i)
	}
	return i
}

// next reads an instruction (section 5.4) and leaves the labels of br_table, for
// which arg is how many follow, to the caller.
func (r *reader) next(s *space) (in instruction) {
	in.at = r.at
	code := r.byte()
	in.op = opcodes[code]
	if code >= 0x45 && code <= 0xc4 {
		return in
	}
	switch code {
	case 0x00, 0x01, 0x05, 0x0b, 0x0f, 0x1a, 0x1b, 0xd1:
	case 0x02, 0x03, 0x04:
		r.blockType(s)
	case 0x0c, 0x0d:
		in.arg = r.u32()
	case 0x0e:
		in.arg = uint32(r.count())
	case 0x10, 0x12, 0xd2:
		in.arg = r.index(s.functions, "function")
	case 0x11, 0x13:
		in.arg = r.index(s.types, "type")
		r.u32()
	case 0x1c:
		for range r.count() {
			r.valueType()
		}
	case 0x20, 0x21, 0x22:
		r.index(s.locals, "local")
	case 0x23, 0x24:
		r.index(s.globals, "global")
	case 0x25, 0x26, 0x3f, 0x40:
		r.u32()
	case 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33,
		0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e:
		r.memoryArgument()
	case 0x41:
		in.arg = uint32(r.sleb(32))
	case 0x42:
		r.sleb(64)
	case 0x43:
		r.skip(4)
	case 0x44:
		r.skip(8)
	case 0xd0:
		r.heapType()
	case 0xfc:
		r.misc(&in, s)
	case 0xfd:
		r.vector(&in)
	default:
		r.failAt(in.at, "unknown instruction %#x", code)
	}
	return in
}

func (r *reader) memoryArgument() {
	r.u32()
	r.u32()
}

// blockType reads the type of a block: a value type, which is a negative number
// of one byte, or the index of a type.
func (r *reader) blockType(s *space) {
	start := r.at
	switch n := r.sleb(33); {
	case n == 0x63-0x80 || n == 0x64-0x80:
		r.heapType()
	case n >= int64(s.types) && r.err == nil:
		r.failAt(start, "there is no type %d", n)
	}
}

func (r *reader) misc(in *instruction, s *space) {
	switch code := r.u32(); code {
	case 0, 1, 2, 3, 4, 5, 6, 7:
		in.op = opPlain
	case 8, 10: // memory.init, memory.copy
		in.op = opBulkMemory
		r.u32()
		r.u32()
	case 9, 13, 16: // data.drop, elem.drop, table.size
		in.op = opPlain
		r.u32()
	case 11: // memory.fill
		in.op = opBulkMemory
		r.u32()
	case 12, 14: // table.init, table.copy
		in.op = opBulkTable
		r.u32()
		r.u32()
	case 15: // table.grow
		in.op, in.arg = opTableGrow, r.index(s.tables, "table")
	case 17: // table.fill
		in.op = opBulkTable
		r.u32()
	default:
		r.failAt(in.at, "unknown instruction 0xfc %d", code)
	}
}

// vector reads a SIMD instruction. The engine takes one byte for the code and,
// if it is above 127, the second byte of its encoding (1) for a nop; so does
// this.
func (r *reader) vector(in *instruction) {
	in.op = opPlain
	switch code := r.byte(); {
	case code <= 11, code == 92, code == 93:
		r.memoryArgument()
	case code == 12:
		in.op = opFree
		r.skip(16)
	case code == 13:
		r.skip(16)
	case code >= 21 && code <= 34:
		r.skip(1)
	case code >= 84 && code <= 91:
		r.memoryArgument()
		r.skip(1)
	}
}

// opcodes classifies the instructions of one byte.
var opcodes = [256]op{
	0x00: opUnreachable, 0x01: opFree, 0x02: opBlock, 0x03: opLoop, 0x04: opIf,
	0x05: opElse, 0x0b: opEnd, 0x0c: opBr, 0x0d: opBrIf, 0x0e: opBrTable,
	0x0f: opReturn, 0x10: opCall, 0x11: opCallIndirect, 0x12: opReturnCall,
	0x13: opReturnCallIndirect, 0x1a: opFree, 0x20: opFree, 0x21: opFree,
	0x22: opFree, 0x40: opMemoryGrow, 0x41: opConst, 0x42: opFree, 0x43: opFree,
	0x44: opFree, 0xd0: opFree, 0xd2: opRefFunc,
	// Divisions and square roots.
	0x6d: opSlow, 0x6e: opSlow, 0x6f: opSlow, 0x70: opSlow, 0x7f: opSlow,
	0x80: opSlow, 0x81: opSlow, 0x82: opSlow, 0x91: opSlow, 0x95: opSlow,
	0x9f: opSlow, 0xa3: opSlow,
}
