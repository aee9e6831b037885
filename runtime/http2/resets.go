package http2

//lint:file-ignore SA1019 the framer has no successor

import (
	"encoding/binary"
	"sync/atomic"

	"golang.org/x/net/http2"
)

// resets counts the streams that the library resets for what the client did. A
// client that provokes them cancels requests as surely as with resets of its own
// (CVE-2025-8671).
type resets struct {
	skip  int // of a payload
	head  [frameHead + 4]byte
	n     int // of head
	count atomic.Int64
}

// take returns how many came since it was last asked.
func (r *resets) take() float64 {
	if r.count.Load() == 0 {
		return 0
	}
	return float64(r.count.Swap(0))
}

// scan takes note of the frames in p, which the library writes.
func (r *resets) scan(p []byte) {
	for len(p) > 0 {
		if r.skip > 0 {
			n := min(r.skip, len(p))
			r.skip -= n
			p = p[n:]
			continue
		}
		want := frameHead
		if r.n >= frameHead {
			want += 4 // the code of a reset
		}
		n := copy(r.head[r.n:want], p)
		p = p[n:]
		if r.n += n; r.n == want {
			r.frame()
		}
	}
}

// frame takes note of a frame whose head, or whose code too, is complete.
func (r *resets) frame() {
	if r.n > frameHead {
		switch http2.ErrCode(binary.BigEndian.Uint32(r.head[frameHead:])) {
		case http2.ErrCodeProtocol, http2.ErrCodeFlowControl, http2.ErrCodeStreamClosed:
			r.count.Add(1)
		}
		r.n = 0
		return
	}
	if http2.FrameType(r.head[3]) == http2.FrameRSTStream {
		return
	}
	r.n = 0
	r.skip = int(binary.BigEndian.Uint32(r.head[:4]) >> 8)
}
