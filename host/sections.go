package host

import "encoding/binary"

// maxElements bounds the elements of all tables of a module. A table that may
// grow without a bound would let a guest allocate any amount of the host's
// memory.
const maxElements = 1 << 20

// schemaSection is the custom section with the schema of a plugin's settings.
const schemaSection = "headgate.schema"

// customSection returns what the last custom section of a name holds, of a
// module whose sections are known to be whole; nil if there is none.
func customSection(wasm []byte, name string) (content []byte) {
	for at := 8; at < len(wasm); {
		id := wasm[at]
		size, n := binary.Uvarint(wasm[at+1:])
		body := at + 1 + max(0, n)
		if n <= 0 || size > uint64(len(wasm)-body) {
			return content
		}
		at = body + int(size)
		if id != 0 {
			continue
		}
		section := wasm[body:at]
		length, from := binary.Uvarint(section)
		if from > 0 && length <= uint64(len(section)-from) && string(section[from:from+int(length)]) == name {
			content = section[from+int(length):]
		}
	}
	return content
}
