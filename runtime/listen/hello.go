package listen

import (
	"encoding/binary"
	"errors"
)

// What a TLS client says first names the server that it wants, in the clear
// (RFC 6066 section 3). That is enough to choose an upstream without taking part
// in the connection.

var (
	errBadHello = errors.New("malformed TLS ClientHello")
	errNotTLS   = errors.New("no TLS ClientHello")
)

const (
	// maxHello bounds a ClientHello with its record headers. The largest in use,
	// with keys that resist quantum computers, take 2 KiB.
	maxHello = 16 << 10
	// maxRecord is the longest record in the clear (RFC 8446 section 5.1).
	maxRecord = 1 << 14

	recordHeader  = 5
	messageHeader = 4
)

// parseHello reads the ClientHello at the start of p, which may be split into
// records at any place. done is false if more of it has to come. server is the
// name in lower case, "" without one. errNotTLS means that p is something else.
func parseHello(p []byte) (server string, done bool, err error) {
	if len(p) > 0 && p[0] != 22 { // handshake
		return "", false, errNotTLS
	}
	var message []byte
	for rest := p; ; {
		if len(rest) < recordHeader {
			if len(rest) > 1 && rest[1] != 3 || len(rest) > 0 && rest[0] != 22 {
				return "", false, errBadHello
			}
			return "", false, tooLong(p)
		}
		n := int(binary.BigEndian.Uint16(rest[3:]))
		if rest[0] != 22 || rest[1] != 3 || n == 0 || n > maxRecord {
			return "", false, errBadHello
		}
		rest = rest[recordHeader:]
		part := rest[:min(n, len(rest))]
		// Most fit a single record and are not copied.
		if message == nil {
			message = part[:len(part):len(part)]
		} else {
			message = append(message, part...)
		}
		if len(message) > 0 && message[0] != 1 { // client_hello
			return "", false, errBadHello
		}
		if len(message) >= messageHeader {
			size := int(message[1])<<16 | int(message[2])<<8 | int(message[3])
			if size > maxHello {
				return "", false, errBadHello
			}
			if len(message) >= messageHeader+size {
				server, ok := helloServer(message[messageHeader : messageHeader+size])
				if !ok {
					return "", false, errBadHello
				}
				return server, true, nil
			}
		}
		if len(part) < n {
			return "", false, tooLong(p)
		}
		rest = rest[n:]
	}
}

// tooLong refuses what is not complete although it has all the room that it may
// take.
func tooLong(p []byte) error {
	if len(p) >= maxHello {
		return errBadHello
	}
	return nil
}

// fields reads TLS vectors; ok turns false for good when one does not fit.
type fields struct {
	p  []byte
	ok bool
}

func (f *fields) take(n int) []byte {
	if !f.ok || len(f.p) < n {
		f.ok = false
		return nil
	}
	b := f.p[:n]
	f.p = f.p[n:]
	return b
}

// vector reads a vector whose length takes size bytes, 1 or 2.
func (f *fields) vector(size int) []byte {
	n := 0
	for _, b := range f.take(size) {
		n = n<<8 | int(b)
	}
	return f.take(n)
}

// helloServer finds the server name in the body of a ClientHello (RFC 8446
// section 4.1.2). Extensions that it does not know, those of GREASE (RFC 8701)
// and of encrypted hellos included, are skipped: of an encrypted one the outer
// name counts.
func helloServer(body []byte) (server string, ok bool) {
	f := fields{body, true}
	f.take(2 + 32)             // version and random
	f.vector(1)                // session id
	suites := f.vector(2)      // cipher suites
	compression := f.vector(1) // compression methods
	if f.ok && len(f.p) == 0 { // TLS 1.2 without extensions
		return "", len(suites) >= 2 && len(compression) > 0
	}
	ext := fields{f.vector(2), f.ok}
	if !f.ok || len(f.p) > 0 {
		return "", false
	}
	seen := false
	for ext.ok && len(ext.p) > 0 {
		id, value := ext.take(2), ext.vector(2)
		if !ext.ok || binary.BigEndian.Uint16(id) != 0 { // server_name
			continue
		}
		if seen {
			return "", false
		}
		seen = true
		if server, ok = serverName(value); !ok {
			return "", false
		}
	}
	return server, ext.ok
}

// serverName reads the extension (RFC 6066 section 3): a list with one name.
func serverName(value []byte) (string, bool) {
	list := fields{value, true}
	names := fields{list.vector(2), list.ok}
	typ, name := names.take(1), names.vector(2)
	if !names.ok || len(list.p) > 0 || len(names.p) > 0 || typ[0] != 0 {
		return "", false
	}
	if len(name) == 0 || len(name) > 255 {
		return "", false
	}
	lower := make([]byte, len(name))
	for i, c := range name {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		default:
			return "", false
		}
		lower[i] = c
	}
	if n := len(lower); lower[n-1] == '.' { // not allowed, and seen
		lower = lower[:n-1]
	}
	return string(lower), true
}
