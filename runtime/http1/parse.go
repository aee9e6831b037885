package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"

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
	named                     bool // Connection names other fields
	chunked, unknownCoding    bool
	hasLength                 bool
	expect, unknownExpect     bool
	length                    int64
	hosts, upgrades           int
	upgradeTo                 string
}

// The classes of bytes.
const (
	tokenByte  = 1 << iota // tchar (RFC 9110 section 5.6.2)
	plainByte              // tchar but the underscore
	valueByte              // may stand in a field value
	targetByte             // may stand in a request target
	hostByte               // may stand in a host with its port (RFC 3986 section 3.2)
)

// class tells the classes of each byte.
var class = func() (t [256]uint8) {
	for c := range 256 {
		if exchange.ValidName([]byte{byte(c)}) {
			t[c] |= tokenByte
			if c != '_' {
				t[c] |= plainByte
			}
		}
		if exchange.ValidValue([]byte{byte(c)}) {
			t[c] |= valueByte
		}
		if 0x21 <= c && c <= 0x7e && c != '#' {
			t[c] |= targetByte
		}
	}
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,;=:[]") {
		t[c] |= hostByte
	}
	return t
}()

func all[T ~string | ~[]byte](p T, kind uint8) bool {
	for i := range len(p) {
		if class[p[i]]&kind == 0 {
			return false
		}
	}
	return true
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// valueEnd returns the index of the first byte from i on that may not stand in
// a field value, or len(b). It looks at eight bytes at a time: of a typical head
// most bytes are values.
func valueEnd(b []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		// The lowest bit set is exact; higher ones may come from its borrow.
		hit := ((x-0x20*ones)&^x | (del-ones)&^del) & tops
		if hit == 0 {
			i += 8
			continue
		}
		if i += bits.TrailingZeros64(hit) >> 3; b[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(b) && class[b[i]]&valueByte != 0 {
		i++
	}
	return i
}

var headEnd = []byte("\r\n\r\n")

// findEnd returns the length of the head at the start of buf including the
// empty line, or 0 if more bytes are needed. The first seen bytes of buf are
// known to hold no end. A head that comes whole is parsed without it.
func findEnd(buf []byte, seen int, lim Limits) (int, error) {
	from := max(seen-len(headEnd)+1, 0)
	if i := bytes.Index(buf[from:], headEnd); i >= 0 && from+i+len(headEnd) <= lim.MaxHeaderBytes {
		return from + i + len(headEnd), nil
	}
	if len(buf) >= lim.MaxHeaderBytes {
		if bytes.IndexByte(buf[:min(len(buf), lim.MaxTarget+64)], '\n') < 0 {
			return 0, &Error{414, "the request target is too long"}
		}
		return 0, &Error{431, "the message head is too large"}
	}
	// What can't become a head is refused now, not when its time is over: a line
	// that ends in a bare LF would never complete, and a TLS handshake neither.
	if len(buf) > 0 && class[buf[0]]&tokenByte == 0 && buf[0] != '\r' {
		return 0, bad("the message is not HTTP/1.1")
	}
	for at := from; ; {
		i := bytes.IndexByte(buf[at:], '\n')
		if i < 0 {
			return 0, nil
		}
		if at+i == 0 || buf[at+i-1] != '\r' {
			return 0, bad("a line ends without CR")
		}
		if at+i > 1 && buf[at+i-2] == '\r' {
			return 0, bad("a line ends in two CRs")
		}
		at += i + 1
	}
}

// maxName is the longest field name that a Head can hold.
const maxName = 1<<16 - 1

// parseFields parses the field lines of buf from at to the empty line, behind
// which end is (RFC 9112 section 5). end is 0 if that is not in buf. No folding:
// a line that starts with a space has no name.
func parseFields(h *exchange.Head, buf []byte, at int, lim Limits, m *meta) (end int, err error) {
	for count := 0; ; count++ {
		name := at
		for at < len(buf) && class[buf[at]]&plainByte != 0 {
			at++
		}
		underscore := at < len(buf) && buf[at] == '_'
		for underscore && at < len(buf) && class[buf[at]]&tokenByte != 0 {
			at++
		}
		nameLen := at - name
		switch {
		case at == len(buf):
			return 0, nil
		case buf[at] == ':' && nameLen > 0:
		case buf[at] == '\r' && nameLen == 0:
			if at+1 == len(buf) {
				return 0, nil
			}
			if buf[at+1] != '\n' {
				return 0, bad("a line ends without LF")
			}
			if m.named {
				dropNamed(h)
			}
			return at + 2, nil
		default:
			return 0, bad("a header line has no valid field name")
		}
		if count >= lim.MaxHeaders {
			return 0, &Error{431, "the message has too many header fields"}
		}
		if nameLen > maxName {
			return 0, &Error{431, "a header field name is too long"}
		}
		v := at + 1
		for v < len(buf) && (buf[v] == ' ' || buf[v] == '\t') {
			v++
		}
		eol := valueEnd(buf, v)
		if eol+1 >= len(buf) && (eol == len(buf) || buf[eol] == '\r') {
			return 0, nil
		}
		if buf[eol] != '\r' || buf[eol+1] != '\n' {
			return 0, bad("a header value has an invalid byte")
		}
		last := eol
		for last > v && (buf[last-1] == ' ' || buf[last-1] == '\t') {
			last--
		}
		id := exchange.Classify(buf[name : name+nameLen])
		at = eol + 2
		if underscore && exchange.Alias(buf[name:name+nameLen]) {
			continue
		}
		h.AddSpan(id, name, nameLen, v, last-v)
		if id != exchange.NameOther {
			if err := m.note(id, buf[v:last]); err != nil {
				return 0, err
			}
		}
	}
}

// note keeps what a field says about framing and the connection.
func (m *meta) note(id exchange.Name, value []byte) error {
	switch id {
	case exchange.NameHost:
		m.hosts++
	case exchange.NameContentLength:
		// RFC 9112 section 6.3 allows to repair a repeated equal value; nobody
		// sends one in good faith.
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
		return m.coding(value)
	case exchange.NameUpgrade:
		m.upgrades++
		m.upgradeTo = exchange.String(value)
	case exchange.NameExpect:
		m.expect = true
		if !exchange.EqualFold(value, "100-continue") {
			m.unknownExpect = true
		}
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

// coding takes a Transfer-Encoding line. Only a single, final chunked is
// understood (RFC 9112 section 6.1); other codings are told from nonsense, which
// is refused at once.
func (m *meta) coding(value []byte) error {
	for rest, more := value, true; more; {
		var item []byte
		item, rest, more = bytes.Cut(rest, []byte{','})
		item = bytes.Trim(item, " \t")
		switch {
		case m.chunked:
			return bad("chunked is not the final transfer coding")
		case exchange.EqualFold(item, "chunked"):
			m.chunked = true
		case len(item) > 0 && all(item, tokenByte):
			m.unknownCoding = true
		default:
			return bad("Transfer-Encoding is not valid")
		}
	}
	return nil
}

// framing applies RFC 9112 section 6.3 to both kinds of messages.
func (m *meta) framing(http10 bool) error {
	te := m.chunked || m.unknownCoding
	switch {
	case te && m.hasLength:
		return bad("Content-Length and Transfer-Encoding are both there")
	case te && http10:
		return bad("Transfer-Encoding is not part of HTTP/1.0")
	case te && !m.chunked:
		return bad("chunked is not the final transfer coding")
	case m.unknownCoding:
		return &Error{501, "this transfer coding is not supported"}
	}
	return nil
}

// dropNamed removes the fields that Connection names (RFC 9110 section 7.6.1).
// It runs while parsing, before anything is added to the head, so that a client
// can't take away what the gateway adds for the upstream. Names that the
// gateway knows stay: they are hop-by-hop anyway, or say where a message goes,
// how it is framed or who sends it, which no peer may hide.
func dropNamed(h *exchange.Head) {
	var lines [4][]byte
	for _, v := range h.Values(lines[:0], exchange.NameConnection.String()) {
		eachToken(v, func(t []byte) {
			if exchange.Classify(t) == exchange.NameOther {
				h.Del(exchange.String(t))
			}
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
		if item = bytes.Trim(item, " \t"); len(item) > 0 {
			f(item)
		}
	}
}
