//go:build wasip1

package main

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"
)

// modes are the configurations of root contexts; roots the parents of streams.
var (
	modes   = map[uint32]string{}
	roots   = map[uint32]uint32{}
	waiting = map[uint32]uint32{} // streams by token of a call
	parked  []uint32              // streams that a tick lets go
	chunks  = map[uint32]int{}
	queue   uint32
)

//go:wasmexport proxy_on_context_create
func onContextCreate(id, parent uint32) { roots[id] = parent }

//go:wasmexport proxy_on_vm_start
func onVMStart(_, size uint32) uint32 {
	vm, _ := buffer(6, 0, size)
	if vm == "refuse" {
		return 0
	}
	return 1
}

//go:wasmexport proxy_on_configure
func onConfigure(id, size uint32) uint32 {
	mode, _ := buffer(7, 0, size)
	modes[id] = mode
	switch mode {
	case "refuse":
		say(4, "this configuration is no good")
		return 0
	case "tick":
		setTick(5)
	case "queue":
		k, kn := at("jobs")
		registerQueue(k, kn, unsafe.Pointer(&queue))
	}
	return 1
}

//go:wasmexport proxy_on_tick
func onTick(uint32) {
	for {
		old, cas, status := shared("ticks")
		n, _ := strconv.Atoi(old)
		if status == 1 {
			cas = 0
		}
		if share("ticks", strconv.Itoa(n+1), cas) == 0 {
			break
		}
	}
	for _, id := range parked {
		setEffective(id)
		set(0, "x-tick", "yes")
		continueStream(0)
	}
	parked = nil
}

func mode(id uint32) string { return modes[roots[id]] }

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(id, n, end uint32) uint32 {
	if strings.HasPrefix(mode(id), "swap") {
		set(0, "x-swap", mode(id))
	}
	switch mode(id) {
	case "headers":
		list := pairs(0)
		var size uint32
		getMapSize(0, unsafe.Pointer(&size))
		set(0, "x-count", fmt.Sprint(n, len(list)/2, size == uint32(len(encode(list...))), end))
		path, _ := header(0, ":path")
		set(0, "x-path", path)
		host, _ := header(0, "host")
		set(0, "x-was", host)
		set(0, ":authority", "other.test")
		add(0, "x-two", "one")
		add(0, "x-two", "two")
		remove(0, "x-gone")
		both, _ := header(0, "x-two")
		set(0, "x-both", both)
		set(0, ":path", "/changed?q=1")
		set(0, "x-bad", fmt.Sprint(set(0, ":path", "/../x"), set(0, "x y", "1"), set(0, "x-y", "a\nb"), set(2, "x-y", "z"), set(0, "connection", "close")))
	case "pairs":
		list := pairs(0)
		out := []string{"x-new", "1"}
		for i := 0; i < len(list); i += 2 {
			if list[i] != "x-gone" {
				out = append(out, list[i], list[i+1])
			}
		}
		p, size := at(encode(out...))
		setPairs(0, p, size)
	case "reply":
		reply(403, "no entry\n", -1, "x-why", "because", "connection", "close")
		return 1
	case "late reply": // the result does not matter
		reply(418, "tea", -1)
		return 0
	case "grpc reply":
		reply(403, "no 100%", 7)
		return 1
	case "call":
		token, status := call("auth", "/check", "ping", 1000)
		if status != 0 {
			reply(500, fmt.Sprint("status ", status), -1)
			return 1
		}
		waiting[token] = id
		return 1
	case "ungranted":
		_, status := call("other", "/", "", 100)
		reply(200, fmt.Sprint(status), -1)
	case "grpc":
		u, un := at("auth")
		s, sn := at("test.Service")
		m, mn := at("Check")
		md, mdn := at(encode("x-meta", "1"))
		b, bn := at("hello")
		var token uint32
		if status := grpcCall(u, un, s, sn, m, mn, md, mdn, b, bn, 1000, unsafe.Pointer(&token)); status != 0 {
			reply(500, fmt.Sprint("status ", status), -1)
		}
		waiting[token] = id
		return 1
	case "tick":
		parked = append(parked, id)
		return 1
	case "forever":
		return 1
	case "close":
		closeStream(0)
		return 1
	case "flood": // what a host must bound
		k, kn := at("jobs")
		var token uint32
		registerQueue(k, kn, unsafe.Pointer(&token))
		big := strings.Repeat("x", 1<<20)
		v, vn := at(big)
		for range 1000 {
			enqueue(token, v, vn)
			enqueue(token, v, 1)
			share(strconv.Itoa(chunks[0]), big, 0)
			call("auth", "/check", big, 1000)
			name, nn := at("metric " + strconv.Itoa(chunks[0]))
			var id uint32
			defineMetric(0, name, nn, unsafe.Pointer(&id))
			say(2, big)
			add(0, "x-"+strconv.Itoa(chunks[0]), big)
			chunks[0]++
		}
	case "trap":
		panic("on purpose")
	case "loop":
		for {
			chunks[0]++
		}
	case "properties":
		var b strings.Builder
		for _, path := range [][]string{
			{"request", "path"}, {"request", "url_path"}, {"request", "query"}, {"request", "host"}, {"request", "method"}, {"request", "scheme"},
			{"request", "protocol"}, {"request", "headers", "x-a"}, {"request", "useragent"}, {"plugin_name"}, {"plugin_root_id"}, {"route_name"},
			{"xds", "route_name"}, {"connection", "mtls"}, {"source", "port"}, {"request", "size"}, {"response", "code"}, {"nothing"}, {"connection", "tls_version"},
		} {
			v, ok := property(path...)
			fmt.Fprintf(&b, "%s=%q %v\n", strings.Join(path, "."), v, ok)
		}
		k, kn := at("mine")
		v, vn := at("value")
		setProperty(k, kn, v, vn)
		mine, _ := property("mine")
		state, _ := property("filter_state", "mine")
		fmt.Fprintf(&b, "mine=%s %s\n", mine, state)
		reply(200, b.String(), -1)
		return 1
	case "shared":
		var b strings.Builder
		_, _, missing := shared("k")
		first := share("k", "v1", 0)
		v, cas, _ := shared("k")
		fmt.Fprint(&b, missing, first, v, share("k", "v2", cas+7), share("k", "v2", cas))
		v, cas2, _ := shared("k")
		fmt.Fprint(&b, v, cas2 != cas)
		reply(200, b.String(), -1)
		return 1
	case "queue":
		name, kn := at("jobs")
		vm, vmn := at("")
		var token uint32
		resolved := resolveQueue(vm, vmn, name, kn, unsafe.Pointer(&token))
		v, vn := at("job of " + strconv.Itoa(int(id)))
		queued := enqueue(token, v, vn)
		none, nn := at("none")
		var other uint32
		set(0, "x-queue", fmt.Sprint(resolved, queued, token == queue, resolveQueue(vm, vmn, none, nn, unsafe.Pointer(&other))))
	case "metrics":
		var ids [3]uint32
		for i, name := range []string{"requests_total", "level", "size.bytes"} {
			k, kn := at(name)
			defineMetric(uint32(i), k, kn, unsafe.Pointer(&ids[i]))
		}
		incrementMetric(ids[0], 2)
		recordMetric(ids[1], -5)
		incrementMetric(ids[1], 1)
		recordMetric(ids[2], 100)
		var a, b, c int64
		x, y, z := getMetric(ids[0], unsafe.Pointer(&a)), getMetric(ids[1], unsafe.Pointer(&b)), getMetric(99, unsafe.Pointer(&c))
		reply(200, fmt.Sprint(a >= 2, b, x, y, z), -1)
		return 1
	case "misc":
		var now uint64
		getTime(unsafe.Pointer(&now))
		var level uint32
		getLogLevel(unsafe.Pointer(&level))
		fn, fnn := at("compress")
		a, an := at(strings.Repeat("a", 1000))
		var o, back out
		p, n := o.ptrs()
		status := callForeign(fn, fnn, a, an, p, n)
		small := o.text()
		un, unn := at("uncompress")
		a, an = at(small)
		p, n = back.ptrs()
		callForeign(un, unn, a, an, p, n)
		no, non := at("none")
		reply(200, fmt.Sprint(now > 1e18, level, status, len(small) < 100, back.text() == strings.Repeat("a", 1000), callForeign(no, non, a, an, p, n), done(), setEffective(9999)), -1)
		return 1
	case "wild":
		bad := unsafe.Pointer(uintptr(0xfffffff0))
		good, gn := at("x")
		var o out
		p, n := o.ptrs()
		reply(200, fmt.Sprint(
			proxyLog(2, bad, 100), getValue(0, bad, 100, p, n), getValue(0, good, gn, bad, bad), replaceValue(0, bad, 100, good, gn),
			setPairs(0, bad, 100), sendLocal(200, bad, 100, good, gn, good, gn, 0), httpCall(bad, 100, good, gn, good, gn, good, gn, 1, bad),
			getProperty(bad, 100, p, n), setProperty(bad, 100, good, gn), getShared(bad, 100, p, n, bad), setShared(bad, 100, good, gn, 0),
			enqueue(77, good, gn), dequeue(77, p, n), getBuffer(0, 0, 10, p, n), getBuffer(7, 0xffffffff, 10, p, n), setBuffer(7, 0, 0, good, gn),
			getPairs(77, p, n), setPairs(0, good, gn), continueStream(77), getTime(bad), setEffective(12345),
		), -1)
		return 1
	}
	return 0
}

//go:wasmexport proxy_on_http_call_response
func onHTTPCallResponse(_, token, headers, size, trailers uint32) {
	id := waiting[token]
	delete(waiting, token)
	setEffective(id)
	if headers == 0 {
		reply(503, "the call failed", -1)
		return
	}
	status, _ := header(6, ":status")
	text, _ := buffer(4, 0, size)
	if status != "200" {
		reply(401, "status "+status+" "+text, -1)
		return
	}
	extra, _ := header(6, "x-user")
	set(0, "x-user", extra+" "+text+" "+fmt.Sprint(trailers))
	if mode(id) == "response call" {
		continueStream(1)
		return
	}
	continueStream(0)
}

//go:wasmexport proxy_on_grpc_receive
func onGRPCReceive(_, token, size uint32) {
	text, _ := buffer(5, 0, size)
	setEffective(waiting[token])
	set(0, "x-grpc", text)
	delete(waiting, token)
	continueStream(0)
}

//go:wasmexport proxy_on_grpc_close
func onGRPCClose(_, token, code uint32) {
	var o out
	var n uint32
	p, size := o.ptrs()
	getStatus(unsafe.Pointer(&n), p, size)
	text := o.text()
	setEffective(waiting[token])
	reply(502, fmt.Sprint("grpc ", code, " ", n, " ", text), -1)
}

//go:wasmexport proxy_on_queue_ready
func onQueueReady(_, token uint32) {
	var o out
	p, n := o.ptrs()
	if dequeue(token, p, n) == 0 {
		share("job", o.text(), 0)
	}
	if dequeue(token, p, n) != 7 {
		share("job", "the queue is not empty", 0)
	}
}

//go:wasmexport proxy_on_request_body
func onRequestBody(id, size, end uint32) uint32 { return body(id, 0, size, end) }

//go:wasmexport proxy_on_response_body
func onResponseBody(id, size, end uint32) uint32 {
	if mode(id) == "quiet" {
		return 0
	}
	return body(id, 1, size, end)
}

func body(id, which, size, end uint32) uint32 {
	switch mode(id) {
	case "buffer": // all of it, in upper case
		if end == 0 {
			return 1
		}
		text, _ := buffer(which, 0, size)
		replace(which, 0, size, strings.ToUpper(text))
	case "chunks": // each with marks around
		replace(which, 0, 0, "<")
		replace(which, size+1, 0, ">")
	case "scan":
		if text, _ := buffer(which, 0, size); strings.Contains(text, "attack") {
			reply(403, "found\n", -1, "x-side", fmt.Sprint(which))
			return 1
		}
		if end == 0 {
			return 1
		}
	case "bodycall":
		if which == 1 {
			return 0
		}
		if end == 0 {
			return 1
		}
		token, _ := call("auth", "/check", "body", 1000)
		waiting[token] = id
		return 1
	case "drop":
		if end == 0 {
			return 3
		}
		replace(which, 0, size, "dropped")
	}
	return 0
}

//go:wasmexport proxy_on_request_trailers
func onRequestTrailers(id, n uint32) uint32 {
	if mode(id) == "trailers" {
		v, _ := header(1, "x-trailer")
		set(1, "x-trailer", v+" seen "+fmt.Sprint(n))
		now, _ := header(1, "x-trailer")
		say(2, "trailer: "+now)
	}
	return 0
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(id, n, end uint32) uint32 {
	if strings.HasPrefix(mode(id), "swap") {
		set(2, "x-swap", mode(id))
	}
	switch mode(id) {
	case "headers":
		status, _ := header(2, ":status")
		set(2, "x-status", status)
		set(2, ":status", "299")
		path, _ := header(0, ":path")
		set(2, "x-sent-path", path)
		code, _ := property("response", "code")
		set(2, "x-code", fmt.Sprint(len(code)))
	case "response reply":
		reply(502, "replaced\n", -1)
		return 1
	case "buffer", "chunks", "drop":
		remove(2, "content-length")
	case "response call":
		token, _ := call("auth", "/check", "response", 1000)
		waiting[token] = id
		return 1
	}
	return 0
}

//go:wasmexport proxy_on_response_trailers
func onResponseTrailers(id, n uint32) uint32 {
	if mode(id) == "trailers" {
		v, _ := header(3, "x-trailer")
		set(3, "x-trailer", v+" seen "+fmt.Sprint(n))
	}
	return 0
}

//go:wasmexport proxy_on_log
func onLog(id uint32) {
	if mode(id) == "log" {
		status, _ := header(2, ":status")
		path, _ := header(0, ":path")
		say(2, "logged "+path+" "+status)
	}
}

//go:wasmexport proxy_on_done
func onDone(id uint32) uint32 {
	if mode(id) == "log" {
		say(2, "done")
	}
	return 1
}

//go:wasmexport proxy_on_delete
func onDelete(id uint32) {
	if mode(id) == "log" {
		say(2, "deleted")
	}
	delete(roots, id)
	delete(chunks, id)
}
