//go:build unix

package host

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// region is a range of addresses of which the start can be used.
type region struct {
	p         []byte
	committed uint64
}

// reserve takes addresses and no memory.
func reserve(limit uint64) (region, error) {
	p, err := unix.Mmap(-1, 0, int(limit), unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return region{}, fmt.Errorf("reserve %d bytes of guest memory: %w", limit, err)
	}
	return region{p: p}, nil
}

func (r *region) limit() uint64 { return uint64(len(r.p)) }

// commit makes the first size bytes usable; new ones are zero.
func (r *region) commit(size uint64) error {
	if size <= r.committed {
		return nil
	}
	if err := unix.Mprotect(r.p[r.committed:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("commit %d bytes of guest memory: %w", size, err)
	}
	r.committed = size
	return nil
}

func (r *region) bytes(size uint64) []byte { return r.p[:size:size] }

func (r *region) release() {
	if r.p != nil {
		_ = unix.Munmap(r.p) // fails only for a range that is not mapped
		*r = region{}
	}
}
