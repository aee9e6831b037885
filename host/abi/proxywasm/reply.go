package proxywasm

import (
	"errors"
	"strconv"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// errClosed is a stream that the guest closed.
var errClosed = errors.New("the plugin closed the stream")

func sendLocalResponse(g *Guest, a []uint64) status {
	body, in := g.read(a[3], a[4])
	fields, in2 := g.read(a[5], a[6])
	if _, in3 := g.read(a[1], a[2]); !in || !in2 || !in3 {
		return invalidMemoryAccess
	}
	code := uint32(a[0])
	s := g.stream
	if s == nil || code < 200 || code > 599 || len(body) > g.env.MaxBody {
		return badArgument
	}
	reply := &exchange.Answer{Status: int(code), Body: append([]byte(nil), body...)}
	edits := 0
	if !pairsOf(fields, func(name, value []byte) bool {
		lower := g.lower(name)
		edits += len(name) + len(value) + editCost
		if !exchange.ValidName(lower) || !exchange.ValidValue(value) || edits > maxEdits {
			return len(name) > 0 && name[0] == ':' // has its own place
		}
		if id := exchange.Classify(lower); !id.HopByHop() && id != exchange.NameContentLength {
			reply.Head.Add(string(lower), string(value))
		}
		return true
	}) {
		return badArgument
	}
	if s.over || s.reply != nil || g.stage == stageNone || g.stage == stageLog {
		return ok // too late for an answer, as in Envoy
	}
	if _, has := reply.Head.Known(exchange.NameContentType); !has && len(body) > 0 {
		reply.Head.Add("content-type", "text/plain")
	}
	if grpc, is := s.x.Request.Head.Known(exchange.NameContentType); is && strings.HasPrefix(string(grpc), "application/grpc") {
		asGRPC(reply, int32(a[7]))
	}
	s.reply = reply
	s.wake()
	return ok
}

// asGRPC makes an answer one that gRPC clients understand: a status in trailers
// without a body (gRPC over HTTP/2, "Trailers-Only").
func asGRPC(r *exchange.Answer, code int32) {
	if code < 0 {
		code = grpcStatus(r.Status)
	}
	r.Head.Set("content-type", "application/grpc")
	r.Head.Set("grpc-status", strconv.Itoa(int(code)))
	if len(r.Body) > 0 {
		r.Head.Set("grpc-message", percent(r.Body))
	}
	r.Status, r.Body = 200, nil
}

// grpcStatus is the status of gRPC for one of HTTP, by gRPC's
// http-grpc-status-mapping.
func grpcStatus(code int) int32 {
	switch code {
	case 400:
		return 13
	case 401:
		return 16
	case 403:
		return 7
	case 404:
		return 12
	case 429, 502, 503, 504:
		return 14
	case 200:
		return 0
	}
	return 2
}

// percent encodes a message for grpc-message.
func percent(p []byte) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range p {
		if c < ' ' || c > '~' || c == '%' {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
