package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Requests above max_pending are refused at once; those that wait are served, over
// no more connections than may be.
func TestMaxPending(t *testing.T) {
	checkLeaks(t)
	for _, c := range []struct{ protocol, retry string }{{"http/1.1", ""}, {"http/1.1", "retry {}"}, {"h2c", ""}} {
		t.Run(c.protocol+" "+c.retry, func(t *testing.T) {
			hold := make(chan struct{})
			var asked atomic.Int64
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				<-hold
				io.WriteString(w, "ok")
			}))
			s.Config.Protocols = &http.Protocols{}
			s.Config.Protocols.SetHTTP1(true)
			s.Config.Protocols.SetUnencryptedHTTP2(true)
			s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 1}
			s.Start()
			t.Cleanup(s.Close)
			r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "u" {
  endpoint %q {}
  protocol = %q
  circuit_breaker {
    max_connections = 1
    max_pending     = 2
  }
  %s
}
route "all" {
  upstream = upstream.u
}
`, s.Listener.Addr(), c.protocol, c.retry)})
			shows := func(what string) {
				t.Helper()
				for begin := time.Now(); !strings.Contains(r.admin("/upstreams"), what); time.Sleep(time.Millisecond) {
					if time.Since(begin) > 10*time.Second {
						t.Fatalf("no %s in %s", what, r.admin("/upstreams"))
					}
				}
			}
			if c.protocol == "h2c" { // how many streams there may be comes with the first answer
				go func() { hold <- struct{}{} }()
				r.get("/")
			}
			var wg sync.WaitGroup
			for i := range 3 {
				wg.Go(func() {
					res, err := http.Get(r.base)
					if err != nil {
						t.Error(err)
						return
					}
					defer res.Body.Close()
					if b, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(b) != "ok" {
						t.Errorf("got %d %s", res.StatusCode, b)
					}
				})
				shows(fmt.Sprintf(`"pending": %d`, i))
				if i == 0 {
					shows(`"connections": 1`)
				}
			}
			status, h, body := r.get("/")
			if status != 503 || h.Get("Retry-After") == "" || h.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %v %s", status, h, body)
			}
			if text := r.admin("/metrics"); !strings.Contains(text, `headgate_upstream_shed_total{reason="pending",upstream="u"} 1`) ||
				!strings.Contains(text, `headgate_upstream_pending_requests{upstream="u"} 2`) {
				t.Error("the metrics don't show it")
			}
			close(hold)
			wg.Wait()
			shows(`"pending": 0`)
			if text := r.admin("/upstreams"); !strings.Contains(text, `"state": "closed"`) || !strings.Contains(text, `"failures": 0`) {
				t.Errorf("a refusal counts as failure: %s", text)
			}
		})
	}
}
