package gateway

import "sync/atomic"

// countdown calls end when done was called n times; at once if n is 0.
type countdown struct {
	left atomic.Int64
	end  func()
}

func newCountdown(n int, end func()) *countdown {
	c := &countdown{end: end}
	c.left.Store(int64(n))
	if n == 0 {
		end()
	}
	return c
}

func (c *countdown) done() {
	if c.left.Add(-1) == 0 {
		c.end()
	}
}
