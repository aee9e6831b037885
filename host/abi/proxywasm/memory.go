package proxywasm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/headgate/headgate/runtime/exchange"
)

// status is what most functions of the ABI return.
type status uint32

// The statuses, as in Envoy.
const (
	ok                  status = 0
	notFound            status = 1
	badArgument         status = 2
	parseFailure        status = 4
	invalidMemoryAccess status = 6
	empty               status = 7
	casMismatch         status = 8
	internalFailure     status = 10
	unimplemented       status = 12
)

// read views a range of guest memory, until the guest runs again.
func (g *Guest) read(ptr, size uint64) ([]byte, bool) {
	if uint32(size) == 0 {
		return nil, true
	}
	return g.mem.Read(uint32(ptr), uint32(size))
}

// put writes a 32-bit number.
func (g *Guest) put(ptr uint64, v uint32) status {
	if !g.mem.WriteUint32Le(uint32(ptr), v) {
		return invalidMemoryAccess
	}
	return ok
}

// put64 writes a 64-bit number.
func (g *Guest) put64(ptr, v uint64) status {
	if !g.mem.WriteUint64Le(uint32(ptr), v) {
		return invalidMemoryAccess
	}
	return ok
}

var (
	errNested = errors.New("the allocator of the guest calls functions that allocate")
	errAlloc  = errors.New("the allocator of the guest returns memory that it does not have")
)

// alloc asks the guest for memory. A guest that fails to give some is at an end:
// the panic becomes the error of its call.
func (g *Guest) alloc(n int) (ptr uint32, p []byte) {
	if g.allocating {
		panic(errNested)
	}
	g.allocating = true
	defer func() { g.allocating = false }()
	g.allocStack[0] = uint64(n)
	if err := g.on.alloc.CallWithStack(g, g.allocStack[:]); err != nil {
		panic(fmt.Errorf("the allocator of the guest: %w", err))
	}
	ptr = uint32(g.allocStack[0])
	p, in := g.mem.Read(ptr, uint32(n))
	if ptr == 0 || !in {
		panic(errAlloc)
	}
	return ptr, p
}

// give copies p into memory that the guest allocates and tells it where.
func (g *Guest) give(ptrPtr, sizePtr uint64, p []byte) status {
	var ptr uint32
	if len(p) > 0 {
		if len(p) > g.env.MaxBody {
			return internalFailure
		}
		at, dst := g.alloc(len(p))
		copy(dst, p)
		ptr = at
	}
	if s := g.put(ptrPtr, ptr); s != ok {
		return s
	}
	return g.put(sizePtr, uint32(len(p)))
}

func (g *Guest) giveString(ptrPtr, sizePtr uint64, s string) status {
	return g.give(ptrPtr, sizePtr, exchange.Bytes(s))
}

// giveNumber gives the 8 bytes that Envoy makes of numbers.
func (g *Guest) giveNumber(ptrPtr, sizePtr uint64, n int64) status {
	return g.give(ptrPtr, sizePtr, binary.LittleEndian.AppendUint64(g.number[:0], uint64(n)))
}

// pairsOf reads a serialised map: a count, the two lengths of every pair, then
// names and values, each with a NUL behind it.
func pairsOf(p []byte, f func(name, value []byte) bool) bool {
	if len(p) == 0 {
		return true
	}
	if len(p) < 4 {
		return false
	}
	n := uint64(binary.LittleEndian.Uint32(p))
	if n > uint64(len(p)-4)/8 {
		return false
	}
	lengths, data := p[4:4+8*n], p[4+8*n:]
	for range n {
		k, v := uint64(binary.LittleEndian.Uint32(lengths)), uint64(binary.LittleEndian.Uint32(lengths[4:]))
		lengths = lengths[8:]
		if k+v+2 > uint64(len(data)) || data[k] != 0 || data[k+1+v] != 0 {
			return false
		}
		if !f(data[:k], data[k+1:k+1+v]) {
			return false
		}
		data = data[k+v+2:]
	}
	return true
}

// pairs serialises a map, field by field.
type pairs struct {
	lengths, data []byte
	n             uint32
}

func (w *pairs) reset() { w.lengths, w.data, w.n = w.lengths[:0], w.data[:0], 0 }

func (w *pairs) add(name, value []byte) {
	w.lengths = binary.LittleEndian.AppendUint32(w.lengths, uint32(len(name)))
	w.lengths = binary.LittleEndian.AppendUint32(w.lengths, uint32(len(value)))
	w.data = append(append(w.data, name...), 0)
	w.data = append(append(w.data, value...), 0)
	w.n++
}

// size is that of the whole.
func (w *pairs) size() int { return 4 + len(w.lengths) + len(w.data) }

func (w *pairs) write(p []byte) {
	binary.LittleEndian.PutUint32(p, w.n)
	copy(p[4+copy(p[4:], w.lengths):], w.data)
}
