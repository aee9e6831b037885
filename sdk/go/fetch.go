package headgate

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// FetchRequest is a request that a filter makes of its own.
type FetchRequest struct {
	// Method is GET if it is empty.
	Method string
	// URL is upstream://NAME/path for an upstream of the configuration, or begins
	// with an origin such as https://idp.example.com. The plugin's allow.fetch has
	// to name either.
	URL string
	// Header are names and values. A host field is for upstream:// only.
	Header [][2]string
	Body   []byte
	// Timeout is for the head of the answer; 0 is the upstream's own. limits.deadline
	// bounds everything that a filter waits for.
	Timeout time.Duration
}

// GET makes a request without a body.
func GET(url string) FetchRequest { return FetchRequest{URL: url} }

// POST makes a request with a body.
func POST(url, contentType string, body []byte) FetchRequest {
	return FetchRequest{Method: "POST", URL: url, Header: [][2]string{{"content-type", contentType}}, Body: body}
}

// FetchResponse is the answer to a FetchRequest, whatever its status.
type FetchResponse struct {
	Status int
	// Header are names, in lower case, and values.
	Header [][2]string
	Body   []byte
}

// Get returns the first value of a field, or "".
func (r *FetchResponse) Get(name string) string {
	for _, f := range r.Header {
		if strings.EqualFold(f[0], name) {
			return f[1]
		}
	}
	return ""
}

// The errors of Fetch.
var (
	ErrFetchDenied   = errors.New("allow.fetch does not name it")
	ErrFetchInvalid  = errors.New("not a request that can be sent")
	ErrFetchFailed   = errors.New("no answer; the gateway's log says why")
	ErrFetchTimeout  = errors.New("no answer in time")
	ErrFetchTooLarge = errors.New("the answer is too large")
)

// Fetch sends a request and waits for the whole answer. It goes the way of
// requests that are forwarded: balancing, retries, TLS and limits of the upstream
// are the same.
func (x *Exchange) Fetch(r FetchRequest) (*FetchResponse, error) {
	status, header, body := x.host.Fetch(r.Method, r.URL, r.fields(), r.Body, uint32(r.Timeout.Milliseconds()))
	return fetched(status, header, body)
}

// fields are names and values with a NUL behind each.
func (r *FetchRequest) fields() string {
	var head strings.Builder
	for _, f := range r.Header {
		head.WriteString(f[0])
		head.WriteByte(0)
		head.WriteString(f[1])
		head.WriteByte(0)
	}
	return head.String()
}

func fetched(status int32, header [][2]string, body []byte) (*FetchResponse, error) {
	switch status {
	case -1:
		return nil, ErrFetchDenied
	case -2:
		return nil, ErrFetchInvalid
	case -4:
		return nil, ErrFetchTimeout
	case -5:
		return nil, ErrFetchTooLarge
	}
	if status < 0 {
		return nil, ErrFetchFailed
	}
	return &FetchResponse{int(status), header, body}, nil
}

// FetchResult is what became of one of many requests.
type FetchResult struct {
	*FetchResponse // nil if there is an error
	Err            error
}

// FetchMany sends up to 16 requests at once and waits for all answers, which come in
// the order of the requests. More are ErrFetchInvalid, each.
func (x *Exchange) FetchMany(requests ...FetchRequest) []FetchResult {
	var p []byte
	for _, r := range requests {
		fields := r.fields()
		for _, n := range []int{len(r.Method), len(r.URL), len(fields), len(r.Body), int(r.Timeout.Milliseconds())} {
			p = binary.LittleEndian.AppendUint32(p, uint32(n))
		}
		p = append(append(append(append(p, r.Method...), r.URL...), fields...), r.Body...)
	}
	n := x.host.FetchMany(p)
	results := make([]FetchResult, len(requests))
	for i := range results {
		if i >= int(n) {
			results[i].Err = ErrFetchInvalid
			continue
		}
		results[i].FetchResponse, results[i].Err = fetched(x.host.FetchAnswer(uint32(i)))
	}
	return results
}
