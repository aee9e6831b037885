package native

import (
	"fmt"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// A host function that cannot do what the guest asks, and whose result has no
// place for an error, ends the call with a panic of this type. wazero turns it
// into the error of the call.
type callError struct {
	text string
	err  error
}

func (e *callError) Error() string {
	if e.err != nil {
		return e.text + ": " + e.err.Error()
	}
	return e.text
}

func (e *callError) Unwrap() error { return e.err }

func fail(text string) { panic(&callError{text: text}) }

func failWith(text string, err error) { panic(&callError{text, err}) }

// misplaced ends a call that the phase does not allow.
func (g *Guest) misplaced(function string, kind uint32) {
	fail(fmt.Sprintf("%s: kind %d is not allowed %s", function, kind, g.phase))
}

// String returns the phase for messages.
func (p phase) String() string {
	return [...]string{"at the start", "in headgate_configure", "in handle_request", "in handle_response", "in headgate_request_chunk", "in headgate_response_chunk", "in headgate_done"}[p]
}

// need ends a call that has no exchange.
func (g *Guest) need(function string) *exchange.Exchange {
	if g.x == nil {
		fail(function + " is not allowed " + g.phase.String())
	}
	return g.x
}

// alone is need for what other goroutines of the exchange may look at while the
// request's body is sent.
func (g *Guest) alone(function string) *exchange.Exchange {
	x := g.need(function)
	if g.phase == phaseRequestChunk {
		fail(function + " is not allowed " + g.phase.String())
	}
	return x
}

// manyBytes are so many that whatever a function does with them takes time.
const manyBytes = 4 << 10

// bytes views a range of guest memory. It is valid until the guest runs again.
func (g *Guest) bytes(function, what string, ptr, size uint32) []byte {
	if size == 0 {
		return nil
	}
	p, ok := g.mem.Read(ptr, size)
	if !ok {
		fail(fmt.Sprintf("%s: %s: %d bytes at %d are outside of memory", function, what, size, ptr))
	}
	if size > manyBytes {
		g.Spend(int64(size / 4))
	}
	return p
}

// text copies a range of guest memory.
func (g *Guest) text(function, what string, ptr, size uint32) string {
	return strings.Clone(exchange.String(g.bytes(function, what, ptr, size)))
}

// keep copies a range of guest memory into memory of the exchange.
func (g *Guest) keep(p []byte) string {
	q := g.x.Arena.Alloc(len(p))
	copy(q, p)
	return exchange.String(q)
}

// put writes p to guest memory if it is no longer than limit, and returns its
// length in any case, so that the guest can come back with a larger buffer.
func (g *Guest) put(function, what string, ptr, limit uint32, p []byte) uint64 {
	if len(p) > 0 && uint64(len(p)) <= uint64(limit) {
		copy(g.bytes(function, what, ptr, uint32(len(p))), p)
	}
	return uint64(len(p))
}

func (g *Guest) putString(function, what string, ptr, limit uint32, s string) uint64 {
	return g.put(function, what, ptr, limit, exchange.Bytes(s))
}
