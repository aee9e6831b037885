package host_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/headgate/headgate/host"
	. "github.com/headgate/headgate/host/hosttest"
	"github.com/headgate/headgate/runtime/exchange"
)

// script assembles guests that call host functions with texts.
type script struct {
	Module
	at    uint32
	index map[string]uint32
}

// functions are the signatures that the scripts use.
var functions = map[string]struct {
	params  int
	results []byte
}{
	"get_header_names": {3, Types(I64)}, "get_header_values": {5, Types(I64)}, "set_header_value": {5, nil},
	"add_header_value": {5, nil}, "remove_header": {3, nil}, "read_body": {3, Types(I64)}, "write_body": {3, nil},
	"get_method": {2, Types(I32)}, "set_method": {2, nil}, "get_uri": {2, Types(I32)}, "set_uri": {2, nil},
	"get_protocol_version": {2, Types(I32)}, "get_source_addr": {2, Types(I32)}, "get_status_code": {0, Types(I32)},
	"set_status_code": {1, nil}, "enable_features": {1, Types(I32)}, "get_config": {2, Types(I32)}, "log": {3, nil},
}

func newScript() *script {
	s := &script{at: 1024, index: map[string]uint32{}}
	for _, name := range sortedNames() {
		f := functions[name]
		s.index[name] = s.Import("http_handler", name, Params(f.params), f.results)
	}
	s.index["get_all_headers"] = s.Import("headgate_v1", "get_all_headers", Params(3), Types(I64))
	s.index["fail"] = s.Import("headgate_v1", "fail", Params(2), nil)
	return s
}

func sortedNames() []string {
	return []string{
		"get_header_names", "get_header_values", "set_header_value", "add_header_value", "remove_header", "read_body",
		"write_body", "get_method", "set_method", "get_uri", "set_uri", "get_protocol_version", "get_source_addr",
		"get_status_code", "set_status_code", "enable_features", "get_config", "log",
	}
}

// text puts a text into memory and pushes its address and length.
func (s *script) text(t string) []byte {
	at := s.at
	s.at += uint32(len(t)) + 1
	s.Data(at, t)
	return append(Const(int32(at)), Const(int32(len(t)))...)
}

const (
	area = 32768 // where results go
	room = 16384
)

// call calls a function whose result, if any, is dropped. Arguments are numbers
// and texts.
func (s *script) call(name string, args ...any) []byte {
	var code []byte
	for _, a := range args {
		switch a := a.(type) {
		case int:
			code = append(code, Const(int32(a))...)
		case string:
			code = append(code, s.text(a)...)
		}
	}
	code = append(code, Call(s.index[name])...)
	if f := functions[name]; len(f.results) > 0 || name == "get_all_headers" {
		code = append(code, Drop...)
	}
	return code
}

// show calls a function that writes to the area and puts what it wrote into the
// request header x-shown, NULs as they are not allowed cut off at limit.
func (s *script) show(name string, args ...any) []byte {
	var code []byte
	for _, a := range args {
		switch a := a.(type) {
		case int:
			code = append(code, Const(int32(a))...)
		case string:
			code = append(code, s.text(a)...)
		}
	}
	code = append(code, Const(area)...)
	code = append(code, Const(room)...)
	code = append(code, Call(s.index[name])...)
	if strings.HasPrefix(name, "get_header") || name == "read_body" || name == "get_all_headers" {
		code = append(code, 0xa7) // i32.wrap_i64: the length
	}
	code = append(code, Set(0)...)
	// write_body(request, area, length): bodies may hold NULs
	code = append(code, Const(0)...)
	code = append(code, Const(area)...)
	code = append(code, Get(0)...)
	return append(code, Call(s.index["write_body"])...)
}

func (s *script) build(request [][]byte, response ...[]byte) []byte {
	s.Memory(1, 0)
	s.Func("handle_request", nil, Types(I64), 2, append(request, pass)...)
	s.Func("handle_response", Params(2), nil, 2, response...)
	return s.Bytes()
}

func body(m *exchange.Message) string {
	var b strings.Builder
	for m.Body != nil {
		p, err := m.Body.Next()
		b.Write(p)
		if err != nil {
			break
		}
	}
	return b.String()
}

// What a guest reads of a request.
func TestReads(t *testing.T) {
	for _, c := range []struct {
		name string
		call string
		args []any
		want string
	}{
		{"method", "get_method", nil, "POST"},
		{"uri", "get_uri", nil, "/a/b?c=d&e"},
		{"protocol", "get_protocol_version", nil, "HTTP/1.1"},
		{"source", "get_source_addr", nil, "192.0.2.7:1234"},
		{"config", "get_config", nil, "the configuration"},
		{"names", "get_header_names", []any{0}, "x-one\x00x-two\x00host\x00"},
		{"values in any case", "get_header_values", []any{0, "X-ONE"}, "1\x002\x00"},
		{"absent", "get_header_values", []any{0, "x-none"}, ""},
		{"host is the authority", "get_header_values", []any{0, "host"}, "example.com\x00"},
		{"not granted", "get_header_values", []any{0, "secret"}, ""},
		{"everything", "get_all_headers", []any{0}, "x-one\x001\x00x-one\x002\x00x-two\x00\x00host\x00example.com\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, host.Options{})
			s := newScript()
			wasm := s.build([][]byte{s.show(c.call, c.args...)})
			f := b.filter(t, host.Spec{Wasm: wasm, HeadersRead: []string{"x-*", "HOST"}}, "the configuration")
			x := Exchange("POST", "/a/b?c=d&e", "X-One: 1", "x-one: 2", "X-Two: ", "Secret: s")
			if v := f.Request(x); v != exchange.Continue {
				t.Fatal(v, x.Failure)
			}
			if got := body(&x.Request.Message); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			f.Done(x)
		})
	}
}

// What a guest changes in a request that goes on.
func TestEdits(t *testing.T) {
	const before = "X-One: 1\nx-one: 2\nContent-Length: 4\nUpgrade: x\n"
	for _, c := range []struct {
		name   string
		call   string
		args   []any
		fields string // of the request; "" as before
		line   string // method and URI; "" as before
		fails  string
	}{
		{"set", "set_header_value", []any{0, "X-ONE", "9"}, "x-one: 9\nContent-Length: 4\nUpgrade: x\n", "", ""},
		{"add", "add_header_value", []any{0, "x-new", "9"}, before + "x-new: 9\n", "", ""},
		{"remove", "remove_header", []any{0, "X-oNE"}, "Content-Length: 4\nUpgrade: x\n", "", ""},
		{"framing is ours", "set_header_value", []any{0, "Content-Length", "0"}, "", "", ""},
		{"transfer coding is ours", "add_header_value", []any{0, "transfer-encoding", "chunked"}, "", "", ""},
		{"hop by hop is ours", "remove_header", []any{0, "upgrade"}, "", "", ""},
		{"the host is ours", "set_header_value", []any{0, "Host", "evil.example"}, "", "", ""},
		{"not granted", "set_header_value", []any{0, "secret", "x"}, "", "", `"secret" is not granted`},
		{"not granted to remove", "remove_header", []any{0, "secret"}, "", "", `"secret" is not granted`},
		{"line break in a value", "set_header_value", []any{0, "x-one", "a\r\nb: c"}, "", "", "control character"},
		{"not a name", "add_header_value", []any{0, "x-one:", "a"}, "", "", "not a field name"},
		{"method", "set_method", []any{"PUT"}, "", "PUT /a?b", ""},
		{"bad method", "set_method", []any{"A B"}, "", "", "not a method"},
		{"method that frames", "set_method", []any{"HEAD"}, "", "", "can't become"},
		{"uri", "set_uri", []any{"/c%2Fd?e=f?g"}, "", "GET /c%2Fd?e=f?g", ""},
		{"uri without query", "set_uri", []any{"/c"}, "", "GET /c?", ""},
		{"empty uri", "set_uri", []any{""}, "", "GET /?", ""},
		{"dot segments", "set_uri", []any{"/public/../admin"}, "", "", "normal form"},
		{"encoded dot segments", "set_uri", []any{"/public/%2e%2E/admin"}, "", "", "normal form"},
		{"encoded letters", "set_uri", []any{"/%61dmin"}, "", "", "normal form"},
		{"empty segments", "set_uri", []any{"//admin"}, "", "", "normal form"},
		{"absolute", "set_uri", []any{"http://evil.example/"}, "", "", "normal form"},
		{"line break in a uri", "set_uri", []any{"/a HTTP/1.1\r\nx: y"}, "", "", "normal form"},
		{"fragment", "set_uri", []any{"/a?b#c"}, "", "", "normal form"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, host.Options{})
			s := newScript()
			wasm := s.build([][]byte{s.call(c.call, c.args...)})
			f := b.filter(t, host.Spec{Wasm: wasm, HeadersRead: all, HeadersWrite: []string{"x-*", "content-length", "transfer-encoding", "upgrade", "host"}}, "")
			x := Exchange("GET", "/a?b", "X-One: 1", "x-one: 2", "Content-Length: 4", "Upgrade: x")
			v := f.Request(x)
			defer f.Done(x)
			if c.fails != "" {
				var trap *host.TrapError
				if v != exchange.Fail || !errors.As(x.Failure, &trap) || !strings.Contains(trap.Error(), c.fails) {
					t.Errorf("verdict %v, %v; want a failure with %q", v, x.Failure, c.fails)
				}
				return
			}
			if v != exchange.Continue {
				t.Fatal(v, x.Failure)
			}
			if c.fields == "" {
				c.fields = before
			}
			if got := Fields(&x.Request.Head); got != c.fields {
				t.Errorf("fields\n%swant\n%s", got, c.fields)
			}
			if c.line == "" {
				c.line = "GET /a?b"
			}
			if got := x.Request.Method + " " + x.Request.Path + "?" + x.Request.RawQuery; got != c.line {
				t.Errorf("request %q, want %q", got, c.line)
			}
		})
	}
}

// A guest that returns 0 answers itself.
func TestReply(t *testing.T) {
	b := newBed(t, host.Options{})
	s := newScript()
	s.Memory(1, 0)
	s.Func("handle_request", nil, Types(I64), 0,
		s.call("set_status_code", 418),
		s.call("add_header_value", 1, "x-a", "1"), s.call("add_header_value", 1, "x-a", "2"),
		s.call("write_body", 1, "hello "), s.call("write_body", 1, "world"), Const64(0))
	s.Func("handle_response", Params(2), nil, 0, Unreachable)
	f := b.filter(t, host.Spec{Wasm: s.Bytes(), HeadersWrite: all}, "")
	for range 3 {
		x := Exchange("GET", "/")
		if v := f.Request(x); v != exchange.Reply {
			t.Fatal(v, x.Failure)
		}
		got, whole := x.Response.Content()
		if x.Response.Status != 418 || string(got) != "hello world" || !whole || Fields(&x.Response.Head) != "x-a: 1\nx-a: 2\n" {
			t.Errorf("answer %d %q\n%s", x.Response.Status, got, Fields(&x.Response.Head))
		}
		f.Done(x)
	}
}

// The response side: fields and status without a feature, the body with one.
func TestResponseSide(t *testing.T) {
	for _, c := range []struct {
		name     string
		features int
		request  func(s *script) []byte
		response func(s *script) []byte
		want     string
		fails    string
	}{
		{"fields and status", 0, nil, func(s *script) []byte {
			return append(s.call("set_status_code", 201), s.call("set_header_value", 1, "x-b", "9")...)
		}, "201 x-b: 9\nbody", ""},
		{"no content", 0, nil, func(s *script) []byte { return s.call("set_status_code", 204) }, "204 X-B: 1\n", ""},
		{"fields set early", 0, func(s *script) []byte {
			return append(s.call("set_header_value", 1, "x-b", "8"), s.call("add_header_value", 1, "x-b", "9")...)
		}, nil, "200 x-b: 8\nx-b: 9\nbody", ""},
		{"a status set early is not for the backend's response", 0, func(s *script) []byte { return s.call("set_status_code", 500) }, nil, "200 X-B: 1\nbody", ""},
		{"a body written early comes ahead", 0, func(s *script) []byte { return s.call("write_body", 1, "first, ") }, nil, "200 X-B: 1\nfirst, body", ""},
		{"and is replaced with the rest", 2, func(s *script) []byte { return s.call("write_body", 1, "first, ") }, func(s *script) []byte { return s.call("write_body", 1, "new") }, "200 X-B: 1\nnew", ""},
		{"but not without content", 0, func(s *script) []byte { return s.call("write_body", 1, "first") }, func(s *script) []byte { return s.call("set_status_code", 204) }, "204 X-B: 1\n", ""},
		{"body without the feature", 0, nil, func(s *script) []byte { return s.call("read_body", 1, area, 10) }, "", "feature buffer_response"},
		{"body", 2, nil, func(s *script) []byte {
			// answers with what it read, twice
			code := append(s.call("read_body", 1, area, 10), Const(1)...)
			code = append(append(append(code, Const(area)...), Const(4)...), Call(s.index["write_body"])...)
			return append(code, s.call("write_body", 1, "!")...)
		}, "200 X-B: 1\nbody!", ""},
		{"body replaced unread", 0, nil, func(s *script) []byte { return s.call("write_body", 1, "new") }, "200 X-B: 1\nnew", ""},
		{"the request is gone", 0, nil, func(s *script) []byte { return s.call("set_header_value", 0, "x", "y") }, "", "not allowed in handle_response"},
		{"its uri too", 0, nil, func(s *script) []byte { return s.call("set_uri", "/") }, "", "not allowed in handle_response"},
		{"and its body", 0, nil, func(s *script) []byte { return s.call("write_body", 0, "x") }, "", "not allowed in handle_response"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, host.Options{})
			s := newScript()
			var request, response, start []byte
			if c.features > 0 {
				start = s.call("enable_features", c.features)
			}
			if c.request != nil {
				request = c.request(s)
			}
			if c.response != nil {
				response = c.response(s)
			}
			s.Func("_initialize", nil, nil, 0, start)
			wasm := s.build([][]byte{request}, response)
			f := b.filter(t, host.Spec{Wasm: wasm, HeadersRead: all, HeadersWrite: all}, "")
			if want := c.features&2 != 0; (f.Needs().Response == exchange.NeedWhole) != want {
				t.Errorf("needs %v", f.Needs())
			}
			x := Exchange("GET", "/")
			if v := f.Request(x); v != exchange.Continue {
				t.Fatal(v, x.Failure)
			}
			Respond(x, 200, "body", "X-B: 1")
			v := f.Response(x)
			defer f.Done(x)
			if c.fails != "" {
				if v != exchange.Fail || !strings.Contains(x.Failure.Error(), c.fails) {
					t.Errorf("verdict %v, %v; want %q", v, x.Failure, c.fails)
				}
				return
			}
			if v != exchange.Continue {
				t.Fatal(v, x.Failure)
			}
			got := itoa(x.Response.Status) + " " + Fields(&x.Response.Head) + body(&x.Response.Message)
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

// drip is a body that comes in pieces.
type drip struct{ parts []string }

func (d *drip) Ready() bool { return false }

func (d *drip) Next() ([]byte, error) {
	if len(d.parts) == 0 {
		return nil, io.EOF
	}
	p := d.parts[0]
	d.parts = d.parts[1:]
	return []byte(p), nil
}

// Without the feature a guest reads the stream, and the backend gets the rest.
func TestReadBodyStream(t *testing.T) {
	for _, c := range []struct {
		limit  int
		rest   string
		length int64
	}{{3, "lo world", 8}, {5, " world", 6}, {11, "", 0}, {100, "", 0}} {
		b := newBed(t, host.Options{})
		s := newScript()
		wasm := s.build([][]byte{s.call("read_body", 0, area, c.limit)})
		f := b.filter(t, host.Spec{Wasm: wasm}, "")
		x := Exchange("POST", "/")
		x.Request.Body, x.Request.Length = &drip{[]string{"he", "llo", " world"}}, 11
		if v := f.Request(x); v != exchange.Continue {
			t.Fatal(v, x.Failure)
		}
		if got := body(&x.Request.Message); got != c.rest || x.Request.Length != c.length {
			t.Errorf("after %d bytes the backend gets %q of length %d, want %q of %d", c.limit, got, x.Request.Length, c.rest, c.length)
		}
		f.Done(x)
	}
}

// A guest that enables the feature during the call gets the body, and so does
// the backend.
func TestReadBodyBuffered(t *testing.T) {
	b := newBed(t, host.Options{})
	s := newScript()
	wasm := s.build([][]byte{s.call("enable_features", 1), s.call("read_body", 0, area, 4), s.call("read_body", 0, area, 100)})
	f := b.filter(t, host.Spec{Wasm: wasm}, "")
	x := Exchange("POST", "/")
	x.Request.Body, x.Request.Length = &drip{[]string{"he", "llo", " world"}}, 11
	if v := f.Request(x); v != exchange.Continue {
		t.Fatal(v, x.Failure)
	}
	if got := body(&x.Request.Message); got != "hello world" || x.Request.Length != 11 {
		t.Errorf("the backend gets %q of length %d", got, x.Request.Length)
	}
	f.Done(x)
}

// A host function that waits for the client does not count as the guest's time,
// and ends with the deadline.
func TestWaitingForABody(t *testing.T) {
	b := newBed(t, host.Options{})
	s := newScript()
	wasm := s.build([][]byte{s.call("read_body", 0, area, 4)})
	f := b.filter(t, host.Spec{Wasm: wasm, CPU: 5e6, Deadline: 150e6}, "")
	x := Exchange("POST", "/")
	client := &slowClient{stop: make(chan struct{})}
	x.Front = client
	x.Request.Body, x.Request.Length = client, exchange.Unknown
	v := f.Request(x)
	f.Done(x)
	var trap *host.TrapError
	if v != exchange.Fail || !errors.As(x.Failure, &trap) || trap.Reason != host.ReasonDeadline {
		t.Errorf("verdict %v, %v; want the deadline", v, x.Failure)
	}
}

// slowClient is a client that sends nothing.
type slowClient struct {
	exchange.Front
	stop chan struct{}
}

func (c *slowClient) Ready() bool { return false }

func (c *slowClient) Next() ([]byte, error) {
	<-c.stop
	return nil, errors.New("stopped")
}

func (c *slowClient) StopBody() { close(c.stop) }

// What a guest says reaches the log, cut and limited.
func TestLog(t *testing.T) {
	b := newBed(t, host.Options{})
	s := newScript()
	wasm := s.build([][]byte{Loop2(s.call("log", 0, "hello from inside"), 1000), s.call("log", -1, "debug"), s.call("log", 3, "none")})
	f := b.filter(t, host.Spec{Wasm: wasm, CPU: 5e9}, "")
	x := Exchange("GET", "/")
	if v := f.Request(x); v != exchange.Continue {
		t.Fatal(v, x.Failure)
	}
	f.Done(x)
	text := b.log.String()
	if n := strings.Count(text, "hello from inside"); n < 100 || n > 400 {
		t.Errorf("%d of 1000 lines are in the log", n)
	}
	if !strings.Contains(text, "plugin=p") || !strings.Contains(text, "request_id=request-1") || strings.Contains(text, "debug") || strings.Contains(text, "none") {
		t.Errorf("the log is\n%.500s", text)
	}
}

// Loop2 repeats code n times, counting in local 0.
func Loop2(code []byte, n int32) []byte {
	out := append(Const(n), Set(0)...)
	out = append(out, 0x03, 0x40)
	out = append(out, code...)
	out = append(out, Get(0)...)
	out = append(out, Const(1)...)
	out = append(out, 0x6b) // i32.sub
	out = append(out, 0x22, 0)
	return append(out, 0x0d, 0, 0x0b) // br_if
}

// A guest that gives an exchange up keeps its instance.
func TestFail(t *testing.T) {
	b := newBed(t, host.Options{})
	s := newScript()
	wasm := s.build([][]byte{s.call("fail", "no database"), s.call("fail", "second")})
	f := b.filter(t, host.Spec{Wasm: wasm}, "")
	for range 3 {
		x := Exchange("GET", "/")
		if v := f.Request(x); v != exchange.Fail || !strings.Contains(x.Failure.Error(), "no database") {
			t.Errorf("verdict %v, %v", v, x.Failure)
		}
		f.Done(x)
	}
	if traps, n := b.counts.read(); traps != "" || n != 1 {
		t.Errorf("traps %q, %d instances", traps, n)
	}
}

// Environment variables, files and sockets are not there unless granted.
func TestEnvironment(t *testing.T) {
	t.Setenv("HEADGATE_TEST_SECRET", "s")
	t.Setenv("HEADGATE_TEST_GRANTED", "g")
	b := newBed(t, host.Options{})
	s := newScript()
	environ := s.Import("wasi_snapshot_preview1", "environ_get", Params(2), Types(I32))
	code := append(append(append(Const(4096), Const(area)...), Call(environ)...), Drop...)
	show := append(append(append(Const(0), Const(area)...), Const(64)...), Call(s.index["write_body"])...)
	f := b.filter(t, host.Spec{Wasm: s.build([][]byte{code, show}), Env: []string{"HEADGATE_TEST_GRANTED", "LITERAL=1"}}, "")
	x := Exchange("GET", "/")
	if v := f.Request(x); v != exchange.Continue {
		t.Fatal(v, x.Failure)
	}
	if got := strings.Trim(body(&x.Request.Message), "\x00"); got != "HEADGATE_TEST_GRANTED=g\x00LITERAL=1" {
		t.Errorf("the guest sees %q", got)
	}
	f.Done(x)
}
