package proxy

import (
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

const grpcType = "application/grpc"

// isGRPC reports whether the request is a call of gRPC, which gets its errors in
// gRPC's own way.
func isGRPC(x *exchange.Exchange) bool {
	v, ok := x.Request.Head.Known(exchange.NameContentType)
	if !ok {
		return false
	}
	_, ok = subtype(v, grpcType)
	return ok
}

// subtype returns what follows base in a content type: nothing, "+proto" or
// "; charset=utf-8". ok is false if the type is not base.
func subtype(contentType []byte, base string) (rest string, ok bool) {
	n := len(base)
	if len(contentType) < n || !exchange.EqualFold(contentType[:n], base) {
		return "", false
	}
	rest = exchange.String(contentType[n:])
	return rest, rest == "" || strings.IndexByte("+; \t", rest[0]) >= 0
}

// The statuses of gRPC that the gateway gives.
const (
	grpcUnknown          = 2
	grpcDeadlineExceeded = 4
	grpcPermissionDenied = 7
	grpcUnimplemented    = 12
	grpcInternal         = 13
	grpcUnavailable      = 14
	grpcUnauthenticated  = 16
)

// grpcStatus maps an HTTP status to a gRPC one, as the gRPC documentation's
// "HTTP to gRPC Status Code Mapping" does. Only a timeout is told apart: the
// gateway knows what a client could but guess.
func grpcStatus(status int) int {
	switch status {
	case 400, 413, 431:
		return grpcInternal
	case 401:
		return grpcUnauthenticated
	case 403:
		return grpcPermissionDenied
	case 404, 405:
		return grpcUnimplemented
	case 429, 502, 503:
		return grpcUnavailable
	case 504:
		return grpcDeadlineExceeded
	}
	return grpcUnknown
}

// grpcAnswer makes x.Response the answer to a call that fails: a response that
// is trailers only, with HTTP status 200.
func grpcAnswer(x *exchange.Exchange, status int, detail string) {
	x.Reply(200, grpcType, nil)
	grpcTrailersOnly(&x.Response, status, detail)
}

func grpcTrailersOnly(r *exchange.Response, status int, detail string) {
	r.Status = 200
	r.Head.Set("content-type", grpcType)
	r.Head.Set("grpc-status", strconv.Itoa(grpcStatus(status)))
	r.Head.Set("grpc-message", grpcMessage(detail))
}

// grpcMessage percent-encodes what may not stand in grpc-message.
func grpcMessage(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '%' {
			const digits = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// grpcDeadline is when the client gives a call up, the zero time if it does not
// say.
func grpcDeadline(x *exchange.Exchange) time.Time {
	if !isGRPC(x) {
		return time.Time{}
	}
	v, ok := x.Request.Get("grpc-timeout")
	if !ok {
		return time.Time{}
	}
	d, ok := parseGRPCTimeout(exchange.String(v))
	if !ok {
		return time.Time{}
	}
	return x.Start.Add(d)
}

// parseGRPCTimeout reads a value of grpc-timeout: at most eight digits and a unit.
func parseGRPCTimeout(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	var unit time.Duration
	switch s[len(s)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if err != nil {
		return 0, false
	}
	const most = 1 << 40 * time.Microsecond // twelve days, which no call lasts
	if time.Duration(n) > most/unit {
		return most, true
	}
	return time.Duration(n) * unit, true
}
