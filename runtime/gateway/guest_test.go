package gateway_test

// Tiny WebAssembly guests of the http-wasm handler ABI, assembled byte by byte,
// so that the tests need no toolchain.

const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opBr          = 0x0c
	opEnd         = 0x0b
	opCall        = 0x10
	opI32Const    = 0x41
	opI64Const    = 0x42
	voidBlock     = 0x40
	typeI32       = 0x7f
	typeI64       = 0x7e
)

// The request sides that the tests need.
var (
	goOn    = []byte{opI64Const, 1}
	forever = []byte{opLoop, voidBlock, opBr, 0, opEnd, opI64Const, 1}
	trap    = []byte{opUnreachable}
)

// guest is a module whose request side is code, and whose response side sets
// x-plugin to value.
func guest(value string, code []byte) string {
	response := []byte{opI32Const, 1, opI32Const, 0, opI32Const, 8, opI32Const, 16, opI32Const, byte(len(value)), opCall, 0}
	m := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, body ...byte) { m = append(append(m, id), append(leb(len(body)), body...)...) }
	section(1, // types
		3,
		0x60, 5, typeI32, typeI32, typeI32, typeI32, typeI32, 0,
		0x60, 0, 1, typeI64,
		0x60, 2, typeI32, typeI32, 0)
	section(2, append(append([]byte{1}, name("http_handler")...), append(name("set_header_value"), 0, 0)...)...)
	section(3, 2, 1, 2) // functions 1 and 2
	section(5, 1, 0, 1) // one page of memory
	exports := []byte{3}
	exports = append(append(exports, name("memory")...), 2, 0)
	exports = append(append(exports, name("handle_request")...), 0, 1)
	exports = append(append(exports, name("handle_response")...), 0, 2)
	section(7, exports...)
	codes := []byte{2}
	for _, c := range [][]byte{code, response} {
		body := append(append([]byte{0}, c...), opEnd)
		codes = append(append(codes, leb(len(body))...), body...)
	}
	section(10, codes...)
	data := []byte{2}
	data = append(append(data, 0, opI32Const, 0, opEnd), name("x-plugin")...)
	data = append(append(data, 0, opI32Const, 16, opEnd), name(value)...)
	section(11, data...)
	return string(m)
}

func name(s string) []byte { return append(leb(len(s)), s...) }

func leb(n int) []byte {
	var b []byte
	for {
		c := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
