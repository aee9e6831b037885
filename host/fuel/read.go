package fuel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MalformedError is input that is not a module, or that uses what this package
// does not know.
type MalformedError struct {
	// Offset is where in the input, in bytes.
	Offset int
	Detail string
}

// Error implements error.
func (e *MalformedError) Error() string {
	return fmt.Sprintf("byte %#x: %s", e.Offset, e.Detail)
}

var errEnd = errors.New("unexpected end")

// reader reads numbers and names from a part of the module. After the first
// error it stays at its end and returns zeros.
type reader struct {
	p    []byte
	at   int
	base int // of p in the module
	err  error
}

func (r *reader) fail(format string, args ...any) {
	r.failAt(r.at, format, args...)
}

func (r *reader) failAt(at int, format string, args ...any) {
	if r.err == nil {
		r.err = &MalformedError{Offset: r.base + at, Detail: fmt.Sprintf(format, args...)}
	}
	r.at = len(r.p)
}

func (r *reader) left() int { return len(r.p) - r.at }

func (r *reader) byte() byte {
	if r.at >= len(r.p) {
		r.fail("%v", errEnd)
		return 0
	}
	b := r.p[r.at]
	r.at++
	return b
}

func (r *reader) skip(n int) {
	if n > r.left() {
		r.fail("%v", errEnd)
		return
	}
	r.at += n
}

// u32 reads an unsigned number in LEB128 (section 5.2.2).
func (r *reader) u32() uint32 {
	if r.at < len(r.p) && r.p[r.at] < 0x80 {
		r.at++
		return uint32(r.p[r.at-1])
	}
	n, next, ok := uleb32(r.p, r.at)
	if !ok {
		r.fail("a number does not fit 32 bits or is cut short")
		return 0
	}
	r.at = next
	return n
}

func uleb32(p []byte, at int) (n uint32, next int, ok bool) {
	for shift := 0; shift < 35 && at < len(p); shift += 7 {
		b := p[at]
		at++
		if shift == 28 && b > 0x0f {
			return 0, 0, false
		}
		n |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return n, at, true
		}
	}
	return 0, 0, false
}

// sleb reads a signed number of at most the given bits.
func (r *reader) sleb(bits int) int64 {
	var n int64
	for shift := 0; shift < bits; shift += 7 {
		b := r.byte()
		n |= int64(b&0x7f) << shift
		if b < 0x80 {
			if left := 64 - shift - 7; left > 0 {
				n = n << left >> left
			}
			return n
		}
	}
	r.fail("a number does not fit %d bits", bits)
	return 0
}

// count reads the length of a vector whose elements take at least one byte.
func (r *reader) count() int {
	start := r.at
	n := r.u32()
	if int64(n) > int64(r.left()) {
		r.failAt(start, "a count of %d is larger than what follows", n)
		return 0
	}
	return int(n)
}

func (r *reader) name() string {
	start := r.at
	n := r.count()
	if r.err != nil {
		return ""
	}
	s := r.p[r.at : r.at+n]
	r.at += n
	if !utf8.Valid(s) {
		r.failAt(start, "a name is not UTF-8")
		return ""
	}
	return string(s)
}

// sub returns a reader of the next n bytes and skips them.
func (r *reader) sub(n int) reader {
	if n > r.left() {
		r.fail("%v", errEnd)
		return reader{base: r.base + r.at, err: r.err}
	}
	s := reader{p: r.p[r.at : r.at+n : r.at+n], base: r.base + r.at}
	r.at += n
	return s
}

// done reports what was left unread as an error.
func (r *reader) done() error {
	if r.err == nil && r.left() > 0 {
		r.fail("%d bytes are left over", r.left())
	}
	return r.err
}

// heapType reads what a reference refers to: a negative number for an abstract
// type, else a type index.
func (r *reader) heapType() { r.sleb(33) }

// valueType reads one type of a value (section 5.3.4): one byte, but for
// references to a type.
func (r *reader) valueType() {
	if b := r.byte(); b == 0x63 || b == 0x64 {
		r.heapType()
	}
}

func appendU32(b []byte, n uint32) []byte { return binary.AppendUvarint(b, uint64(n)) }

func appendS64(b []byte, n int64) []byte {
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if n == 0 && c&0x40 == 0 || n == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
