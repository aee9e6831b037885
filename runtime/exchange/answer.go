package exchange

import (
	"errors"
	"sync"
)

// Answer is an answer that a filter gives while it passes a body on. As an error
// of a Body, it stands for the whole message: the exchange is answered with it if
// that is still possible, and cut short if not.
type Answer struct {
	Status int
	Head   Head
	Body   []byte
}

// Error implements error.
func (a *Answer) Error() string { return "a filter answered in the middle of a body" }

// Give makes it the response of x.
func (a *Answer) Give(x *Exchange) {
	x.Reply(a.Status, "", a.Body)
	for i := range a.Head.Len() {
		_, name, value := a.Head.At(i)
		x.Response.Head.Add(String(name), String(value))
	}
}

// ErrTooLarge is a body of which a filter would have to keep more than it may.
var ErrTooLarge = errors.New("a filter would have to keep too much of the body")

// ErrFilter is what a Body returns when a filter that it passes through could not
// do its work.
var ErrFilter = errors.New("a filter failed on the body")

// Properties are what the Wasm filters of one exchange tell each other. They are
// safe for concurrent use: a body may pass through a filter while another one
// looks at the response.
type Properties struct {
	mu   sync.Mutex
	m    map[string][]byte
	size int
}

// maxProperties bounds names and values together, in bytes.
const maxProperties = 64 << 10

// Set keeps value, which it takes over. It reports whether there is room.
func (p *Properties) Set(name string, value []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := p.size + len(name) + len(value)
	if old, ok := p.m[name]; ok {
		size -= len(name) + len(old)
	}
	if size > maxProperties {
		return false
	}
	if p.m == nil {
		p.m = map[string][]byte{}
	}
	p.m[name], p.size = value, size
	return true
}

// Get returns a value, which must not be changed.
func (p *Properties) Get(name string) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.m[name]
	return v, ok
}
