package proxy

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/upstream"
)

// failure is an answer that the gateway makes because it can't or won't pass
// the exchange on. detail is shown to the client; the cause never is.
type failure struct {
	status int
	detail string
	allow  []string      // for 405
	after  time.Duration // for 503; 0: retryAfter
	cause  error
}

func (f *failure) Error() string {
	if f.cause != nil {
		return f.detail + ": " + f.cause.Error()
	}
	return f.detail
}

func (f *failure) Unwrap() error { return f.cause }

// errGone says that the client left; nobody is there to be answered.
var errGone = errors.New("the client closed the connection")

// The failures of the engine. Each row of "What clients get" in the
// configuration reference is one of them.
func badRequest(cause error) error {
	return &failure{status: 400, detail: "the request is malformed", cause: cause}
}

func noRoute(allow []string) error {
	if allow != nil {
		return &failure{status: 405, detail: "no route takes this method here", allow: allow}
	}
	return &failure{status: 404, detail: "no route matches this request"}
}

func misdirected() error {
	return &failure{status: 421, detail: "this connection is for another host; connect anew for this one"}
}

func tooLarge() error {
	return &failure{status: 413, detail: "the request body is larger than this route takes"}
}

func responseTooLarge() error {
	return &failure{status: 502, detail: "the response is larger than the filters of this route can take"}
}

func overloaded(cause error) error {
	return &failure{status: 503, detail: "the gateway is at its limit", cause: cause}
}

func filterFailed(name string, cause error) error {
	return &failure{status: 500, detail: "a filter of this route failed", cause: errors.Join(errors.New("filter "+name), cause)}
}

// exprFailed is the answer to an expression without a value. If that is for want of
// the body, then what the body deserves.
func (f *flow) exprFailed(cause error) error {
	var b *exchange.BodyError
	if errors.As(cause, &b) {
		return f.bodyError(b.Err)
	}
	return &failure{status: 500, detail: "an expression of this route failed", cause: cause}
}

func upstreamFailed(cause error) error {
	var a *exchange.Answer
	switch {
	case errors.As(cause, &a):
		return a
	case errors.Is(cause, exchange.ErrFilter):
		return filterFailed("of the response body", cause)
	case errors.Is(cause, exchange.ErrTooLarge):
		return responseTooLarge()
	case errors.Is(cause, upstream.ErrNoEndpoint):
		return &failure{status: 503, detail: "no endpoint is available", cause: cause}
	case isRefusal(cause):
		return refused(cause)
	case isTimeout(cause):
		return &failure{status: 504, detail: "the upstream did not answer in time", cause: cause}
	}
	return &failure{status: 502, detail: "the upstream could not be reached or did not answer properly", cause: cause}
}

// refused is the answer to a request that an upstream is not asked.
func refused(cause error) error {
	f := &failure{status: 503, detail: "the upstream takes no more requests for now", cause: cause}
	var r *upstream.Refusal
	if errors.As(cause, &r) {
		f.after = r.After
	}
	return f
}

// isRefusal reports whether err says that an upstream was not asked.
func isRefusal(err error) bool {
	var r *upstream.Refusal
	return errors.As(err, &r)
}

// retryAfter is sent with 503, in whole seconds and at least one.
func (f *failure) retryAfter() string {
	return strconv.FormatInt(int64(max(1, (f.after+time.Second-1)/time.Second)), 10)
}

// answer turns err into x.Response: an RFC 9457 problem, plain text if the
// client takes no JSON, or a gRPC status for a gRPC call.
func answer(x *exchange.Exchange, err error) {
	var a *exchange.Answer
	if errors.As(err, &a) {
		a.Give(x)
		return
	}
	x.Failure = err
	f := &failure{status: 500, detail: "the gateway failed"}
	errors.As(err, &f)
	problem(x, f.status, f.detail)
	h := &x.Response.Head
	switch f.status {
	case 405:
		h.Add("Allow", strings.Join(f.allow, ", "))
	case 408: // the rest of the request is not waited for
		x.Response.Close = true
	case 503:
		h.Add("Retry-After", f.retryAfter())
	}
}

// problem makes x.Response an answer of the gateway.
func problem(x *exchange.Exchange, status int, detail string) {
	if isGRPC(x) {
		grpcAnswer(x, status, detail)
		return
	}
	contentType, body := problemBody(x, status, detail)
	x.Reply(status, contentType, body)
}

func problemBody(x *exchange.Exchange, status int, detail string) (contentType string, body []byte) {
	title := http.StatusText(status)
	if title == "" {
		title = "Error"
	}
	if !acceptsJSON(&x.Request.Head) {
		b := append([]byte(title), ": "...)
		b = append(b, detail...)
		if x.ID != "" {
			b = append(append(b, "\nrequest id: "...), x.ID...)
		}
		return "text/plain; charset=utf-8", append(b, '\n')
	}
	b := append([]byte(nil), `{"type":"about:blank","title":`...)
	b = strconv.AppendQuoteToASCII(b, title)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"detail":`...)
	b = strconv.AppendQuoteToASCII(b, detail)
	if x.ID != "" && !strings.ContainsAny(x.ID, "\"\\") && exchange.ValidValue(x.ID) {
		b = append(append(append(b, `,"request_id":"`...), x.ID...), '"')
	}
	return "application/problem+json", append(b, "}\n"...)
}

// completeDenial gives a refusal that a filter left without a body one of ours:
// a policy that only says 403 still answers with a problem.
func completeDenial(x *exchange.Exchange) {
	r := &x.Response
	if r.Body != nil || r.Status < 400 {
		return
	}
	if _, ok := r.Head.Known(exchange.NameContentType); ok {
		return
	}
	const detail = "the request was refused"
	if isGRPC(x) {
		grpcTrailersOnly(r, r.Status, detail)
		return
	}
	contentType, body := problemBody(x, r.Status, detail)
	r.Head.Set("content-type", contentType)
	r.SetBytes(body)
}

// acceptsJSON reports whether the client takes a JSON answer: it does unless
// its Accept names media ranges and none of them covers JSON.
func acceptsJSON(h *exchange.Head) bool {
	var lines [4][]byte
	values := h.Values(lines[:0], exchange.NameAccept.String())
	if len(values) == 0 {
		return true
	}
	for _, v := range values {
		for item := range strings.SplitSeq(exchange.String(v), ",") {
			media, params, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "*/*", "application/*", "application/json", "application/problem+json":
				if !zeroQuality(params) {
					return true
				}
			}
		}
	}
	return false
}

func zeroQuality(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if k == "q" || k == "Q" {
			q, err := strconv.ParseFloat(v, 64)
			return err == nil && q == 0
		}
	}
	return false
}
