package exchange

import "unsafe"

// Head is the ordered list of header fields of one message. Each field is a
// pair of spans over the raw bytes that the peer sent, or over a side buffer
// that holds edits and the fields of protocols without a textual head. Order
// and case of untouched fields survive; look-ups ignore case and do not
// allocate.
//
// Bytes that a Head returns stay valid until the Head is Reset. They must not
// be written to.
type Head struct {
	raw    []byte
	side   []byte
	fields []field
}

type field struct {
	nameOff, valueOff uint32
	valueLen          uint32
	nameLen           uint16
	id                Name
	edited            bool // the spans lie over side
}

// maxNameLen bounds a field name; parsers refuse longer ones.
const maxNameLen = 1<<16 - 1

// Reset empties the head and makes raw the bytes that AddSpan refers to. The
// caller keeps raw unchanged until the next Reset.
func (h *Head) Reset(raw []byte) {
	h.raw = raw
	h.side = h.side[:0]
	h.fields = h.fields[:0]
}

// AddSpan appends a field whose name is raw[nameOff:nameOff+nameLen] and whose
// value is raw[valueOff:valueOff+valueLen].
func (h *Head) AddSpan(id Name, nameOff, nameLen, valueOff, valueLen int) {
	h.fields = append(h.fields, field{
		nameOff: uint32(nameOff), nameLen: uint16(nameLen),
		valueOff: uint32(valueOff), valueLen: uint32(valueLen), id: id,
	})
}

// Len returns the number of fields.
func (h *Head) Len() int { return len(h.fields) }

// At returns the i-th field as it will be sent.
func (h *Head) At(i int) (id Name, name, value []byte) {
	f := &h.fields[i]
	b := h.raw
	if f.edited {
		b = h.side
	}
	return f.id, b[f.nameOff : f.nameOff+uint32(f.nameLen)], b[f.valueOff : f.valueOff+f.valueLen]
}

// Edited reports whether the i-th field did not come over the wire as it is.
func (h *Head) Edited(i int) bool { return h.fields[i].edited }

// Get returns the value of the first field called lower, which must be in lower
// case.
func (h *Head) Get(lower string) (value []byte, ok bool) {
	if i := h.find(lower, 0); i >= 0 {
		_, _, v := h.At(i)
		return v, true
	}
	return nil, false
}

// Known returns the value of the first field with this id.
func (h *Head) Known(id Name) (value []byte, ok bool) {
	for i := range h.fields {
		if h.fields[i].id == id {
			_, _, v := h.At(i)
			return v, true
		}
	}
	return nil, false
}

// Values appends the values of every field called lower, in order, to dst.
func (h *Head) Values(dst [][]byte, lower string) [][]byte {
	for i := h.find(lower, 0); i >= 0; i = h.find(lower, i+1) {
		_, _, v := h.At(i)
		dst = append(dst, v)
	}
	return dst
}

// Add appends a field. The name is stored as given; HTTP/1.1 sends it so.
// Callers that take names and values from untrusted code check them first with
// ValidName and ValidValue.
func (h *Head) Add(name, value string) {
	h.fields = append(h.fields, h.store(name, value))
}

// Set replaces the first field of that name, in its place, and drops the
// others; without one it appends. The name's case does not matter.
func (h *Head) Set(name, value string) {
	i := h.findFold(name, 0)
	if i < 0 {
		h.Add(name, value)
		return
	}
	h.fields[i] = h.store(name, value)
	h.delFrom(name, i+1)
}

// SetAt replaces the value of the i-th field.
func (h *Head) SetAt(i int, value string) {
	_, name, _ := h.At(i)
	h.fields[i] = h.store(String(name), value)
}

// Del drops every field of that name, whatever its case.
func (h *Head) Del(name string) { h.delFrom(name, 0) }

// DelAt drops the i-th field.
func (h *Head) DelAt(i int) { h.fields = append(h.fields[:i], h.fields[i+1:]...) }

// CopyFrom makes h an independent copy of src.
func (h *Head) CopyFrom(src *Head) {
	h.Reset(nil)
	for i := range src.fields {
		_, n, v := src.At(i)
		h.Add(String(n), String(v))
	}
}

func (h *Head) delFrom(name string, from int) {
	kept := h.fields[:from]
	for i := from; i < len(h.fields); i++ {
		if !h.named(i, name) {
			kept = append(kept, h.fields[i])
		}
	}
	h.fields = kept
}

func (h *Head) store(name, value string) field {
	// A name may alias side itself (Set of a name read from this head);
	// append copies it before the old array is let go.
	f := field{id: Classify(name), edited: true, nameLen: uint16(len(name)), valueLen: uint32(len(value))}
	f.nameOff = uint32(len(h.side))
	h.side = append(h.side, name...)
	f.valueOff = uint32(len(h.side))
	h.side = append(h.side, value...)
	return f
}

func (h *Head) find(lower string, from int) int {
	for i := from; i < len(h.fields); i++ {
		if int(h.fields[i].nameLen) != len(lower) {
			continue
		}
		if _, n, _ := h.At(i); EqualFold(n, lower) {
			return i
		}
	}
	return -1
}

func (h *Head) findFold(name string, from int) int {
	for i := from; i < len(h.fields); i++ {
		if h.named(i, name) {
			return i
		}
	}
	return -1
}

func (h *Head) named(i int, name string) bool {
	if int(h.fields[i].nameLen) != len(name) {
		return false
	}
	_, n, _ := h.At(i)
	for j := range n {
		a, b := n[j], name[j]
		if a == b {
			continue
		}
		if 'A' <= a && a <= 'Z' {
			a |= 0x20
		}
		if 'A' <= b && b <= 'Z' {
			b |= 0x20
		}
		if a != b {
			return false
		}
	}
	return true
}

// ValidName reports whether name is a token (RFC 9110 section 5.6.2) of a
// length that a Head can hold.
func ValidName[T ~string | ~[]byte](name T) bool {
	if len(name) == 0 || len(name) > maxNameLen {
		return false
	}
	for i := range len(name) {
		if !isToken(name[i]) {
			return false
		}
	}
	return true
}

// ValidValue reports whether value may be sent as a field value: visible bytes,
// obs-text, space and tab (RFC 9110 section 5.5), so never CR, LF or NUL.
func ValidValue[T ~string | ~[]byte](value T) bool {
	for i := range len(value) {
		if c := value[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isToken(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}

// String views b as a string without copying. The result is valid only as long
// as b is unchanged: for bytes of an exchange, until the exchange ends. Clone
// what outlives it.
func String(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Bytes views s as bytes without copying. The result must not be written to.
func Bytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
