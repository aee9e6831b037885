package http1

import (
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

var errUnsafe = errors.New("a message head has bytes that may not be sent")

// statusLines are "HTTP/1.1 200 OK\r\n" by status.
var statusLines = func() (t [600]string) {
	for s := 100; s < len(t); s++ {
		t[s] = "HTTP/1.1 " + strconv.Itoa(s) + " " + http.StatusText(s) + "\r\n"
	}
	return t
}()

// AppendRequest appends the head of r as it is sent to an upstream: origin
// form, Host first, framing from Length, nothing that belongs to the client's
// connection. What would let someone smuggle a line into it is an error.
func AppendRequest(dst []byte, r *exchange.Request) ([]byte, error) {
	if r.Method == "" || !all(r.Method, tokenByte) || r.Path == "" || !all(r.Path, targetByte) || !all(r.RawQuery, targetByte) ||
		!all(r.Authority, hostByte) {
		return dst, errUnsafe
	}
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Path...)
	if r.RawQuery != "" {
		dst = append(dst, '?')
		dst = append(dst, r.RawQuery...)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, r.Authority...)
	dst = append(dst, "\r\n"...)
	dst, _, err := appendFields(dst, &r.Head, true)
	if err != nil {
		return dst, err
	}
	switch {
	case r.Length == exchange.Unknown:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case r.Length > 0 || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH":
		dst = appendLength(dst, r.Length)
	}
	if r.Upgrade != "" {
		if dst, err = appendUpgrade(dst, r.Upgrade); err != nil {
			return dst, err
		}
	}
	return append(dst, "\r\n"...), nil
}

func appendUpgrade(dst []byte, protocol string) ([]byte, error) {
	if protocol == "" || !exchange.ValidValue(protocol) {
		return dst, errUnsafe
	}
	dst = append(dst, "Connection: upgrade\r\nUpgrade: "...)
	dst = append(dst, protocol...)
	return append(dst, "\r\n"...), nil
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}

// appendFields appends what may be forwarded, and tells whether Date is among
// it. Fields that came over the wire were checked by the parser; others are
// checked here, since a line break in one of them would be a message of the
// attacker's own. Expect was answered on the client's connection.
func appendFields(dst []byte, h *exchange.Head, request bool) (out []byte, dated bool, err error) {
	for i := range h.Len() {
		id, name, value := h.At(i)
		if id != exchange.NameOther {
			if id.HopByHop() || id == exchange.NameContentLength || request && (id == exchange.NameHost || id == exchange.NameExpect) {
				continue
			}
			dated = dated || id == exchange.NameDate
		}
		if h.Edited(i) && (!exchange.ValidName(name) || !exchange.ValidValue(value)) {
			return dst, dated, errUnsafe
		}
		dst = append(dst, name...)
		dst = append(dst, ": "...)
		dst = append(dst, value...)
		dst = append(dst, "\r\n"...)
	}
	return dst, dated, nil
}

// appendTrailer appends the last chunk and the trailer section.
func appendTrailer(dst []byte, t *exchange.Head) ([]byte, error) {
	dst = append(dst, "0\r\n"...)
	if t != nil {
		for i := range t.Len() {
			id, name, value := t.At(i)
			if exchange.ForbiddenTrailer(id, name) {
				continue
			}
			if !exchange.ValidName(name) || !exchange.ValidValue(value) {
				return dst, errUnsafe
			}
			dst = append(dst, name...)
			dst = append(dst, ": "...)
			dst = append(dst, value...)
			dst = append(dst, "\r\n"...)
		}
	}
	return append(dst, "\r\n"...), nil
}

// clock makes the Date field once a second.
type clock struct{ now atomic.Pointer[dateLine] }

type dateLine struct {
	second int64
	text   []byte
}

func (c *clock) date(now time.Time) []byte {
	s := now.Unix()
	if d := c.now.Load(); d != nil && d.second == s {
		return d.text
	}
	d := &dateLine{second: s, text: now.UTC().AppendFormat([]byte("Date: "), http.TimeFormat+"\r\n")}
	c.now.Store(d)
	return d.text
}
