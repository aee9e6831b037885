package http1

import (
	"bytes"

	"github.com/headgate/headgate/runtime/exchange"
)

// Error is a message that breaks the protocol. Status is the answer that a
// server gives; Reason is fit for the client to see.
type Error struct {
	Status int
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// HTTPStatus returns Status.
func (e *Error) HTTPStatus() int { return e.Status }

func bad(reason string) error { return &Error{400, reason} }

// Limits bound what a peer may send. Zero fields take the defaults.
type Limits struct {
	// MaxHeaderBytes bounds a message head with its start line; 64 KiB.
	MaxHeaderBytes int
	// MaxHeaders bounds the number of fields; 128.
	MaxHeaders int
	// MaxTarget bounds a request target in bytes; 8 KiB.
	MaxTarget int
}

func (l Limits) withDefaults() Limits {
	if l.MaxHeaderBytes <= 0 {
		l.MaxHeaderBytes = 64 << 10
	}
	if l.MaxHeaders <= 0 {
		l.MaxHeaders = 128
	}
	if l.MaxTarget <= 0 {
		l.MaxTarget = 8 << 10
	}
	return l
}

// meta is what a head says about its connection and framing.
type meta struct {
	close, keepAlive, upgrade bool // tokens of Connection
	expect                    bool // Expect: 100-continue
	chunked                   bool
	hasLength                 bool
	length                    int64
	hosts                     int
	upgradeTo                 string
	named                     bool // Connection names other fields
}

// The classes of bytes.
const (
	tokenByte  = 1 << iota // tchar (RFC 9110 section 5.6.2)
	valueByte              // may stand in a field value
	targetByte             // may stand in a request target
)

var class = func() (t [256]uint8) {
	for c := range 256 {
		if exchange.ValidName([]byte{byte(c)}) {
			t[c] |= tokenByte
		}
		if exchange.ValidValue([]byte{byte(c)}) {
			t[c] |= valueByte
		}
		if 0x21 <= c && c <= 0x7e && c != '#' {
			t[c] |= targetByte
		}
	}
	return t
}()

var (
	headEnd = []byte("\r\n\r\n")
)

// findEnd returns the length of the head at the start of buf including the
// empty line, or 0 if more bytes are needed.
func findEnd(buf []byte, lim Limits) (int, error) {
	if i := bytes.Index(buf, headEnd); i >= 0 && i+4 <= lim.MaxHeaderBytes {
		return i + 4, nil
	}
	if len(buf) >= lim.MaxHeaderBytes {
		if bytes.IndexByte(buf[:min(len(buf), lim.MaxTarget+64)], '\n') < 0 {
			return 0, &Error{414, "the request target is too long"}
		}
		return 0, &Error{431, "the message head is too large"}
	}
	// A line that ends in a bare LF would never complete: say so now.
	for rest := buf; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return 0, nil
		}
		if i == 0 || rest[i-1] != '\r' {
			return 0, bad("a line ends without CR")
		}
		rest = rest[i+1:]
	}
}

// ParseRequest parses the request head at the start of buf. It returns the
// length of the head, or 0 without an error if buf does not hold all of it. The
// fields of r and the spans of its head lie over buf. Errors are *Error.
func ParseRequest(buf []byte, r *exchange.Request, lim Limits) (n int, err error) {
	n, _, err = parseRequest(buf, r, lim.withDefaults())
	return n, err
}

func parseRequest(buf []byte, r *exchange.Request, lim Limits) (int, meta, error) {
	var m meta
	start := 0
	// RFC 9112 section 2.2: an empty line before a request line is ignored.
	for start < 4 && len(buf) >= start+2 && buf[start] == '\r' && buf[start+1] == '\n' {
		start += 2
	}
	n, err := findEnd(buf[start:], lim)
	if n == 0 || err != nil {
		return 0, m, err
	}
	head := buf[:start+n]
	at := start + bytes.IndexByte(head[start:], '\n') + 1
	r.Head.Reset(head)
	if err := parseRequestLine(head[start:at-1], r, lim); err != nil {
		return 0, m, err
	}
	if err := parseFields(&r.Head, head, at, lim, &m); err != nil {
		return 0, m, err
	}
	if err := frameRequest(r, &m); err != nil {
		return 0, m, err
	}
	return len(head), m, nil
}

// parseRequestLine parses line, which ends in CR.
func parseRequestLine(line []byte, r *exchange.Request, lim Limits) error {
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return bad("the request line ends without CR")
	}
	line = line[:len(line)-1]
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || !all(line[:sp], tokenByte) {
		return bad("the request line has no valid method")
	}
	method, rest := line[:sp], line[sp+1:]
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
	r.Method, r.Target, r.Scheme, r.Authority = exchange.String(method), exchange.String(target), "http", ""
	return parseTarget(r)
}

// parseTarget splits the four forms of RFC 9112 section 3.2.
func parseTarget(r *exchange.Request) error {
	t := r.Target
	switch {
	case t[0] == '/':
	case r.Method == "CONNECT":
		return &Error{501, "CONNECT is not supported"}
	case t == "*":
		if r.Method != "OPTIONS" {
			return bad("the target * is for OPTIONS only")
		}
		r.Path, r.RawQuery = t, ""
		return nil
	default:
		scheme := 0
		switch {
		case len(t) > 7 && exchange.EqualFold(t[:7], "http://"):
			scheme = 7
		case len(t) > 8 && exchange.EqualFold(t[:8], "https://"):
			scheme = 8
		default:
			return bad("the request target has no valid form")
		}
		t = t[scheme:]
		end := 0
		for end < len(t) && t[end] != '/' && t[end] != '?' {
			end++
		}
		r.Authority, t = t[:end], t[end:]
		if !validHost(r.Authority) || r.Authority == "" {
			return bad("the request target has no valid host")
		}
	}
	r.Path, r.RawQuery = t, ""
	for i := range len(t) {
		if t[i] == '?' {
			r.Path, r.RawQuery = t[:i], t[i+1:]
			break
		}
	}
	if r.Path == "" {
		r.Path = "/"
	}
	return nil
}

// validHost accepts the bytes that a host and port consist of. A user before
// an @ is refused: nobody sends one in good faith.
func validHost(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', digit(c):
		case c == '.', c == '-', c == '_', c == ':', c == '[', c == ']', c == '~', c == '%', c == '!', c == '$',
			c == '&', c == '\'', c == '(', c == ')', c == '*', c == '+', c == ',', c == ';', c == '=':
		default:
			return false
		}
	}
	return true
}

// parseFields parses the field lines of head from at to its empty line.
func parseFields(h *exchange.Head, head []byte, at int, lim Limits, m *meta) error {
	for count := 0; ; count++ {
		eol := bytes.IndexByte(head[at:], '\n')
		if eol < 1 || head[at+eol-1] != '\r' {
			return bad("a header line ends without CR")
		}
		line := head[at : at+eol-1]
		if len(line) == 0 {
			break
		}
		if count >= lim.MaxHeaders {
			return &Error{431, "the message has too many header fields"}
		}
		colon := 0
		for colon < len(line) && class[line[colon]]&tokenByte != 0 {
			colon++
		}
		if colon == 0 || colon == len(line) || line[colon] != ':' {
			return bad("a header line has no valid field name")
		}
		v, end := colon+1, len(line)
		for v < end && (line[v] == ' ' || line[v] == '\t') {
			v++
		}
		for end > v && (line[end-1] == ' ' || line[end-1] == '\t') {
			end--
		}
		value := line[v:end]
		if !all(value, valueByte) {
			return bad("a header value has an invalid byte")
		}
		id := exchange.Classify(line[:colon])
		h.AddSpan(id, at, colon, at+v, end-v)
		if err := m.note(id, value); err != nil {
			return err
		}
		at += eol + 1
	}
	if m.named {
		dropNamed(h)
	}
	return nil
}

// note keeps what a field says about framing and the connection.
func (m *meta) note(id exchange.Name, value []byte) error {
	switch id {
	case exchange.NameHost:
		m.hosts++
	case exchange.NameContentLength:
		if m.hasLength {
			return bad("Content-Length is repeated")
		}
		if len(value) == 0 || len(value) > 18 {
			return bad("Content-Length is not a number")
		}
		for _, c := range value {
			if !digit(c) {
				return bad("Content-Length is not a number")
			}
			m.length = m.length*10 + int64(c-'0')
		}
		m.hasLength = true
	case exchange.NameTransferEncoding:
		if m.chunked {
			return bad("Transfer-Encoding is repeated")
		}
		if !exchange.EqualFold(value, "chunked") {
			return &Error{501, "this transfer coding is not supported"}
		}
		m.chunked = true
	case exchange.NameUpgrade:
		m.upgradeTo = exchange.String(value)
	case exchange.NameExpect:
		if !exchange.EqualFold(value, "100-continue") {
			return &Error{417, "this expectation is not supported"}
		}
		m.expect = true
	case exchange.NameConnection:
		eachToken(value, func(t []byte) {
			switch {
			case exchange.EqualFold(t, "close"):
				m.close = true
			case exchange.EqualFold(t, "keep-alive"):
				m.keepAlive = true
			case exchange.EqualFold(t, "upgrade"):
				m.upgrade = true
			default:
				m.named = true
			}
		})
	}
	return nil
}

// frameRequest applies RFC 9112 sections 3.2 and 6.
func frameRequest(r *exchange.Request, m *meta) error {
	if m.hosts > 1 || m.hosts == 0 && r.Proto == exchange.HTTP11 {
		return bad("the request has not exactly one Host")
	}
	if m.hosts == 1 {
		host, _ := r.Head.Known(exchange.NameHost)
		if !validHost(exchange.String(host)) {
			return bad("the Host is not valid")
		}
		if r.Authority == "" {
			r.Authority = exchange.String(host)
		}
	}
	if err := m.conflict(r.Proto == exchange.HTTP10); err != nil {
		return err
	}
	switch {
	case m.chunked:
		r.Length = exchange.Unknown
	default:
		r.Length = m.length
	}
	if m.upgrade && r.Proto == exchange.HTTP11 {
		r.Upgrade = m.upgradeTo
	}
	return nil
}

func (m *meta) conflict(http10 bool) error {
	if m.chunked && m.hasLength {
		return bad("Content-Length and Transfer-Encoding are both there")
	}
	if m.chunked && http10 {
		return bad("Transfer-Encoding is not part of HTTP/1.0")
	}
	return nil
}

// dropNamed removes the fields that Connection names (RFC 9110 section 7.6.1).
// Those that say where a message goes, how it is framed or who sends it are
// kept: a client must not be able to take them from behind the gateway's back.
func dropNamed(h *exchange.Head) {
	var lines [4][]byte
	for _, v := range h.Values(lines[:0], "connection") {
		eachToken(v, func(t []byte) {
			switch exchange.Classify(t) {
			case exchange.NameHost, exchange.NameContentLength, exchange.NameTransferEncoding, exchange.NameConnection,
				exchange.NameAuthorization, exchange.NameCookie, exchange.NameContentType:
				return
			}
			h.Del(exchange.String(t))
		})
	}
}

func eachToken(list []byte, f func([]byte)) {
	for len(list) > 0 {
		item := list
		if i := bytes.IndexByte(list, ','); i >= 0 {
			item, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		if item = bytes.TrimSpace(item); len(item) > 0 {
			f(item)
		}
	}
}

// ParseResponse does for a response, to a request of the given method, what
// ParseRequest does for a request. Length is Unknown for chunked and for
// close-delimited bodies.
func ParseResponse(buf []byte, method string, r *exchange.Response, lim Limits) (n int, err error) {
	n, _, err = parseResponse(buf, method, r, lim.withDefaults())
	return n, err
}

func parseResponse(buf []byte, method string, r *exchange.Response, lim Limits) (int, meta, error) {
	var m meta
	n, err := findEnd(buf, lim)
	if n == 0 || err != nil {
		return 0, m, err
	}
	head := buf[:n]
	eol := bytes.IndexByte(head, '\n')
	line := head[:max(eol-1, 0)]
	// RFC 9112 section 4; some servers leave the space before an empty reason out.
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' || len(line) > 12 && line[12] != ' ' || head[eol-1] != '\r' ||
		!digit(line[9]) || !digit(line[10]) || !digit(line[11]) || !all(line, valueByte) {
		return 0, m, bad("the status line is not valid")
	}
	http10 := line[7] == '0'
	if !http10 && line[7] != '1' {
		return 0, m, bad("the version of the response is not supported")
	}
	r.Status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	if r.Status < 100 || r.Status > 599 {
		return 0, m, bad("the status is out of range")
	}
	r.Head.Reset(head)
	if err := parseFields(&r.Head, head, eol+1, lim, &m); err != nil {
		return 0, m, err
	}
	if err := m.conflict(http10); err != nil {
		return 0, m, err
	}
	r.Upgrade = ""
	if r.Status == 101 {
		r.Upgrade = m.upgradeTo
	}
	if http10 && !m.keepAlive {
		m.close = true
	}
	switch {
	case m.hasLength:
		r.Length = m.length
	case noContent(method, r.Status) && method != "HEAD" && r.Status != 304:
		r.Length = 0
	default:
		r.Length = exchange.Unknown
	}
	return n, m, nil
}

// noContent reports whether a response has no body whatever its fields say (RFC
// 9112 section 6.3).
func noContent(method string, status int) bool {
	return method == "HEAD" || status < 200 || status == 204 || status == 304
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func all(p []byte, kind uint8) bool {
	for _, c := range p {
		if class[c]&kind == 0 {
			return false
		}
	}
	return true
}
