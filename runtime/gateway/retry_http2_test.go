package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// Further tries over HTTP/2, where a failed one costs a stream and not the
// connection.
func TestRetryHTTP2(t *testing.T) {
	checkLeaks(t)
	for _, c := range []struct {
		name, script, method, body string
		status                     int
		tries                      int64
	}{
		{"answer", "200", "GET", "", 200, 1},
		{"status", "503 200", "GET", "", 200, 2},
		{"last status", "503 503 503", "GET", "", 503, 3},
		{"reset", "reset reset 200", "GET", "", 200, 3},
		{"body", "reset 503 200", "PUT", "some bytes", 200, 3},
		{"method", "reset 200", "POST", "some bytes", 502, 1},
		{"trailers", "503 trailers", "GET", "", 200, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int64
			steps := strings.Fields(c.script)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				step := steps[min(int(asked.Add(1)), len(steps))-1]
				b, _ := io.ReadAll(r.Body)
				if string(b) != c.body || r.ProtoMajor != 2 {
					t.Errorf("%s: the upstream got %q over %s", step, b, r.Proto)
				}
				switch step {
				case "reset":
					panic(http.ErrAbortHandler)
				case "503":
					w.WriteHeader(503)
				case "trailers":
					w.Header().Set("Trailer", "X-Sum")
					io.WriteString(w, "hello")
					_ = http.NewResponseController(w).Flush() // without a length
					w.Header().Set("X-Sum", "5")
				default:
					io.WriteString(w, "hello")
				}
			}))
			s.Config.Protocols = &http.Protocols{}
			s.Config.Protocols.SetUnencryptedHTTP2(true)
			s.Start()
			defer s.Close()
			r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
  protocol = "h2c"
  timeout  = "2s"
  retry {
    attempts       = 2
    on             = ["connect", "reset", "503"]
    backoff        = "1ms"
    budget_percent = 100
  }
}
route "all" {
  upstream = upstream.b
}
`, s.Listener.Addr())})
			req, err := http.NewRequest(c.method, r.base, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("TE", "trailers")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if res.StatusCode != c.status || asked.Load() != c.tries || err != nil || res.StatusCode == 200 && string(b) != "hello" {
				t.Errorf("status %d %q after %d tries, want %d after %d: %v", res.StatusCode, b, asked.Load(), c.status, c.tries, err)
			}
			if c.name == "trailers" && res.Trailer.Get("X-Sum") != "5" {
				t.Errorf("trailers %v", res.Trailer)
			}
		})
	}
}
