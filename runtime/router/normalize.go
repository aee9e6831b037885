package router

import (
	"errors"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// The errors of paths and hosts that can't be normalised.
var (
	errPath   = errors.New("the path does not start with /")
	errByte   = errors.New("the path has a byte that must be escaped")
	errEscape = errors.New("the path has an escape that is not valid")
	errHost   = errors.New("the host is not valid")
)

// NormalizePath brings a path into the one form that is matched, shown to
// filters and forwarded (RFC 3986 section 6.2.2): unreserved characters are
// decoded, other escapes upper-case, dot segments removed, empty segments
// merged. %2F and %5C stay as they are. A path in that form is returned as it
// is; otherwise the result is appended to dst.
func NormalizePath(dst []byte, path string) (string, error) {
	if path == "" || path[0] != '/' {
		return "", errPath
	}
	clean := true
	for i := range len(path) {
		switch c := path[i]; {
		case c <= 0x20 || c >= 0x7f || c == '\\' || c == '#' || c == '?':
			return "", errByte
		case c == '%':
			clean = false
		case c == '/' && i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.'):
			clean = false
		}
	}
	if clean {
		return path, nil
	}
	out := dst[len(dst):]
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c != '%' {
			out = append(out, c)
			continue
		}
		if i+2 >= len(path) {
			return "", errEscape
		}
		hi, ok1 := unhex(path[i+1])
		lo, ok2 := unhex(path[i+2])
		v := hi<<4 | lo
		if !ok1 || !ok2 || v == 0 {
			return "", errEscape
		}
		i += 2
		if unreserved(v) {
			out = append(out, v)
		} else {
			out = append(out, '%', upperHex[v>>4], upperHex[v&15])
		}
	}
	return exchange.String(removeDots(out)), nil
}

const upperHex = "0123456789ABCDEF"

// removeDots removes dot segments and empty ones, in place.
func removeDots(p []byte) []byte {
	w := 0
	for r := 0; r < len(p); {
		// p[r] is a slash: take the segment behind it.
		end := r + 1
		for end < len(p) && p[end] != '/' {
			end++
		}
		last := end == len(p)
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
			if last { // what is left ends in a slash
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

// unreserved is RFC 3986 section 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// decode removes the escapes of a path segment.
func decode(s string, arena *exchange.Arena) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := arena.Alloc(len(s))
	n := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				c, i = hi<<4|lo, i+2
			}
		}
		b[n] = c
		n++
	}
	return exchange.String(b[:n])
}

// NormalizeHost returns the host of an authority in lower case, without port
// and trailing dot. What must be rewritten is put into the arena.
func NormalizeHost(authority string, arena *exchange.Arena) (string, error) {
	h := authority
	if strings.HasPrefix(h, "[") {
		end := strings.IndexByte(h, ']')
		if end < 0 || !port(h[end+1:]) {
			return "", errHost
		}
		for i := 1; i < end; i++ {
			if _, ok := unhex(h[i]); !ok && h[i] != ':' && h[i] != '.' {
				return "", errHost
			}
		}
		return lower(h[:end+1], arena), nil
	}
	if i := strings.IndexByte(h, ':'); i >= 0 {
		if !port(h[i:]) {
			return "", errHost
		}
		h = h[:i]
	}
	h = strings.TrimSuffix(h, ".")
	for i := range len(h) {
		if c := h[i]; !unreserved(c) || c == '~' || c == '.' && (i == 0 || h[i-1] == '.') {
			return "", errHost
		}
	}
	return lower(h, arena), nil
}

// port accepts "" and ":" with digits.
func port(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ':' || len(s) > 6 {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func lower(s string, arena *exchange.Arena) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := arena.Alloc(len(s))
			copy(b, s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] |= 0x20
				}
			}
			return exchange.String(b)
		}
	}
	return s
}
