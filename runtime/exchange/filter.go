package exchange

// Verdict is what a filter decides about an exchange.
type Verdict uint8

// The verdicts.
const (
	// Continue passes the exchange on.
	Continue Verdict = iota
	// Reply ends the request side: Exchange.Response holds the answer.
	Reply
	// Fail says that the filter could not do its work; Exchange.Failure says
	// why. The filter's on_error decides what happens.
	Fail
)

// Need says how much of a body a filter looks at.
type Need uint8

// The needs, each including those before it.
const (
	// NeedNothing: the filter does not look at the body.
	NeedNothing Need = iota
	// NeedPrefix: the filter looks at what fits the route's buffer.
	NeedPrefix
	// NeedWhole: the filter needs all of it; a larger body is refused with 413
	// or 502.
	NeedWhole
)

// Needs says at load what a filter will look at.
type Needs struct{ Request, Response Need }

// Filter is one step of a chain: a configured plugin or policy. It serves many
// exchanges at once; what it keeps for one of them goes into Exchange.SetState.
type Filter interface {
	// Needs is constant and asked once, at load.
	Needs() Needs
	// Request runs before the exchange is forwarded. It may edit the request.
	Request(*Exchange) Verdict
	// Response runs, in reverse order of the chain, for every filter whose
	// Request returned Continue. It may edit the response; Reply means that it
	// replaced it.
	Response(*Exchange) Verdict
	// Done runs once at the end of every exchange for which Request ran,
	// whatever happened, and gives back what the filter holds for it.
	Done(*Exchange)
}
