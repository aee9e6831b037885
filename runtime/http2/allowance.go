package http2

import "time"

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
