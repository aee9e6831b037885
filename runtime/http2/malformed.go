package http2

import (
	"net/http"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// malformed tells what HTTP/1.1 would refuse and the library lets pass. A status
// other than 0 is the answer.
func malformed(r *http.Request) (status int, reason string) {
	switch {
	case r.Method == "CONNECT":
		return 501, "CONNECT is not supported"
	case !exchange.ValidName(r.Method):
		return 400, "the request has no valid method"
	case len(r.Method) > http1.MaxMethod:
		return 501, "this method is not supported"
	case !validLength(r):
		return 400, "Content-Length is not valid"
	case !expected(r):
		return 417, "this expectation is not supported"
	}
	return 0, ""
}

// validLength reports whether Content-Length is there at most once and agrees with
// a stream that ended with its fields: whoever saw it would wait for content. Other
// streams are counted as they come.
func validLength(r *http.Request) bool {
	values := r.Header["Content-Length"]
	if len(values) == 0 {
		return true
	}
	return len(values) == 1 && values[0] != "" && (r.ContentLength > 0 || strings.Trim(values[0], "0") == "")
}

// expected reports whether the client expects nothing but an invitation.
func expected(r *http.Request) bool {
	for _, v := range r.Header["Expect"] {
		if !strings.EqualFold(v, "100-continue") {
			return false
		}
	}
	return true
}
