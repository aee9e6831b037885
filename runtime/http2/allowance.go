package http2

//lint:file-ignore SA1019 the framer has no successor

import (
	"time"

	"golang.org/x/net/http2"
)

const (
	// allowanceBurst is how many frames without content may come at once.
	allowanceBurst = 2000
	// allowanceRate more of them may come per second.
	allowanceRate = 200
	// worthContent is what a frame with content gives: half the requests of a
	// busy client may be cancelled.
	worthContent = 0.5
)

// allowance is how many frames that carry nothing a peer may still send.
type allowance struct {
	credit float64
	filled time.Time
}

func newAllowance() allowance { return allowance{allowanceBurst, time.Now()} }

// spend takes cost away, or gives what is below 0. It returns false if there is
// not so much.
func (a *allowance) spend(cost float64) bool {
	a.credit = min(a.credit-cost, allowanceBurst)
	if a.credit >= 0 {
		return true
	}
	now := time.Now()
	a.credit += now.Sub(a.filled).Seconds() * allowanceRate
	a.filled = now
	return a.credit >= 0
}

// worthAsked is what an upstream may send for each frame of a request: a few
// answers, pings by which it measures the way, credit for what it took.
const worthAsked = 4

// afford reports whether the peer may send f, which is nil for what broke the
// protocol of its stream.
func (c *ClientConn) afford(f http2.Frame) bool {
	cost := 1.0
	switch f := f.(type) {
	case *http2.DataFrame:
		if len(f.Data()) > 0 {
			cost = -worthContent
		}
	case *http2.WindowUpdateFrame: // many servers send some for each frame
		cost = 0.25
	}
	if c.left.spend(cost) {
		return true
	}
	return c.left.spend(-worthAsked * float64(c.asked.Swap(0)))
}
