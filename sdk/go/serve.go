//go:build wasip1

package headgate

import (
	"fmt"
	"runtime/debug"

	"github.com/headgate/headgate/sdk/go/internal/host"
)

// What follows is the module's side of the ABI (sdk/ABI.md). Calls never
// overlap; exchanges of several requests may be open at once.

// configured is a filter with its configuration.
type configured struct {
	filter    Filter
	responder Responder // nil if the filter does not see responses
	// streams are nil if the filter does not see bodies as they pass.
	requests  RequestStreamer
	responses ResponseStreamer
	options   Option
}

var (
	filters = map[uint32]*configured{}
	// open holds the exchanges between Request and Response, by the number that
	// the gateway was given; spare the numbers and the exchanges free to use.
	open  []*Exchange
	owner []*configured
	spare []uint32
)

//go:wasmexport headgate_configure
func configure(id uint32) (status uint32) {
	defer guard(&status)
	f, options, err := New(host.FilterName(), host.Config())
	if err != nil {
		host.Wasm{}.Fail(err.Error())
		return 1
	}
	host.EnableFeatures(uint32(options))
	c := &configured{filter: f, options: options}
	c.responder, _ = f.(Responder)
	c.requests, _ = f.(RequestStreamer)
	c.responses, _ = f.(ResponseStreamer)
	filters[id] = c
	return 0
}

// guard turns a panic of a filter into a failed exchange. The module stays
// sound, so there is no need to lose it.
func guard(status *uint32) {
	if r := recover(); r != nil {
		host.Wasm{}.Log(int32(Error), fmt.Sprintf("panic: %v\n%s", r, debug.Stack()))
		host.Wasm{}.Fail(fmt.Sprintf("panic: %v", r))
		*status = 1
	}
}

func take(c *configured) (number uint32, x *Exchange) {
	if n := len(spare); n > 0 {
		number, spare = spare[n-1], spare[:n-1]
	} else {
		number = uint32(len(open))
		open, owner = append(open, &Exchange{}), append(owner, nil)
	}
	x = open[number]
	x.reset(host.Wasm{}, c.options)
	owner[number] = c
	return number, x
}

func give(number uint32) {
	open[number].reset(nil, 0)
	owner[number] = nil
	spare = append(spare, number)
}

//go:wasmexport handle_request
func handleRequest() uint64 {
	c := filters[host.ConfigID()]
	number, x := take(c)
	var panicked uint32
	v := c.request(x, &panicked)
	if panicked == 0 && v == Continue {
		next := c.wants()
		if next == nextOnly {
			give(number)
		}
		return uint64(number)<<32 | next
	}
	give(number)
	return 0
}

// The low half of the result of handle_request.
const (
	nextBit          = 1
	noResponseBit    = 2
	requestChunkBit  = 4
	responseChunkBit = 8
	nextOnly         = nextBit | noResponseBit
)

// wants says what the filter sees of an exchange besides the request.
func (c *configured) wants() (next uint64) {
	next = nextBit
	if c.responder == nil {
		next |= noResponseBit
	}
	if c.requests != nil {
		next |= requestChunkBit
	}
	if c.responses != nil {
		next |= responseChunkBit
	}
	return next
}

//go:wasmexport headgate_request_chunk
func requestChunk(number, size, end uint32) uint32 {
	return chunkOf(number, size, end, host.RequestBody, owner[number].requests.RequestChunk)
}

//go:wasmexport headgate_response_chunk
func responseChunk(number, size, end uint32) uint32 {
	return chunkOf(number, size, end, host.ResponseBody, owner[number].responses.ResponseChunk)
}

func chunkOf(number, size, end, kind uint32, f func(*Exchange, *Chunk)) uint32 {
	x := open[number]
	c := Chunk{Size: int(size), Last: end != 0, read: func() []byte { return x.host.Body(kind) }}
	var panicked uint32
	func() {
		defer guard(&panicked)
		f(x, &c)
	}()
	return c.give(x.host, kind)
}

func (c *configured) request(x *Exchange, panicked *uint32) Verdict {
	defer guard(panicked)
	v := c.filter.Request(x)
	x.settle(v)
	return v
}

func (c *configured) response(x *Exchange, panicked *uint32) {
	defer guard(panicked)
	x.settle(c.responder.Response(x))
}

// settle makes sure that the gateway knows of a failure. The first reason that
// it was told counts.
func (x *Exchange) settle(v Verdict) {
	if v == Failed {
		x.host.Fail("no reason given")
	}
}

//go:wasmexport handle_response
func handleResponse(number, _ uint32) {
	var panicked uint32
	x := open[number]
	x.Response.body, x.Response.read = nil, false
	c := owner[number]
	c.response(x, &panicked)
	if c.requests == nil && c.responses == nil {
		give(number) // otherwise headgate_done comes
	}
}

//go:wasmexport headgate_done
func done(number uint32) { give(number) }

// give tells the gateway.
func (c *Chunk) give(h host.Host, kind uint32) uint32 {
	if (c.action == chunkReplace || c.action == chunkEnd) && len(c.out) > 0 {
		h.WriteBody(kind, c.out)
	}
	return c.action
}
