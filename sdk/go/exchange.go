package headgate

import (
	"strings"

	"github.com/headgate/headgate/sdk/go/internal/host"
)

// Exchange is one request and its response. It must not be kept after Request,
// or Response if the filter has it, returned.
type Exchange struct {
	// Header holds the fields of the request.
	Header Header
	// Response is the response side. In Request it is the filter's own answer,
	// and fields set there are added to whatever response there will be.
	Response Response
	// State is the filter's to carry something from Request to Response.
	State any

	host    host.Host
	options Option
	body    []byte
	read    bool
}

// Response is the response side of an exchange.
type Response struct {
	// Header holds the fields of the response.
	Header Header

	x    *Exchange
	body []byte
	read bool
}

// NewExchange makes an exchange over h. Plugins get theirs; package headgatetest
// makes them for tests.
func NewExchange(h host.Host, o Option) *Exchange {
	x := &Exchange{}
	x.reset(h, o)
	return x
}

func (x *Exchange) reset(h host.Host, o Option) {
	*x = Exchange{host: h, options: o}
	x.Header = Header{h, host.Request}
	x.Response = Response{Header: Header{h, host.Response}, x: x}
}

// Method returns the request's method.
func (x *Exchange) Method() string { return x.host.Method() }

// SetMethod changes it. HEAD and CONNECT stay what they are.
func (x *Exchange) SetMethod(m string) { x.host.SetMethod(m) }

// URI returns the request's path and query.
func (x *Exchange) URI() string { return x.host.URI() }

// SetURI changes path and query. The path must be in normal form; the route
// stays the one that was chosen.
func (x *Exchange) SetURI(u string) { x.host.SetURI(u) }

// Path returns the request's path, normalised.
func (x *Exchange) Path() string {
	path, _, _ := strings.Cut(x.host.URI(), "?")
	return path
}

// RawQuery returns the request's query without the question mark.
func (x *Exchange) RawQuery() string {
	_, query, _ := strings.Cut(x.host.URI(), "?")
	return query
}

// Protocol returns the request's protocol, such as "HTTP/1.1".
func (x *Exchange) Protocol() string { return x.host.Protocol() }

// Source returns address and port of the client behind trusted proxies.
func (x *Exchange) Source() string { return x.host.Source() }

// RequestID returns the id of the request, which the log has too.
func (x *Exchange) RequestID() string { return x.host.RequestID() }

// Body returns the request's body. It needs the option BufferRequest.
func (x *Exchange) Body() []byte {
	if x.options&BufferRequest == 0 {
		panic("headgate: Body needs the option BufferRequest in Register")
	}
	if !x.read {
		x.body, x.read = x.host.Body(host.RequestBody), true
	}
	return x.body
}

// SetBody replaces the request's body. Call it once.
func (x *Exchange) SetBody(p []byte) {
	x.host.WriteBody(host.RequestBody, p)
	x.body, x.read = p, true
}

// Reply answers the exchange: with status, a content type ("" for none) and a
// body. Fields go to x.Response.Header.
func (x *Exchange) Reply(status int, contentType, body string) Verdict {
	x.host.SetStatus(status)
	if contentType != "" {
		x.host.Set(host.Response, "content-type", contentType)
	}
	x.host.WriteBody(host.ResponseBody, []byte(body))
	return Replied
}

// Fail gives the exchange up. The client gets to see nothing of err.
func (x *Exchange) Fail(err error) Verdict {
	x.host.Fail(err.Error())
	return Failed
}

// Status returns the response's status.
func (r *Response) Status() int { return r.x.host.Status() }

// SetStatus changes it.
func (r *Response) SetStatus(s int) { r.x.host.SetStatus(s) }

// Body returns the response's body. It needs the option BufferResponse.
func (r *Response) Body() []byte {
	if r.x.options&BufferResponse == 0 {
		panic("headgate: Response.Body needs the option BufferResponse in Register")
	}
	if !r.read {
		r.body, r.read = r.x.host.Body(host.ResponseBody), true
	}
	return r.body
}

// SetBody replaces the response's body. Call it once.
func (r *Response) SetBody(p []byte) {
	r.x.host.WriteBody(host.ResponseBody, p)
	r.body, r.read = p, true
}

// Level is the level of a log message.
type Level int32

// The levels.
const (
	Debug Level = iota - 1
	Info
	Warn
	Error
)

// Log writes to the gateway's log, with the request's id.
func (x *Exchange) Log(level Level, message string) {
	if x.host.LogEnabled(int32(level)) {
		x.host.Log(int32(level), message)
	}
}

// Header is the fields of one message. Names ignore case.
type Header struct {
	host host.Host
	kind uint32
}

// Get returns the first value of a field, or "".
func (h Header) Get(name string) string {
	v, _ := h.host.First(h.kind, name)
	return v
}

// Has reports whether there is a field of that name.
func (h Header) Has(name string) bool {
	_, ok := h.host.First(h.kind, name)
	return ok
}

// Values returns all values of a field.
func (h Header) Values(name string) []string { return h.host.Values(h.kind, name) }

// All returns every field in order, with names in lower case.
func (h Header) All() [][2]string { return h.host.All(h.kind) }

// Set replaces all values of a field. A value with control characters fails the
// exchange.
func (h Header) Set(name, value string) {
	if h.valid(name, value) {
		h.host.Set(h.kind, name, value)
	}
}

// Add adds a value to a field.
func (h Header) Add(name, value string) {
	if h.valid(name, value) {
		h.host.Add(h.kind, name, value)
	}
}

// Del removes a field.
func (h Header) Del(name string) { h.host.Remove(h.kind, name) }

// valid fails the exchange, and spares the instance, for a value that the
// gateway would not take.
func (h Header) valid(name, value string) bool {
	for i := range len(value) {
		if c := value[i]; c < 0x20 && c != '\t' || c == 0x7f {
			h.host.Fail("the value for header " + name + " has a control character")
			return false
		}
	}
	return true
}

// Trailer returns the trailers of the request. Trailers need the option of that
// name.
func (x *Exchange) Trailer() Header { return Header{x.host, host.RequestTrailer} }

// Trailer returns the trailers of the response.
func (r *Response) Trailer() Header { return Header{r.x.host, host.ResponseTrailer} }
