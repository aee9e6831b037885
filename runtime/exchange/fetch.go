package exchange

import (
	"errors"
	"time"
)

// Fetch is a request that a filter makes of its own, and the answer to it.
type Fetch struct {
	Method, Scheme, Authority, Path, RawQuery string
	Head                                      Head
	Body                                      []byte
	Timeout                                   time.Duration // for the head of the answer; 0: the upstream's
	Limit                                     int64         // bytes that the answer's body may have

	Status  int
	Answer  Head
	Content []byte
	Trailer Head // of the answer
}

// The errors of a Fetch that a filter is told of by kind.
var (
	ErrFetchUnknown = errors.New("there is no such upstream")
	ErrFetchLarge   = errors.New("the answer is too large")
	ErrFetchTimeout = errors.New("no answer in time")
)
