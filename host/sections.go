package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// maxElements bounds the elements of all tables of a module. A table that may
// grow without a bound would let a guest allocate any amount of the host's
// memory.
const maxElements = 1 << 20

const (
	sectionCustom = 0
	sectionTable  = 4
)

var errTruncated = errors.New("the module is cut short")

// sections is what the host reads from a binary module itself.
type sections struct {
	// code is the module with a maximum on every table.
	code   []byte
	schema []byte
}

// parseSections walks over the sections of a binary module. What it does not
// know it leaves to the compiler to judge.
func parseSections(wasm []byte) (sections, error) {
	if !bytes.HasPrefix(wasm, []byte("\x00asm\x01\x00\x00\x00")) {
		return sections{}, errors.New("not a WebAssembly 1.0 binary")
	}
	s := sections{code: wasm}
	for at := 8; at < len(wasm); {
		start, id := at, wasm[at]
		size, body, ok := uleb(wasm, at+1)
		if !ok || uint64(size) > uint64(len(wasm)-body) {
			return sections{}, errTruncated
		}
		end := body + int(size)
		content := wasm[body:end]
		switch id {
		case sectionCustom:
			if n, from, ok := uleb(content, 0); ok && uint64(n) <= uint64(len(content)-from) {
				if to := from + int(n); string(content[from:to]) == "headgate.schema" {
					s.schema = content[to:]
				}
			}
		case sectionTable:
			tables, err := boundTables(content)
			if err != nil {
				return sections{}, err
			}
			if tables != nil {
				code := append([]byte(nil), wasm[:start]...)
				code = append(code, sectionTable)
				code = binary.AppendUvarint(code, uint64(len(tables)))
				code = append(code, tables...)
				s.code = append(code, wasm[end:]...)
			}
		}
		at = end
	}
	return s, nil
}

// boundTables gives every table a maximum. It returns nil if it does not know
// the encoding.
func boundTables(p []byte) ([]byte, error) {
	count, at, ok := uleb(p, 0)
	if !ok || count == 0 || int(count) > len(p) {
		return nil, nil
	}
	out := binary.AppendUvarint(nil, uint64(count))
	share := uint32(maxElements) / count
	for range count {
		if at+2 > len(p) || p[at+1] > 1 {
			return nil, nil
		}
		kind, hasMax := p[at], p[at+1] == 1
		low, next, ok := uleb(p, at+2)
		high := uint32(math.MaxUint32)
		if ok && hasMax {
			high, next, ok = uleb(p, next)
		}
		if !ok {
			return nil, nil
		}
		if low > share {
			return nil, fmt.Errorf("a table of %d elements is larger than the limit of %d", low, share)
		}
		out = append(out, kind, 1)
		out = binary.AppendUvarint(out, uint64(low))
		out = binary.AppendUvarint(out, uint64(max(low, min(high, share))))
		at = next
	}
	if at != len(p) {
		return nil, nil
	}
	return out, nil
}

// uleb reads an unsigned 32-bit number in LEB128.
func uleb(p []byte, at int) (n uint32, next int, ok bool) {
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
