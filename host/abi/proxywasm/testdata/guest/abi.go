//go:build wasip1

// Guest is a proxy-wasm plugin that does what its configuration names. It is
// written against the text of the ABI, without an SDK.
package main

import (
	"encoding/binary"
	"unsafe"
)

func main() {}

type ptr = unsafe.Pointer

//go:wasmimport env proxy_log
func proxyLog(level uint32, p ptr, n uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func getBuffer(which, start, size uint32, p, n ptr) uint32

//go:wasmimport env proxy_set_buffer_bytes
func setBuffer(which, start, size uint32, p ptr, n uint32) uint32

//go:wasmimport env proxy_get_buffer_status
func bufferStatus(which uint32, n, flags ptr) uint32

//go:wasmimport env proxy_get_header_map_value
func getValue(which uint32, k ptr, kn uint32, p, n ptr) uint32

//go:wasmimport env proxy_get_header_map_pairs
func getPairs(which uint32, p, n ptr) uint32

//go:wasmimport env proxy_get_header_map_size
func getMapSize(which uint32, n ptr) uint32

//go:wasmimport env proxy_set_header_map_pairs
func setPairs(which uint32, p ptr, n uint32) uint32

//go:wasmimport env proxy_replace_header_map_value
func replaceValue(which uint32, k ptr, kn uint32, v ptr, vn uint32) uint32

//go:wasmimport env proxy_add_header_map_value
func addValue(which uint32, k ptr, kn uint32, v ptr, vn uint32) uint32

//go:wasmimport env proxy_remove_header_map_value
func removeValue(which uint32, k ptr, kn uint32) uint32

//go:wasmimport env proxy_send_local_response
func sendLocal(code uint32, d ptr, dn uint32, b ptr, bn uint32, h ptr, hn uint32, grpc int32) uint32

//go:wasmimport env proxy_continue_stream
func continueStream(which uint32) uint32

//go:wasmimport env proxy_close_stream
func closeStream(which uint32) uint32

//go:wasmimport env proxy_http_call
func httpCall(u ptr, un uint32, h ptr, hn uint32, b ptr, bn uint32, t ptr, tn, timeout uint32, token ptr) uint32

//go:wasmimport env proxy_grpc_call
func grpcCall(u ptr, un uint32, s ptr, sn uint32, m ptr, mn uint32, md ptr, mdn uint32, b ptr, bn, timeout uint32, token ptr) uint32

//go:wasmimport env proxy_get_status
func getStatus(code, p, n ptr) uint32

//go:wasmimport env proxy_get_property
func getProperty(k ptr, kn uint32, p, n ptr) uint32

//go:wasmimport env proxy_set_property
func setProperty(k ptr, kn uint32, v ptr, vn uint32) uint32

//go:wasmimport env proxy_get_shared_data
func getShared(k ptr, kn uint32, p, n, cas ptr) uint32

//go:wasmimport env proxy_set_shared_data
func setShared(k ptr, kn uint32, v ptr, vn, cas uint32) uint32

//go:wasmimport env proxy_register_shared_queue
func registerQueue(k ptr, kn uint32, token ptr) uint32

//go:wasmimport env proxy_resolve_shared_queue
func resolveQueue(vm ptr, vmn uint32, k ptr, kn uint32, token ptr) uint32

//go:wasmimport env proxy_enqueue_shared_queue
func enqueue(token uint32, v ptr, vn uint32) uint32

//go:wasmimport env proxy_dequeue_shared_queue
func dequeue(token uint32, p, n ptr) uint32

//go:wasmimport env proxy_define_metric
func defineMetric(kind uint32, k ptr, kn uint32, id ptr) uint32

//go:wasmimport env proxy_increment_metric
func incrementMetric(id uint32, delta int64) uint32

//go:wasmimport env proxy_record_metric
func recordMetric(id uint32, v int64) uint32

//go:wasmimport env proxy_get_metric
func getMetric(id uint32, v ptr) uint32

//go:wasmimport env proxy_set_tick_period_milliseconds
func setTick(ms uint32) uint32

//go:wasmimport env proxy_get_current_time_nanoseconds
func getTime(p ptr) uint32

//go:wasmimport env proxy_get_log_level
func getLogLevel(p ptr) uint32

//go:wasmimport env proxy_set_effective_context
func setEffective(id uint32) uint32

//go:wasmimport env proxy_done
func done() uint32

//go:wasmimport env proxy_call_foreign_function
func callForeign(k ptr, kn uint32, a ptr, an uint32, p, n ptr) uint32

// kept are the blocks that the host was given, until they are read.
var kept = map[uintptr][]byte{}

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) ptr {
	b := make([]byte, max(size, 1))
	p := unsafe.Pointer(unsafe.SliceData(b))
	kept[uintptr(p)] = b
	return p
}

//go:wasmexport proxy_abi_version_0_2_1
func version() {}

//go:wasmexport proxy_abi_version_0_2_0
func version0() {}

func at(s string) (ptr, uint32) { return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s)) }

// out receives what the host allocates.
type out struct{ p, n uint32 }

func (o *out) ptrs() (ptr, ptr) { return unsafe.Pointer(&o.p), unsafe.Pointer(&o.n) }

func (o *out) text() string {
	if o.n == 0 {
		return ""
	}
	b := kept[uintptr(o.p)]
	delete(kept, uintptr(o.p))
	return string(b[:o.n])
}

func header(which uint32, name string) (string, bool) {
	var o out
	k, kn := at(name)
	p, n := o.ptrs()
	if getValue(which, k, kn, p, n) != 0 {
		return "", false
	}
	return o.text(), true
}

func set(which uint32, name, value string) uint32 {
	k, kn := at(name)
	v, vn := at(value)
	return replaceValue(which, k, kn, v, vn)
}

func add(which uint32, name, value string) uint32 {
	k, kn := at(name)
	v, vn := at(value)
	return addValue(which, k, kn, v, vn)
}

func remove(which uint32, name string) uint32 {
	k, kn := at(name)
	return removeValue(which, k, kn)
}

func buffer(which, start, size uint32) (string, uint32) {
	var o out
	p, n := o.ptrs()
	if r := getBuffer(which, start, size, p, n); r != 0 {
		return "", r
	}
	return o.text(), 0
}

func replace(which, start, size uint32, s string) uint32 {
	p, n := at(s)
	return setBuffer(which, start, size, p, n)
}

func property(path ...string) (string, bool) {
	key := ""
	for i, p := range path {
		if i > 0 {
			key += "\x00"
		}
		key += p
	}
	var o out
	k, kn := at(key)
	p, n := o.ptrs()
	if getProperty(k, kn, p, n) != 0 {
		return "", false
	}
	return o.text(), true
}

func say(level uint32, s string) {
	p, n := at(s)
	proxyLog(level, p, n)
}

// encode serialises names and values.
func encode(list ...string) string {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(list)/2))
	for _, s := range list {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
	}
	for _, s := range list {
		b = append(append(b, s...), 0)
	}
	return string(b)
}

// decode returns names and values.
func decode(s string) (list []string) {
	b := []byte(s)
	n := binary.LittleEndian.Uint32(b)
	lengths, data := b[4:4+8*n], b[4+8*n:]
	for range 2 * n {
		size := binary.LittleEndian.Uint32(lengths)
		list = append(list, string(data[:size]))
		lengths, data = lengths[4:], data[size+1:]
	}
	return list
}

func pairs(which uint32) []string {
	var o out
	p, n := o.ptrs()
	if getPairs(which, p, n) != 0 {
		return nil
	}
	return decode(o.text())
}

func reply(code uint32, body string, grpc int32, fields ...string) uint32 {
	d, dn := at("details")
	b, bn := at(body)
	h, hn := at(encode(fields...))
	return sendLocal(code, d, dn, b, bn, h, hn, grpc)
}

func call(upstream, path, body string, timeout uint32) (token, status uint32) {
	u, un := at(upstream)
	h, hn := at(encode(":method", "POST", ":path", path, ":authority", "auth.test", "x-sent", "yes"))
	b, bn := at(body)
	t, tn := at(encode())
	status = httpCall(u, un, h, hn, b, bn, t, tn, timeout, unsafe.Pointer(&token))
	return token, status
}

func share(key, value string, cas uint32) uint32 {
	k, kn := at(key)
	v, vn := at(value)
	return setShared(k, kn, v, vn, cas)
}

func shared(key string) (value string, cas, status uint32) {
	var o out
	k, kn := at(key)
	p, n := o.ptrs()
	if status = getShared(k, kn, p, n, unsafe.Pointer(&cas)); status != 0 {
		return "", 0, status
	}
	return o.text(), cas, 0
}
