package router

import (
	"errors"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// The errors of paths that can't be normalised.
var (
	errPath   = errors.New("the path does not start with /")
	errByte   = errors.New("the path has a byte that must be escaped")
	errEscape = errors.New("the path has an escape that is not valid")
)

// How a byte of a path is treated.
const (
	plain   = iota // pchar of RFC 3986 section 3.3: stands for itself
	slash          // separates segments
	percent        // begins an escape
	strange        // not allowed there, harmless and sent by browsers: escaped
	refused        // cut elsewhere, or read as another byte by some servers
)

var pathBytes = func() (t [256]uint8) {
	for c := range 256 {
		switch {
		case unreserved(byte(c)) || strings.IndexByte("!$&'()*+,;=:@", byte(c)) >= 0:
			t[c] = plain
		case c == '/':
			t[c] = slash
		case c == '%':
			t[c] = percent
		case c <= 0x20 || c == 0x7f || c == '\\' || c == '?' || c == '#':
			t[c] = refused
		default:
			t[c] = strange
		}
	}
	return t
}()

// NormalizePath brings a path into the one form that is matched, shown to
// filters and forwarded (RFC 3986 section 6.2.2): unreserved characters are
// decoded, other escapes upper-case, empty segments merged, then dot segments
// removed. %2F and %5C stay as they are and separate nothing. What may not
// stand in a path but is sent as it is, such as { | } and bytes beyond ASCII,
// is escaped, so that there is one spelling of it too. Controls, spaces, raw
// backslashes, %00 and escapes that are none are errors.
//
// A path in that form is returned as it is. Otherwise the result lies in the
// spare capacity of dst, or in new memory if that does not suffice.
func NormalizePath(dst []byte, path string) (out string, err error) {
	if path == "" || path[0] != '/' {
		return "", errPath
	}
	clean, longer := true, 0
	for i := 0; i < len(path); i++ {
		switch pathBytes[path[i]] {
		case slash:
			if i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.' && dots(path[i+1:])) {
				clean = false
			}
		case percent:
			v, ok := unescape(path, i)
			if !ok || v == 0 {
				return "", errEscape
			}
			if unreserved(v) || path[i+1] >= 'a' || path[i+2] >= 'a' {
				clean = false
			}
			i += 2
		case strange:
			clean = false
			longer += 2
		case refused:
			return "", errByte
		}
	}
	if clean {
		return path, nil
	}
	b := dst[len(dst):]
	if cap(b) < len(path)+longer {
		b = make([]byte, 0, len(path)+longer)
	}
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch pathBytes[c] {
		case percent:
			v, _ := unescape(path, i)
			if i += 2; unreserved(v) {
				b = append(b, v)
			} else {
				b = escape(b, v)
			}
		case strange:
			b = escape(b, c)
		default:
			b = append(b, c)
		}
	}
	return exchange.String(removeDots(b)), nil
}

// dots reports whether the first segment of p is "." or "..".
func dots(p string) bool {
	n := strings.IndexByte(p, '/')
	if n < 0 {
		n = len(p)
	}
	return n == 1 && p[0] == '.' || n == 2 && p[0] == '.' && p[1] == '.'
}

// removeDots removes dot segments and empty ones, in place.
func removeDots(p []byte) []byte {
	w := 0
	for r := 0; r < len(p); {
		// p[r] is a slash: take the segment behind it.
		end := r + 1
		for end < len(p) && p[end] != '/' {
			end++
		}
		switch seg := string(p[r+1 : end]); seg {
		case "", ".", "..":
			if seg == ".." {
				for w > 0 {
					w--
					if p[w] == '/' {
						break
					}
				}
			}
			if end == len(p) { // what is left ends in a slash
				p[w] = '/'
				w++
			}
		default:
			w += copy(p[w:], p[r:end])
		}
		r = end
	}
	return p[:w]
}

// unescape returns the byte that the escape at s[i] stands for.
func unescape(s string, i int) (byte, bool) {
	if i+2 >= len(s) {
		return 0, false
	}
	hi, ok1 := unhex(s[i+1])
	lo, ok2 := unhex(s[i+2])
	return hi<<4 | lo, ok1 && ok2
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func escape(b []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(b, '%', hex[c>>4], hex[c&15])
}

// unreserved is RFC 3986 section 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// decode removes the escapes of a part of a normalised path.
func decode(s string, arena *exchange.Arena) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := arena.Alloc(len(s))
	n := 0
	for i := 0; i < len(s); i++ {
		b[n] = s[i]
		if s[i] == '%' {
			if v, ok := unescape(s, i); ok {
				b[n] = v
				i += 2
			}
		}
		n++
	}
	return exchange.String(b[:n])
}
