//go:build wasip1

package host

import (
	"bytes"
	"unsafe"
)

//go:wasmimport http_handler enable_features
func enableFeatures(features uint32) uint32

//go:wasmimport http_handler get_config
func getConfig(buf unsafe.Pointer, limit uint32) uint32

//go:wasmimport http_handler log
func logMessage(level int32, message string)

//go:wasmimport http_handler log_enabled
func logEnabled(level int32) uint32

//go:wasmimport http_handler get_header_values
func getHeaderValues(kind uint32, name string, buf unsafe.Pointer, limit uint32) uint64

//go:wasmimport http_handler set_header_value
func setHeaderValue(kind uint32, name, value string)

//go:wasmimport http_handler add_header_value
func addHeaderValue(kind uint32, name, value string)

//go:wasmimport http_handler remove_header
func removeHeader(kind uint32, name string)

//go:wasmimport http_handler read_body
func readBody(kind uint32, buf unsafe.Pointer, limit uint32) uint64

//go:wasmimport http_handler write_body
func writeBody(kind uint32, buf unsafe.Pointer, size uint32)

//go:wasmimport http_handler get_method
func getMethod(buf unsafe.Pointer, limit uint32) uint32

//go:wasmimport http_handler set_method
func setMethod(method string)

//go:wasmimport http_handler get_uri
func getURI(buf unsafe.Pointer, limit uint32) uint32

//go:wasmimport http_handler set_uri
func setURI(uri string)

//go:wasmimport http_handler get_protocol_version
func getProtocolVersion(buf unsafe.Pointer, limit uint32) uint32

//go:wasmimport http_handler get_source_addr
func getSourceAddr(buf unsafe.Pointer, limit uint32) uint32

//go:wasmimport http_handler get_status_code
func getStatusCode() uint32

//go:wasmimport http_handler set_status_code
func setStatusCode(status uint32)

//go:wasmimport headgate_v1 get_all_headers
func getAllHeaders(kind uint32, buf unsafe.Pointer, limit uint32) uint64

//go:wasmimport headgate_v1 config_id
func configID() uint32

//go:wasmimport headgate_v1 get_filter
func getFilter(buf unsafe.Pointer, limit uint32) uint32

//go:wasmimport headgate_v1 get_request_id
func getRequestID(buf unsafe.Pointer, limit uint32) uint32

//go:wasmimport headgate_v1 value
func value(index uint32, buf unsafe.Pointer, limit uint32) int64

//go:wasmimport headgate_v1 auth_get
func authGet(buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 auth_set
func authSet(identity unsafe.Pointer, size uint32) int32

//go:wasmimport headgate_v1 publish
func publish(data unsafe.Pointer, size uint32) int32

//go:wasmimport headgate_v1 published
func published(name string, buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 json_get
func jsonGet(source uint32, data unsafe.Pointer, size uint32, path string, buf unsafe.Pointer, limit uint32) int64

//go:wasmimport headgate_v1 json_set
func jsonSet(source uint32, data unsafe.Pointer, size uint32, path string, value unsafe.Pointer, valueSize uint32, buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 json_valid
func jsonValid(source uint32, data unsafe.Pointer, size uint32) uint32

//go:wasmimport headgate_v1 metric
func metric(op uint32, name, labels string, v float64) int32

//go:wasmimport headgate_v1 trace_attribute
func traceAttribute(name, value string) int32

//go:wasmimport headgate_v1 fetch_many
func fetchMany(requests unsafe.Pointer, size uint32) int32

//go:wasmimport headgate_v1 fetch_answer
func fetchAnswer(i uint32) int32

//go:wasmimport headgate_v1 template
func template(escape uint32, text string, data unsafe.Pointer, size uint32, buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 xml_tokens
func xmlTokens(source uint32, data unsafe.Pointer, size uint32, buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 xml_write
func xmlWrite(tokens unsafe.Pointer, size uint32, buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 fail
func giveUp(message string)

//go:wasmimport headgate_v1 fetch
func fetch(method, url, fields string, body unsafe.Pointer, size, timeoutMS uint32) int32

//go:wasmimport headgate_v1 fetch_headers
func fetchHeaders(buf unsafe.Pointer, limit uint32) uint64

//go:wasmimport headgate_v1 fetch_body
func fetchBody(buf unsafe.Pointer, limit uint32) uint32

//go:wasmimport headgate_v1 state_get
func stateGet(namespace, key string, buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 state_set
func stateSet(namespace, key string, value unsafe.Pointer, size, ttlMS uint32) int32

//go:wasmimport headgate_v1 state_delete
func stateDelete(namespace, key string) int32

//go:wasmimport headgate_v1 state_swap
func stateSwap(namespace, key string, old unsafe.Pointer, oldSize uint32, value unsafe.Pointer, size, ttlMS uint32) int32

//go:wasmimport headgate_v1 state_take
func stateTake(namespace, key string, algorithm, events, windowMS, burst, cost uint32, out unsafe.Pointer) int32

// scratch takes what the gateway writes. Calls into an instance never overlap.
var scratch = make([]byte, 4<<10)

// read calls f with a buffer until it is large enough.
func read(f func(buf unsafe.Pointer, limit uint32) uint32) []byte {
	for {
		n := f(unsafe.Pointer(unsafe.SliceData(scratch)), uint32(len(scratch)))
		if int(n) <= len(scratch) {
			return scratch[:n]
		}
		scratch = make([]byte, n)
	}
}

// EnableFeatures asks for features for the configuration being made.
func EnableFeatures(f uint32) {
	if f != 0 {
		enableFeatures(f)
	}
}

// Config returns the configuration of the running call.
func Config() []byte { return bytes.Clone(read(getConfig)) }

// ConfigID returns its number.
func ConfigID() uint32 { return configID() }

// FilterName returns the name of the filter that the gateway wants, or "".
func FilterName() string { return string(read(getFilter)) }

// Wasm is the gateway, reached from inside a module.
type Wasm struct{}

// values returns the list that a name has, in scratch.
func values(kind uint32, name string) (list []byte, count int) {
	for {
		r := getHeaderValues(kind, name, unsafe.Pointer(unsafe.SliceData(scratch)), uint32(len(scratch)))
		n := int(uint32(r))
		if n <= len(scratch) {
			return scratch[:n], int(r >> 32)
		}
		scratch = make([]byte, n)
	}
}

// First implements Host.
func (Wasm) First(kind uint32, name string) (string, bool) {
	list, count := values(kind, name)
	if count == 0 {
		return "", false
	}
	return string(list[:bytes.IndexByte(list, 0)]), true
}

// Values implements Host.
func (Wasm) Values(kind uint32, name string) []string {
	list, count := values(kind, name)
	return split(list, count)
}

func split(list []byte, count int) []string {
	if count == 0 {
		return nil
	}
	out := make([]string, 0, count)
	for range count {
		i := bytes.IndexByte(list, 0)
		out = append(out, string(list[:i]))
		list = list[i+1:]
	}
	return out
}

// All implements Host.
func (Wasm) All(kind uint32) [][2]string {
	return pairs(func(buf unsafe.Pointer, limit uint32) uint64 { return getAllHeaders(kind, buf, limit) })
}

// pairs reads fields with a buffer that is large enough.
func pairs(f func(buf unsafe.Pointer, limit uint32) uint64) [][2]string {
	for {
		r := f(unsafe.Pointer(unsafe.SliceData(scratch)), uint32(len(scratch)))
		n := int(uint32(r))
		if n > len(scratch) {
			scratch = make([]byte, n)
			continue
		}
		texts := split(scratch[:n], 2*int(r>>32))
		out := make([][2]string, 0, len(texts)/2)
		for i := 0; i < len(texts); i += 2 {
			out = append(out, [2]string{texts[i], texts[i+1]})
		}
		return out
	}
}

// Set implements Host.
func (Wasm) Set(kind uint32, name, value string) { setHeaderValue(kind, name, value) }

// Add implements Host.
func (Wasm) Add(kind uint32, name, value string) { addHeaderValue(kind, name, value) }

// Remove implements Host.
func (Wasm) Remove(kind uint32, name string) { removeHeader(kind, name) }

// Method implements Host.
func (Wasm) Method() string { return string(read(getMethod)) }

// SetMethod implements Host.
func (Wasm) SetMethod(m string) { setMethod(m) }

// URI implements Host.
func (Wasm) URI() string { return string(read(getURI)) }

// SetURI implements Host.
func (Wasm) SetURI(u string) { setURI(u) }

// Protocol implements Host.
func (Wasm) Protocol() string { return string(read(getProtocolVersion)) }

// Source implements Host.
func (Wasm) Source() string { return string(read(getSourceAddr)) }

// RequestID implements Host.
func (Wasm) RequestID() string { return string(read(getRequestID)) }

// Status implements Host.
func (Wasm) Status() int { return int(getStatusCode()) }

// SetStatus implements Host.
func (Wasm) SetStatus(s int) { setStatusCode(uint32(s)) }

// Body implements Host.
func (Wasm) Body(kind uint32) []byte {
	var out []byte
	for {
		r := readBody(kind, unsafe.Pointer(unsafe.SliceData(scratch)), uint32(len(scratch)))
		out = append(out, scratch[:uint32(r)]...)
		if r>>32 != 0 {
			return out
		}
	}
}

// WriteBody implements Host.
func (Wasm) WriteBody(kind uint32, p []byte) {
	writeBody(kind, unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p)))
}

// Fetch implements Host.
func (Wasm) Fetch(method, url, fields string, body []byte, timeoutMS uint32) (int32, [][2]string, []byte) {
	status := fetch(method, url, fields, unsafe.Pointer(unsafe.SliceData(body)), uint32(len(body)), timeoutMS)
	if status < 0 {
		return status, nil, nil
	}
	return status, pairs(fetchHeaders), bytes.Clone(read(fetchBody))
}

// FetchMany implements Host.
func (Wasm) FetchMany(requests []byte) int32 {
	return fetchMany(unsafe.Pointer(unsafe.SliceData(requests)), uint32(len(requests)))
}

// FetchAnswer implements Host.
func (Wasm) FetchAnswer(i uint32) (int32, [][2]string, []byte) {
	status := fetchAnswer(i)
	if status < 0 {
		return status, nil, nil
	}
	return status, pairs(fetchHeaders), bytes.Clone(read(fetchBody))
}

// StateGet implements Host.
func (Wasm) StateGet(namespace, key string) ([]byte, int32) {
	return optional(func(buf unsafe.Pointer, limit uint32) int32 { return stateGet(namespace, key, buf, limit) })
}

// optional reads what there may be with a buffer that is large enough.
func optional(f func(buf unsafe.Pointer, limit uint32) int32) ([]byte, int32) {
	for {
		n := f(unsafe.Pointer(unsafe.SliceData(scratch)), uint32(len(scratch)))
		if n < 0 {
			return nil, n
		}
		if int(n) <= len(scratch) {
			return bytes.Clone(scratch[:n]), n
		}
		scratch = make([]byte, n)
	}
}

// StateSet implements Host.
func (Wasm) StateSet(namespace, key string, value []byte, ttlMS uint32) int32 {
	return stateSet(namespace, key, unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value)), ttlMS)
}

// StateDelete implements Host.
func (Wasm) StateDelete(namespace, key string) int32 { return stateDelete(namespace, key) }

// StateSwap implements Host.
func (Wasm) StateSwap(namespace, key string, old []byte, absent bool, value []byte, ttlMS uint32) int32 {
	size := uint32(len(old))
	if absent {
		size = 1<<32 - 1
	}
	return stateSwap(namespace, key, unsafe.Pointer(unsafe.SliceData(old)), size, unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value)), ttlMS)
}

// StateTake implements Host.
func (Wasm) StateTake(namespace, key string, algorithm, events, windowMS, burst, cost uint32) (int32, uint32, uint32, uint32) {
	var out [3]uint32
	n := stateTake(namespace, key, algorithm, events, windowMS, burst, cost, unsafe.Pointer(&out))
	return n, out[0], out[1], out[2]
}

// AuthGet implements Host.
func (Wasm) AuthGet() ([]byte, int32) { return optional(authGet) }

// AuthSet implements Host.
func (Wasm) AuthSet(identity []byte) int32 {
	return authSet(unsafe.Pointer(unsafe.SliceData(identity)), uint32(len(identity)))
}

// Publish implements Host.
func (Wasm) Publish(data []byte) int32 {
	return publish(unsafe.Pointer(unsafe.SliceData(data)), uint32(len(data)))
}

// Published implements Host.
func (Wasm) Published(name string) ([]byte, int32) {
	return optional(func(buf unsafe.Pointer, limit uint32) int32 { return published(name, buf, limit) })
}

// JSONGet implements Host.
func (Wasm) JSONGet(source uint32, data []byte, path string) ([]byte, int32) {
	return kinded(func(buf unsafe.Pointer, limit uint32) int64 {
		return jsonGet(source, unsafe.Pointer(unsafe.SliceData(data)), uint32(len(data)), path, buf, limit)
	})
}

// JSONSet implements Host.
func (Wasm) JSONSet(source uint32, data []byte, path string, value []byte, remove bool) ([]byte, int32) {
	size := uint32(len(value))
	if remove {
		size = 1<<32 - 1
	}
	set := func(buf unsafe.Pointer, limit uint32) int32 {
		return jsonSet(source, unsafe.Pointer(unsafe.SliceData(data)), uint32(len(data)), path, unsafe.Pointer(unsafe.SliceData(value)), size, buf, limit)
	}
	if source != Data {
		return nil, set(nil, 0)
	}
	return optional(set)
}

// JSONValid implements Host.
func (Wasm) JSONValid(source uint32, data []byte) bool {
	return jsonValid(source, unsafe.Pointer(unsafe.SliceData(data)), uint32(len(data))) != 0
}

// Metric implements Host.
func (Wasm) Metric(op uint32, name, labels string, v float64) int32 {
	return metric(op, name, labels, v)
}

// TraceAttribute implements Host.
func (Wasm) TraceAttribute(name, value string) int32 { return traceAttribute(name, value) }

// Template implements Host.
func (Wasm) Template(escape uint32, text string, data []byte) ([]byte, int32) {
	return optional(func(buf unsafe.Pointer, limit uint32) int32 {
		return template(escape, text, unsafe.Pointer(unsafe.SliceData(data)), uint32(len(data)), buf, limit)
	})
}

// XMLTokens implements Host.
func (Wasm) XMLTokens(source uint32, data []byte) ([]byte, int32) {
	return optional(func(buf unsafe.Pointer, limit uint32) int32 {
		return xmlTokens(source, unsafe.Pointer(unsafe.SliceData(data)), uint32(len(data)), buf, limit)
	})
}

// XMLWrite implements Host.
func (Wasm) XMLWrite(tokens []byte) ([]byte, int32) {
	return optional(func(buf unsafe.Pointer, limit uint32) int32 {
		return xmlWrite(unsafe.Pointer(unsafe.SliceData(tokens)), uint32(len(tokens)), buf, limit)
	})
}

// Value implements Host.
func (Wasm) Value(index uint32) ([]byte, int32) {
	return kinded(func(buf unsafe.Pointer, limit uint32) int64 { return value(index, buf, limit) })
}

// kinded reads a value with a buffer that is large enough.
func kinded(f func(buf unsafe.Pointer, limit uint32) int64) ([]byte, int32) {
	for {
		r := f(unsafe.Pointer(unsafe.SliceData(scratch)), uint32(len(scratch)))
		if r < 0 {
			return nil, int32(r)
		}
		if n := int(uint32(r)); n > len(scratch) {
			scratch = make([]byte, n)
			continue
		}
		return bytes.Clone(scratch[:uint32(r)]), int32(r >> 32)
	}
}

// LogEnabled implements Host.
func (Wasm) LogEnabled(level int32) bool { return logEnabled(level) != 0 }

// Log implements Host.
func (Wasm) Log(level int32, message string) { logMessage(level, message) }

// Fail implements Host.
func (Wasm) Fail(message string) { giveUp(message) }
