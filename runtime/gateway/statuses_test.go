package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The rows of "What clients get" that the gateway answers by itself, each as a
// problem (RFC 9457), as text for who takes no JSON, and for gRPC.
func TestStatuses(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, seen)
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
listener "hasty" {
  address = "127.0.0.1:0"
  timeouts {
    header      = "100ms"
    stream_idle = "100ms"
  }
}
upstream "b" {
  endpoint %q {}
}
upstream "dead" {
  endpoint "127.0.0.1:1" {}
}
route "all" {
  path_prefix = "/"
  upstream    = upstream.b
  max_body    = "10"
}
route "get" {
  path     = "/get"
  methods  = ["GET", "HEAD"]
  upstream = upstream.b
}
route "get_only" {
  hosts   = ["only"]
  path    = "/get"
  methods = ["GET"]
  respond {}
}
route "dead" {
  path     = "/dead"
  upstream = upstream.dead
}
`, addr)})
	long := strings.Repeat("a", 70000)
	const h = "Host: a\r\n"
	for _, c := range []struct {
		name, listener, line, fields, body string
		status                             int
		closed                             bool
		parsed                             bool // the head is, so that Accept and Content-Type count
	}{
		{"bad syntax", "main", "GET / HTTP/1.1", h + "X : y\r\n", "", 400, true, false},
		{"bad framing", "main", "POST / HTTP/1.1", h + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", 400, true, false},
		{"bad path", "main", "GET /%zz HTTP/1.1", h, "", 400, false, true},
		{"bad chunk", "main", "POST / HTTP/1.1", h + "Transfer-Encoding: chunked\r\n", "zz\r\n", 400, true, true},
		{"no route", "main", "GET / HTTP/1.1", "Host: only\r\n", "", 200, false, true},
		{"method", "main", "POST /get HTTP/1.1", "Host: only\r\n", "", 200, false, true},
		{"head not in time", "hasty", "GET / HTTP/1.1", "Host", "wait", 408, true, false},
		{"body not in time", "hasty", "POST / HTTP/1.1", h + "Content-Length: 9\r\n", "a", 408, true, true},
		{"length of the body", "main", "POST / HTTP/1.1", h + "Content-Length: 11\r\n", "01234567890", 413, false, true},
		{"chunked body", "main", "POST / HTTP/1.1", h + "Transfer-Encoding: chunked\r\n", "b\r\n01234567890\r\n0\r\n\r\n", 413, false, true},
		{"long body", "main", "POST / HTTP/1.1", h + "Content-Length: 1000000\r\n", "", 413, true, true},
		{"target", "main", "GET /" + long[:9000] + " HTTP/1.1", h, "", 414, true, false},
		{"target without end", "main", "GET /" + long, "", "", 414, true, false},
		{"expectation", "main", "POST / HTTP/1.1", h + "Expect: x\r\nContent-Length: 1\r\n", "a", 417, true, false},
		{"fields", "main", "GET / HTTP/1.1", h + "X: " + long + "\r\n", "", 431, true, false},
		{"trailers", "main", "POST / HTTP/1.1", h + "Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\nX: " + long[:20000] + "\r\n\r\n", 431, true, true},
		{"transfer coding", "main", "POST / HTTP/1.1", h + "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", 501, true, false},
		{"method without end", "main", long[:100] + " / HTTP/1.1", h, "", 501, true, false},
		{"CONNECT", "main", "CONNECT a:1 HTTP/1.1", h, "", 501, true, false},
		{"version", "main", "GET / HTTP/1.2", h, "", 505, true, false},
		{"upstream", "main", "GET /dead HTTP/1.1", h, "", 502, false, true},
		// A body needs no length announced (RFC 9110 section 15.5.12): never 411.
		{"no length", "main", "POST / HTTP/1.1", h, "", 200, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, extra := range []string{"", "Accept: text/html\r\n", "Content-Type: application/grpc\r\n"} {
				if extra != "" && (!c.parsed || c.status == 200) {
					continue
				}
				res, body, closed := r.exchange(c.listener, c.line+"\r\n"+extra+c.fields+"\r\n"+c.body)
				switch {
				case strings.Contains(extra, "grpc"):
					if res.StatusCode != 200 || res.Header.Get("Grpc-Status") == "" || body != "" {
						t.Errorf("a gRPC client gets %d %v %q", res.StatusCode, res.Header, body)
					}
				case res.StatusCode != c.status:
					t.Errorf("%q: got %d %q, want %d", extra, res.StatusCode, body, c.status)
				case extra != "":
					if res.Header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.HasPrefix(body, http.StatusText(c.status)+": ") {
						t.Errorf("who wants text gets %v %q", res.Header, body)
					}
				case c.status != 200:
					checkProblem(t, res, body)
				}
				if closed != c.closed || c.closed != res.Close {
					t.Errorf("%q: closed %v, said so %v, want %v", extra, closed, res.Close, c.closed)
				}
			}
		})
	}
}

// exchange sends raw bytes to a listener and reads one response; closed tells
// whether the connection ends behind it.
func (r *rig) exchange(listener, raw string) (res *http.Response, body string, closed bool) {
	r.t.Helper()
	c, in := r.raw(listener)
	defer c.Close()
	go func() { _, _ = io.WriteString(c, strings.TrimSuffix(raw, "\r\nwait")) }()
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if !res.Close {
		_, _ = io.WriteString(c, probe)
	}
	_, err = in.ReadByte()
	return res, string(b), err != nil
}

func checkProblem(t *testing.T, res *http.Response, body string) {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
		RequestID           string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Errorf("%v: %q", err, body)
		return
	}
	if p.Type != "about:blank" || p.Title != http.StatusText(res.StatusCode) || p.Status != res.StatusCode || p.Detail == "" ||
		p.RequestID == "" || p.RequestID != res.Header.Get("X-Request-Id") || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%v %q is not the problem that it should be", res.Header, body)
	}
}
