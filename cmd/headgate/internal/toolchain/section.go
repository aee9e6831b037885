package toolchain

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// SchemaSection is the custom section with the JSON Schema of a plugin's
// configuration.
const SchemaSection = "headgate.schema"

// ErrNotWasm means that a file is no WebAssembly module.
var ErrNotWasm = errors.New("not a WebAssembly module")

// Section is one section of a module.
type Section struct {
	ID   byte
	Name string // of a custom section, else what it is called
	Size int    // bytes, with its header
	body []byte // of a custom section behind the name
	raw  []byte
}

// Sections takes a binary module apart.
func Sections(wasm []byte) ([]Section, error) {
	if len(wasm) < 8 || string(wasm[:4]) != "\x00asm" {
		return nil, ErrNotWasm
	}
	if binary.LittleEndian.Uint32(wasm[4:]) != 1 {
		return nil, fmt.Errorf("%w: it is a component or of another version; a core module is needed", ErrNotWasm)
	}
	names := []string{"custom", "types", "imports", "functions", "tables", "memories", "globals", "exports", "start", "elements", "code", "data", "data count", "tags"}
	var list []Section
	for at := 8; at < len(wasm); {
		size, n := binary.Uvarint(wasm[at+1:])
		body := at + 1 + n
		if n <= 0 || size > uint64(len(wasm)-body) {
			return nil, fmt.Errorf("%w: it is cut short", ErrNotWasm)
		}
		end := body + int(size)
		s := Section{ID: wasm[at], Size: end - at, raw: wasm[at:end]}
		if int(s.ID) < len(names) {
			s.Name = names[s.ID]
		}
		if s.ID == 0 {
			length, k := binary.Uvarint(wasm[body:end])
			if k <= 0 || length > uint64(end-body-k) {
				return nil, fmt.Errorf("%w: a custom section has no name", ErrNotWasm)
			}
			s.Name, s.body = string(wasm[body+k:body+k+int(length)]), wasm[body+k+int(length):end]
		}
		list = append(list, s)
		at = end
	}
	return list, nil
}

// Custom returns the content of the last custom section of a name, or nil.
func Custom(list []Section, name string) (content []byte) {
	for _, s := range list {
		if s.ID == 0 && s.Name == name {
			content = s.body
		}
	}
	return content
}

// SetSection returns the module with one custom section of that name, at its end.
func SetSection(wasm []byte, name string, content []byte) ([]byte, error) {
	list, err := Sections(wasm)
	if err != nil {
		return nil, err
	}
	out := append([]byte(nil), wasm[:8]...)
	for _, s := range list {
		if s.ID != 0 || s.Name != name {
			out = append(out, s.raw...)
		}
	}
	body := binary.AppendUvarint(nil, uint64(len(name)))
	body = append(append(body, name...), content...)
	out = append(out, 0)
	out = binary.AppendUvarint(out, uint64(len(body)))
	return append(out, body...), nil
}
