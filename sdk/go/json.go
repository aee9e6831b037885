package headgate

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/headgate/headgate/sdk/go/internal/host"
)

// JSON is a JSON document of up to 8 MiB that the gateway reads and changes, so
// that the plugin need not parse it, nor hold a body in its memory.
//
// Paths are those of gjson: "user.name", "items.0.id", "items.#.id" for a list,
// "items.#(price>10).id". Modifiers (@) and lists of paths are not there.
type JSON struct {
	host   host.Host
	source uint32
	data   []byte
}

// The errors of JSON and XML.
var (
	ErrDocumentInvalid = errors.New("not a document, or not a path or a value")
	ErrDocumentLarge   = errors.New("the document is too large")
)

// JSONBody returns the request's body as JSON. It needs the option BufferRequest.
// What Set changes is sent to the backend, and not seen by Body.
func (x *Exchange) JSONBody() *JSON { return &JSON{x.host, host.RequestBody, nil} }

// JSONBody returns the response's body. It needs the option BufferResponse.
func (r *Response) JSONBody() *JSON { return &JSON{r.x.host, host.ResponseBody, nil} }

// ParseJSON returns a document of the plugin's own, which Bytes returns when it was
// changed.
func (x *Exchange) ParseJSON(data []byte) *JSON { return &JSON{x.host, host.Data, data} }

// Bytes returns a document made with ParseJSON.
func (d *JSON) Bytes() []byte { return d.data }

// Valid reports whether the document is JSON.
func (d *JSON) Valid() bool { return d.host.JSONValid(d.source, d.data) }

// Get returns the value at a path; ok is false if there is none. The error is
// ErrDocumentInvalid.
func (d *JSON) Get(path string) (v Result, ok bool, err error) {
	text, kind := d.host.JSONGet(d.source, d.data, path)
	if kind == -1 {
		return Result{}, false, nil
	}
	return Result{text, kind}, kind > 0, documentError(kind)
}

// Text returns the value at a path as text, "" if there is none or it is null.
func (d *JSON) Text(path string) string {
	v, _, _ := d.Get(path)
	return v.String()
}

// Set puts a value at a path and makes what is missing on the way.
func (d *JSON) Set(path string, value any) error {
	p, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return d.set(path, p, false)
}

// Delete removes the value at a path.
func (d *JSON) Delete(path string) error { return d.set(path, nil, true) }

func (d *JSON) set(path string, value []byte, remove bool) error {
	out, n := d.host.JSONSet(d.source, d.data, path, value, remove)
	if err := documentError(n); err != nil {
		return err
	}
	if d.source == host.Data {
		d.data = out
	}
	return nil
}

func documentError(n int32) error {
	switch n {
	case -3:
		return ErrDocumentLarge
	case -4:
		return ErrDocumentInvalid
	}
	return nil
}

// Result is a value in a document.
type Result struct {
	text []byte
	kind int32
}

// String returns a string as it is, null as "", anything else as JSON.
func (r Result) String() string { return string(r.text) }

// Bool reports whether the value is true.
func (r Result) Bool() bool { return r.kind == host.ValueBool && string(r.text) == "true" }

// Number returns a number; ok is false if the value is none.
func (r Result) Number() (n float64, ok bool) {
	n, err := strconv.ParseFloat(string(r.text), 64)
	return n, err == nil && r.kind == host.ValueNumber
}

// JSON returns the value as JSON.
func (r Result) JSON() json.RawMessage { return host.JSON(r.text, r.kind) }
