package http1

import (
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

var errUnsafe = errors.New("a header field has a name or a value that may not be sent")

// statusLines are "HTTP/1.1 200 OK\r\n" by status.
var statusLines = func() (t [600]string) {
	for s := 100; s < len(t); s++ {
		t[s] = "HTTP/1.1 " + strconv.Itoa(s) + " " + http.StatusText(s) + "\r\n"
	}
	return t
}()

// AppendRequest appends the head of r as it is sent to an upstream: origin
// form, Host first, framing from Length, nothing that belongs to the client's
// connection.
func AppendRequest(dst []byte, r *exchange.Request) ([]byte, error) {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Path...)
	if r.RawQuery != "" {
		dst = append(append(dst, '?'), r.RawQuery...)
	}
	for _, c := range dst[len(dst)-len(r.RawQuery)-len(r.Path):] {
		if class[c]&targetByte == 0 {
			return dst, errUnsafe
		}
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, r.Authority...)
	dst = append(dst, "\r\n"...)
	dst, err := appendFields(dst, &r.Head, true)
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
		if !exchange.ValidValue(r.Upgrade) {
			return dst, errUnsafe
		}
		dst = append(dst, "Connection: upgrade\r\nUpgrade: "...)
		dst = append(dst, r.Upgrade...)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...), nil
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}

// appendFields appends what may be forwarded. Fields that came over the wire
// were checked by the parser; edited ones are checked here again, since a line
// break in one of them would be a request of the attacker's own.
func appendFields(dst []byte, h *exchange.Head, request bool) ([]byte, error) {
	for i := range h.Len() {
		id, name, value := h.At(i)
		if id != exchange.NameOther {
			if id.HopByHop() || id == exchange.NameContentLength || request && (id == exchange.NameHost || id == exchange.NameExpect) {
				continue
			}
		}
		if h.Edited(i) && (!exchange.ValidName(name) || !exchange.ValidValue(value)) {
			return dst, errUnsafe
		}
		dst = append(dst, name...)
		dst = append(dst, ": "...)
		dst = append(dst, value...)
		dst = append(dst, "\r\n"...)
	}
	return dst, nil
}

func appendTrailer(dst []byte, t *exchange.Head) ([]byte, error) {
	dst = append(dst, "0\r\n"...)
	if t != nil {
		var err error
		if dst, err = appendFields(dst, t, false); err != nil {
			return dst, err
		}
	}
	return append(dst, "\r\n"...), nil
}

func appendChunk(dst, p []byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(p)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, p...)
	return append(dst, "\r\n"...)
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
