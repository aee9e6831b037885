// Package headgatetest runs filters in ordinary Go tests, without a gateway and
// without WebAssembly. Its exchange follows the rules of the gateway's as far as
// a filter can see them.
package headgatetest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/internal/host"
)

// Filter is a filter made from the module's registrations.
type Filter struct {
	headgate.Filter
	options headgate.Option
	fetch   Fetcher
	kept    map[[2]string][]byte
	taken   map[[2]string]uint32
	values  []json.RawMessage
	auth    []byte
	metrics map[string]float64
	// published is what others did, by name.
	published map[string][]byte
}

// New makes a registered filter with a configuration in JSON; the test fails if
// the filter refuses it.
func New(t testing.TB, name, config string) *Filter {
	t.Helper()
	f, o, err := headgate.New(name, []byte(config))
	if err != nil {
		t.Fatalf("filter %q refuses %s: %v", name, config, err)
	}
	return &Filter{Filter: f, options: o}
}

// Fetcher answers the requests that a filter makes of its own.
type Fetcher func(headgate.FetchRequest) (*headgate.FetchResponse, error)

// WithFetch makes a filter's exchanges answer its requests by f. Without it
// allow.fetch names nothing.
func (f *Filter) WithFetch(answer Fetcher) *Filter {
	f.fetch = answer
	return f
}

// Exchange is an exchange and what became of it.
type Exchange struct {
	f *Filter
	x *headgate.Exchange
	h fake

	// Verdict is that of Request.
	Verdict headgate.Verdict
	// Failure is why the exchange failed, "" if it did not.
	Failure string
	// Method and URI are those of the request as it goes to the backend.
	Method, URI string
	// Logs are the messages that the filter logged.
	Logs []string
	// Attributes are what the filter noted with Trace.
	Attributes map[string]string
}

// Request runs the request side for a request with "name: value" header lines.
func (f *Filter) Request(method, uri string, headers ...string) *Exchange {
	return f.RequestBody(method, uri, "", headers...)
}

// RequestBody runs the request side for a request with a body.
func (f *Filter) RequestBody(method, uri, body string, headers ...string) *Exchange {
	e := &Exchange{f: f, Method: method, URI: uri}
	e.h = fake{e: e, id: "test-request", status: 200, auth: f.auth}
	for _, h := range headers {
		e.h.heads[host.Request].add(split(h))
	}
	e.h.bodies[host.RequestBody] = []byte(body)
	e.x = headgate.NewExchange(&e.h, f.options)
	e.Verdict = f.Filter.Request(e.x)
	if e.Failure != "" {
		e.Verdict = headgate.Failed
	}
	return e
}

// Respond runs the response side, if the filter has one and the request went on.
func (e *Exchange) Respond(status int, body string, headers ...string) {
	if e.Verdict != headgate.Continue {
		return
	}
	early := e.h.heads[host.Response]
	e.h.heads[host.Response] = nil
	for _, h := range headers {
		e.h.heads[host.Response].add(split(h))
	}
	for _, f := range early {
		e.h.heads[host.Response].remove(f[0])
	}
	e.h.heads[host.Response] = append(e.h.heads[host.Response], early...)
	e.h.status, e.h.bodies[host.ResponseBody] = status, []byte(body)
	e.h.wrote, e.h.response = [2]bool{}, true
	if r, ok := e.f.Filter.(headgate.Responder); ok {
		r.Response(e.x)
	}
}

// RequestHeader returns the values of a field of the request, as it goes to the
// backend, joined with ", ".
func (e *Exchange) RequestHeader(name string) string {
	return strings.Join(e.h.heads[host.Request].values(name), ", ")
}

// ResponseHeader returns those of the response, or of the filter's own answer.
func (e *Exchange) ResponseHeader(name string) string {
	return strings.Join(e.h.heads[host.Response].values(name), ", ")
}

// Status returns the status of the response or of the filter's own answer.
func (e *Exchange) Status() int { return e.h.status }

// ResponseBody returns its body, RequestText that of the request.
func (e *Exchange) ResponseBody() string { return string(e.h.bodies[host.ResponseBody]) }

// RequestText returns the body of the request as it goes to the backend.
func (e *Exchange) RequestText() string { return string(e.h.bodies[host.RequestBody]) }

func split(line string) (name, value string) {
	name, value, _ = strings.Cut(line, ":")
	return name, strings.TrimSpace(value)
}

// head is a list of fields.
type head [][2]string

func (h *head) add(name, value string) { *h = append(*h, [2]string{strings.ToLower(name), value}) }

func (h *head) remove(name string) {
	*h = slices.DeleteFunc(*h, func(f [2]string) bool { return strings.EqualFold(f[0], name) })
}

func (h head) values(name string) (out []string) {
	for _, f := range h {
		if strings.EqualFold(f[0], name) {
			out = append(out, f[1])
		}
	}
	return out
}

// fake implements host.Host.
type fake struct {
	e        *Exchange
	id       string
	status   int
	heads    [4]head
	bodies   [2][]byte
	wrote    [2]bool
	response bool // the response side runs

	auth, published []byte
	answers         []answer
}

func (f *fake) Values(kind uint32, name string) []string { return f.heads[kind].values(name) }

func (f *fake) First(kind uint32, name string) (string, bool) {
	if v := f.heads[kind].values(name); len(v) > 0 {
		return v[0], true
	}
	return "", false
}

func (f *fake) All(kind uint32) [][2]string { return slices.Clone(f.heads[kind]) }

func (f *fake) Set(kind uint32, name, value string) {
	if f.editable(kind, name) {
		f.heads[kind].remove(name)
		f.heads[kind].add(name, value)
	}
}

func (f *fake) Add(kind uint32, name, value string) {
	if f.editable(kind, name) {
		f.heads[kind].add(name, value)
	}
}

func (f *fake) Remove(kind uint32, name string) {
	if f.editable(kind, name) {
		f.heads[kind].remove(name)
	}
}

// kept are the fields that the gateway keeps to itself.
var kept = []string{
	"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
	"te", "trailer", "transfer-encoding", "upgrade", "content-length",
}

func (f *fake) editable(kind uint32, name string) bool {
	request := kind == host.Request || kind == host.RequestTrailer
	if request && f.response {
		panic("headgatetest: the request is changed in Response, when it has gone")
	}
	name = strings.ToLower(name)
	return !slices.Contains(kept, name) && (name != "host" || kind != host.Request)
}

func (f *fake) Method() string     { return f.e.Method }
func (f *fake) SetMethod(m string) { f.request(); f.e.Method = m }
func (f *fake) URI() string        { return f.e.URI }
func (f *fake) SetURI(u string)    { f.request(); f.e.URI = u }
func (f *fake) Protocol() string   { return "HTTP/1.1" }
func (f *fake) Source() string     { return "192.0.2.7:1234" }
func (f *fake) RequestID() string  { return f.id }
func (f *fake) Status() int        { return f.status }
func (f *fake) SetStatus(s int)    { f.status = s }

func (f *fake) request() {
	if f.response {
		panic("headgatetest: the request is changed in Response, when it has gone")
	}
}

func (f *fake) Body(kind uint32) []byte { return slices.Clone(f.bodies[kind]) }

func (f *fake) WriteBody(kind uint32, p []byte) {
	if !f.wrote[kind] {
		f.wrote[kind], f.bodies[kind] = true, nil
	}
	f.bodies[kind] = append(f.bodies[kind], p...)
}

func (f *fake) LogEnabled(int32) bool { return true }

func (f *fake) Log(_ int32, message string) { f.e.Logs = append(f.e.Logs, message) }

func (f *fake) Fail(message string) {
	if f.e.Failure == "" {
		f.e.Failure = message
	}
}
