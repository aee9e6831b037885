//go:build !unix

package host

// region is memory of Go's heap that grows by copying.
type region struct {
	p   []byte
	max uint64
}

func reserve(limit uint64) (region, error) { return region{max: limit}, nil }

func (r *region) limit() uint64 { return r.max }

func (r *region) commit(size uint64) error {
	if size > uint64(len(r.p)) {
		r.p = append(r.p, make([]byte, size-uint64(len(r.p)))...)
	}
	return nil
}

func (r *region) bytes(size uint64) []byte { return r.p[:size:size] }

func (r *region) release() { *r = region{} }
