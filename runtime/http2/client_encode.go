package http2

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/headgate/headgate/runtime/exchange"
)

var errUnsafe = errors.New("the request can't be sent as it is")

// sendable reports whether every part of r may be sent: filters and routes may
// have changed any.
func sendable(r *exchange.Request) error {
	if !exchange.ValidName(r.Method) || r.Method == "CONNECT" || r.Path == "" || !graphic(r.Path) || !graphic(r.RawQuery) || !graphic(r.Authority) {
		return errUnsafe
	}
	for i := range r.Head.Len() {
		if _, name, value := r.Head.At(i); r.Head.Edited(i) && (!exchange.ValidName(name) || !exchange.ValidValue(value)) {
			return errUnsafe
		}
	}
	return nil
}

func graphic(s string) bool {
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// encodeRequest writes the fields of r (RFC 9113 section 8.3.1). The encoder keeps
// strings for the requests to come, and those of r may lie in memory that is used
// again: each is copied.
func encodeRequest(enc *hpack.Encoder, scheme string, r *exchange.Request) {
	path := strings.Clone(r.Path)
	if r.RawQuery != "" {
		path += "?" + r.RawQuery
	}
	write(enc, ":method", strings.Clone(r.Method), false)
	write(enc, ":scheme", scheme, false)
	write(enc, ":authority", strings.Clone(r.Authority), false)
	write(enc, ":path", path, false)
	for i := range r.Head.Len() {
		id, name, value := r.Head.At(i)
		switch {
		case id == exchange.NameTE: // RFC 9113 section 8.2.2
			if strings.Contains(strings.ToLower(string(value)), "trailers") {
				write(enc, "te", "trailers", false)
			}
		case id.HopByHop(), id == exchange.NameHost, id == exchange.NameExpect, id == exchange.NameContentLength:
		default:
			write(enc, strings.ToLower(string(name)), string(value), id == exchange.NameAuthorization || id == exchange.NameCookie)
		}
	}
	if r.Length > 0 || r.Length == 0 && (r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH") {
		write(enc, "content-length", strconv.FormatInt(r.Length, 10), false)
	}
}

// encodeTrailer writes trailers, and reports whether there are any.
func encodeTrailer(enc *hpack.Encoder, trailer *exchange.Head) (any bool) {
	if trailer == nil {
		return false
	}
	for i := range trailer.Len() {
		id, name, value := trailer.At(i)
		if exchange.ForbiddenTrailer(id, name) || !exchange.ValidName(name) || !exchange.ValidValue(value) {
			continue
		}
		write(enc, strings.ToLower(string(name)), string(value), false)
		any = true
	}
	return any
}

// write encodes a field. What is secret stays out of the table that a peer could
// probe (RFC 7541 section 7.1).
func write(enc *hpack.Encoder, name, value string, secret bool) {
	_ = enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: secret}) // into memory
}
