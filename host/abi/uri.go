package abi

// MaxURI bounds a path and query that a guest makes, in bytes.
const MaxURI = 64 << 10

// SplitURI splits a path and query that a guest made. The request is routed
// already and nothing normalises it again, so a path that another reader could
// understand differently is refused: dot segments, empty segments, encoded
// slashes aside every byte as RFC 3986 section 3.3 has it, no backslash.
func SplitURI(p []byte) (path, query []byte, ok bool) {
	path = p
	for i, c := range p {
		if c == '?' {
			path, query = p[:i], p[i+1:]
			break
		}
	}
	if len(path) == 0 || path[0] != '/' {
		return nil, nil, false
	}
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '%':
			if i+2 >= len(path) {
				return nil, nil, false
			}
			hi, lo := unhex(path[i+1]), unhex(path[i+2])
			if hi > 15 || lo > 15 || !staysEncoded(hi<<4|lo) {
				return nil, nil, false
			}
			i += 2
		case !pathByte(c):
			return nil, nil, false
		case c == '/':
			if !segment(path[i+1:]) {
				return nil, nil, false
			}
		}
	}
	for _, c := range query {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return nil, nil, false
		}
	}
	return path, query, true
}

// segment reports whether the segment at the start of rest is one that stays:
// not "." or "..", and not empty unless it is the last.
func segment(rest []byte) bool {
	n := 0
	for n < len(rest) && rest[n] != '/' {
		n++
	}
	switch string(rest[:n]) {
	case "":
		return n == len(rest)
	case ".", "..":
		return false
	}
	return true
}

// staysEncoded reports whether an escape of c is in normal form: unreserved
// characters are written as they are (RFC 3986 section 6.2.2.2), and NUL is
// nothing that a path holds.
func staysEncoded(c byte) bool {
	switch {
	case c == 0:
		return false
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return false
	}
	return c != '-' && c != '.' && c != '_' && c != '~'
}

func pathByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '/', '-', '.', '_', '~', '!', '$', '&', '\'', '(', ')', '*', '+', ',', ';', '=', ':', '@':
		return true
	}
	return false
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}
