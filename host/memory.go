package host

import (
	"errors"
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/headgate/headgate/runtime/exchange"
)

const pageSize = 64 << 10

var errCeiling = errors.New("the memory for all plugins (gateway.plugin_memory) is used up")

// linear is the memory of one instance. It lies outside of Go's heap, so that
// pages that the guest never touched cost nothing and Free gives all back at
// once. It grows up to the plugin's limit and the host's ceiling.
type linear struct {
	ceiling *exchange.Budget
	region  region
	size    uint64       // handed to the guest
	taken   atomic.Int64 // bytes, from the ceiling; others read it
	denied  bool         // a growth was refused since the call began
}

// newLinear reserves memory for a guest that starts with initial bytes.
func newLinear(ceiling *exchange.Budget, initial, limit uint64) (*linear, error) {
	m := &linear{ceiling: ceiling}
	if !ceiling.Take(int64(initial)) {
		return nil, errCeiling
	}
	m.taken.Store(int64(initial))
	var err error
	if m.region, err = reserve(limit); err == nil {
		err = m.region.commit(initial)
	}
	if err != nil {
		m.Free()
		return nil, err
	}
	return m, nil
}

// Allocate implements experimental.MemoryAllocator for the one memory that a
// module has.
func (m *linear) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate implements experimental.LinearMemory.
func (m *linear) Reallocate(size uint64) []byte {
	more := int64(size) - m.taken.Load()
	if size > m.region.limit() || more > 0 && !m.ceiling.Take(more) {
		m.denied = true
		return nil
	}
	if more > 0 {
		m.taken.Add(more)
		if m.region.commit(size) != nil {
			m.denied = true
			return nil
		}
	}
	m.size = size
	return m.region.bytes(size)
}

// Free implements experimental.LinearMemory. It may be called again.
func (m *linear) Free() {
	m.ceiling.Give(m.taken.Swap(0))
	m.size = 0
	m.region.release()
}
