package headgate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Verdict is what a filter decides about an exchange. It comes from Continue,
// Exchange.Reply or Exchange.Fail.
type Verdict uint8

// The verdicts.
const (
	// Continue passes the exchange on.
	Continue Verdict = iota
	// Replied says that the exchange has the filter's own answer.
	Replied
	// Failed says that the filter could not do its work. The plugin's on_error
	// decides what the client gets.
	Failed
)

// Filter is one configured filter. It serves many exchanges, one call at a time.
// The gateway runs several instances of a module: what a filter keeps in memory
// is not shared between them.
type Filter interface {
	// Request sees the request before it is forwarded.
	Request(x *Exchange) Verdict
}

// Responder is a filter that sees the response too, in the same Exchange.
type Responder interface {
	Filter
	// Response sees the response before it is sent. It is called only if Request
	// returned Continue.
	Response(x *Exchange) Verdict
}

// RequestStreamer is a filter that sees the request's body as it passes, in chunks
// of any size, and may change it. Nothing is buffered. The headers have gone.
type RequestStreamer interface {
	Filter
	RequestChunk(x *Exchange, c *Chunk)
}

// ResponseStreamer is a filter that sees the response's body so, after Response if
// it has that.
type ResponseStreamer interface {
	Filter
	ResponseChunk(x *Exchange, c *Chunk)
}

// Option says at registration what a filter needs.
type Option uint32

// The options. A body that a filter needs and that is larger than the route's
// buffer is refused by the gateway.
const (
	// BufferRequest lets the filter read the request's body.
	BufferRequest Option = 1
	// BufferResponse lets the filter read the response's body.
	BufferResponse Option = 2
	// Trailers lets the filter see and change trailers.
	Trailers Option = 4
)

type registration struct {
	make    func(config []byte) (Filter, error)
	options Option
}

// registered is filled by the init functions of plugins and read after them.
var registered = map[string]registration{}

// Register adds a filter to the module under the name that the gateway's
// configuration uses. C is a struct; see Decode for how it is filled. The error
// of make is shown to whoever configured the filter.
func Register[C any](name string, make func(C) (Filter, error), options ...Option) {
	if _, ok := registered[name]; ok {
		panic("headgate: filter " + name + " is registered twice")
	}
	r := registration{make: func(config []byte) (Filter, error) {
		var c C
		if err := Decode(config, &c); err != nil {
			return nil, err
		}
		f, err := make(c)
		if err == nil && f == nil {
			err = errors.New("the filter was not made")
		}
		return f, err
	}}
	for _, o := range options {
		r.options |= o
	}
	registered[name] = r
}

// Names returns the names of the registered filters, sorted.
func Names() []string {
	var names []string
	for n := range registered {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// New makes the filter called name with a configuration in JSON. The name may
// be left out if there is only one.
func New(name string, config []byte) (Filter, Option, error) {
	names := Names()
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	r, ok := registered[name]
	if !ok {
		if name == "" {
			return nil, 0, fmt.Errorf("the module holds several filters; say which with filter = one of %s", strings.Join(names, ", "))
		}
		return nil, 0, fmt.Errorf("the module has no filter %q; it has %s", name, strings.Join(names, ", "))
	}
	f, err := r.make(config)
	return f, r.options, err
}
