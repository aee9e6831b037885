package http1

import (
	"bytes"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// ParseRequest parses the request head at the start of buf. It returns the
// length of the head, or 0 without an error if buf does not hold all of it. The
// fields of r and the spans of its head lie over buf; Body is left alone. Errors
// are *Error.
func ParseRequest(buf []byte, r *exchange.Request, lim Limits) (n int, err error) {
	n, _, err = parseRequest(buf, 0, r, lim.withDefaults())
	return n, err
}

// parseRequest is ParseRequest for a buf whose first seen bytes are known to
// hold no whole head.
func parseRequest(buf []byte, seen int, r *exchange.Request, lim Limits) (int, meta, error) {
	var m meta
	start := 0
	// RFC 9112 section 2.2: an empty line before a request line is ignored.
	if len(buf) >= 2 && buf[0] == '\r' && buf[1] == '\n' {
		start = 2
	}
	if seen > 0 {
		n, err := findEnd(buf[start:], max(seen-start, 0), lim)
		if n == 0 && err == nil {
			// What is no request is refused before the rest of it comes.
			if eol := bytes.IndexByte(buf[start:], '\n'); eol >= 0 && start+eol >= seen {
				err = parseRequestLine(buf[start:start+eol], r, lim)
			}
		}
		if n == 0 || err != nil {
			return 0, m, err
		}
	}
	head := buf[:min(len(buf), start+lim.MaxHeaderBytes)]
	n, err := 0, error(nil)
	if eol := bytes.IndexByte(head[start:], '\n'); eol >= 0 {
		r.Head.Reset(head)
		if err = parseRequestLine(head[start:start+eol], r, lim); err == nil {
			n, err = parseFields(&r.Head, head, start+eol+1, lim, &m)
		}
	}
	if n == 0 && err == nil {
		_, err = findEnd(buf[start:], 0, lim)
	} else if err == nil {
		err = frameRequest(r, &m)
	}
	if err != nil {
		n = 0
	}
	return n, m, err
}

// MaxMethod is the longest method that is passed on, in bytes. The registered ones
// have at most 18.
const MaxMethod = 64

// parseRequestLine parses line, which ends in CR (RFC 9112 section 3).
func parseRequestLine(line []byte, r *exchange.Request, lim Limits) error {
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return bad("the request line ends without CR")
	}
	line = line[:len(line)-1]
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || !all(line[:sp], tokenByte) {
		return bad("the request line has no valid method")
	}
	if sp > MaxMethod {
		return &Error{501, "this method is not supported"}
	}
	r.Method = method(line[:sp])
	rest := line[sp+1:]
	sp = bytes.IndexByte(rest, ' ')
	if sp <= 0 {
		return bad("the request line has no target or no version")
	}
	target, version := rest[:sp], rest[sp+1:]
	switch string(version) {
	case "HTTP/1.1":
		r.Proto = exchange.HTTP11
	case "HTTP/1.0":
		r.Proto = exchange.HTTP10
	default:
		if len(version) == 8 && string(version[:5]) == "HTTP/" && digit(version[5]) && version[6] == '.' && digit(version[7]) {
			return &Error{505, "this version of HTTP is not supported"}
		}
		return bad("the request line has no valid version")
	}
	if len(target) > lim.MaxTarget {
		return &Error{414, "the request target is too long"}
	}
	if !all(target, targetByte) {
		return bad("the request target has an invalid byte")
	}
	r.Target, r.Scheme, r.Authority = exchange.String(target), "http", ""
	return parseTarget(r)
}

// method returns constants for the common ones: they outlive the buffer.
func method(b []byte) string {
	switch string(b) {
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	case "HEAD":
		return "HEAD"
	case "PUT":
		return "PUT"
	case "DELETE":
		return "DELETE"
	case "PATCH":
		return "PATCH"
	case "OPTIONS":
		return "OPTIONS"
	}
	return exchange.String(b)
}

// parseTarget splits the four forms of RFC 9112 section 3.2.
func parseTarget(r *exchange.Request) error {
	t := r.Target
	absolute := false
	switch {
	case r.Method == "CONNECT":
		return &Error{501, "CONNECT is not supported"}
	case t[0] == '/':
	case t == "*":
		if r.Method != "OPTIONS" {
			return bad("the target * is for OPTIONS only")
		}
		r.Path, r.RawQuery = t, ""
		return nil
	default:
		absolute = true
		switch {
		case len(t) > 7 && exchange.EqualFold(t[:7], "http://"):
			t = t[7:]
		case len(t) > 8 && exchange.EqualFold(t[:8], "https://"):
			t = t[8:]
		default:
			return bad("the request target has no valid form")
		}
		end := strings.IndexAny(t, "/?")
		if end < 0 {
			end = len(t)
		}
		r.Authority, t = t[:end], t[end:]
		if !validHost(r.Authority) {
			return bad("the request target has no valid host")
		}
	}
	r.Path, r.RawQuery, _ = strings.Cut(t, "?")
	if r.Path == "" {
		r.Path = "/"
		// RFC 9112 section 3.2.4: the last proxy makes it the asterisk-form.
		if absolute && t == "" && r.Method == "OPTIONS" {
			r.Path = "*"
		}
	}
	return nil
}

// validHost reports whether s is a host with an optional port. A user before
// an @ is refused: nobody sends one in good faith.
func validHost(s string) bool {
	if s == "" || !all(s, hostByte) {
		return false
	}
	host, port := s, ""
	if s[0] == '[' {
		i := strings.IndexByte(s, ']')
		if i < 2 || i+1 < len(s) && s[i+1] != ':' {
			return false
		}
		for _, c := range []byte(s[1:i]) {
			if !digit(c) && c != ':' && c != '.' && (c|0x20 < 'a' || c|0x20 > 'f') {
				return false
			}
		}
		host = ""
		if i+1 < len(s) {
			port = s[i+2:]
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		if i == 0 {
			return false
		}
		host, port = s[:i], s[i+1:]
	}
	for i := range len(port) {
		if !digit(port[i]) {
			return false
		}
	}
	return len(port) <= 5 && strings.IndexByte(host, '[') < 0 && strings.IndexByte(host, ']') < 0
}

// frameRequest applies RFC 9112 sections 3.2 and 6.
func frameRequest(r *exchange.Request, m *meta) error {
	http10 := r.Proto == exchange.HTTP10
	if m.hosts > 1 || m.hosts == 0 && !http10 {
		return bad("the request has not exactly one Host")
	}
	if m.hosts == 1 {
		v, _ := r.Head.Known(exchange.NameHost)
		host := exchange.String(v)
		if !validHost(host) {
			return bad("the Host is not valid")
		}
		switch {
		case r.Authority == "":
			r.Authority = host
		case r.Authority != host:
			// The target wins (RFC 9112 section 3.2.2), for whoever reads the
			// field too.
			r.Head.Set(exchange.NameHost.String(), r.Authority)
		}
	}
	if err := m.framing(http10); err != nil {
		return err
	}
	if m.unknownExpect && !http10 {
		return &Error{417, "this expectation is not supported"}
	}
	r.Length = m.length
	if m.chunked {
		r.Length = exchange.Unknown
	}
	// An offer is ignored if it comes with content, which would have to be read
	// first.
	r.Upgrade = ""
	if m.upgrade && m.upgrades == 1 && !http10 && r.Length == 0 && tunnels(m.upgradeTo) {
		r.Upgrade = m.upgradeTo
	}
	return nil
}

// tunnels reports whether a client may offer to leave HTTP for protocol: one, so
// that it is known which, and none that is HTTP again, or HTTP beneath TLS, whose
// requests would bypass the routes.
func tunnels(protocol string) bool {
	name, version, _ := strings.Cut(protocol, "/")
	if !all(name, tokenByte) || !all(version, tokenByte) {
		return false
	}
	for _, s := range [...]string{"", "h2c", "h2", "http", "tls"} {
		if exchange.EqualFold(name, s) {
			return false
		}
	}
	return true
}
