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

// racer is an endpoint whose answers can be held back.
type racer struct {
	addr  string
	hold  atomic.Int64 // nanoseconds before an answer; negative: none ever comes
	asked atomic.Int64
	left  atomic.Int64 // requests that the gateway gave up
	wrong atomic.Int64 // bodies that are not what they should be
}

func newRacer(t testing.TB, name string, h2c bool) *racer {
	r := &racer{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.asked.Add(1)
		body, err := io.ReadAll(req.Body)
		if err == nil && string(body) != req.Header.Get("X-Body") {
			r.wrong.Add(1)
		}
		var after <-chan time.Time
		if d := r.hold.Load(); d >= 0 {
			after = time.After(time.Duration(d))
		}
		select {
		case <-after:
		case <-req.Context().Done():
			r.left.Add(1)
			return
		}
		if req.Header.Get("X-Fail") != "" {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, name)
	}))
	if h2c {
		s.Config.Protocols = &http.Protocols{}
		s.Config.Protocols.SetUnencryptedHTTP2(true)
	}
	s.Start()
	t.Cleanup(s.Close)
	r.addr = s.Listener.Addr().String()
	return r
}

// hedged starts a gateway with two endpoints that get requests in turn.
func hedged(t *testing.T, h2c bool, retry string) (slow, quick *racer, r *rig) {
	slow, quick = newRacer(t, "slow", h2c), newRacer(t, "quick", h2c)
	protocol := "http/1.1"
	if h2c {
		protocol = "h2c"
	}
	return slow, quick, start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
  endpoint %q {}
  balance  = "round_robin"
  protocol = %q
  timeout  = "1s"
  retry {
    %s
    budget_percent = 100
  }
}
route "all" {
  upstream = upstream.b
}
`, slow.addr, quick.addr, protocol, retry)})
}

func send(t *testing.T, r *rig, method, body string, header ...string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest(method, r.base, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Body", body)
	for _, h := range header {
		req.Header.Set(h, "1")
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestHedge(t *testing.T) {
	checkLeaks(t)
	for _, h2c := range []bool{false, true} {
		for _, c := range []struct{ method, body string }{{"GET", ""}, {"PUT", "some bytes"}} {
			t.Run(fmt.Sprintf("%s h2c=%t", c.method, h2c), func(t *testing.T) {
				slow, quick, r := hedged(t, h2c, `hedge = "20ms"`)
				slow.hold.Store(-1)
				for range 10 {
					if status, body := send(t, r, c.method, c.body); status != 200 || body != "quick" {
						t.Fatalf("got %d %q", status, body)
					}
				}
				n := slow.asked.Load()
				if n == 0 {
					t.Error("the slow endpoint was never asked")
				}
				for begin := time.Now(); slow.left.Load() < n; time.Sleep(time.Millisecond) {
					if time.Since(begin) > 5*time.Second {
						t.Fatalf("%d of %d requests to the slow endpoint go on", n-slow.left.Load(), n)
					}
				}
				if slow.wrong.Load()+quick.wrong.Load() > 0 {
					t.Error("an endpoint got another body")
				}
				line := fmt.Sprintf(`headgate_upstream_retries_total{outcome="answered",reason="hedge",upstream="b"} %d`, n)
				if text := r.admin("/metrics"); !strings.Contains(text, line) {
					t.Errorf("no %s in\n%s", line, text)
				}
			})
		}
	}
}

// The first try may still be the one that answers, and what is quick, or may not
// be sent twice, is asked for once.
func TestHedgeNot(t *testing.T) {
	checkLeaks(t)
	slow, quick, r := hedged(t, false, `hedge = "50ms"`)
	total := func() int64 { return slow.asked.Load() + quick.asked.Load() }
	for range 4 {
		if status, _ := send(t, r, "GET", ""); status != 200 {
			t.Fatalf("got %d", status)
		}
	}
	if n := total(); n != 4 {
		t.Errorf("the endpoints got %d requests of 4", n)
	}
	slow.hold.Store(int64(80 * time.Millisecond))
	quick.hold.Store(int64(80 * time.Millisecond))
	for range 2 {
		if status, _ := send(t, r, "POST", "body"); status != 200 {
			t.Fatalf("got %d", status)
		}
	}
	if n := total(); n != 6 {
		t.Errorf("the endpoints got %d requests of 6", n)
	}
	quick.hold.Store(-1)
	answers := map[string]bool{}
	for range 4 {
		status, body := send(t, r, "GET", "")
		if status != 200 {
			t.Fatalf("got %d", status)
		}
		answers[body] = true
	}
	if len(answers) != 1 || !answers["slow"] {
		t.Errorf("answers of %v", answers)
	}
}

// Whoever fails leaves the answer to the other; if both do, that is a 502.
func TestHedgeFailures(t *testing.T) {
	checkLeaks(t)
	slow, quick, r := hedged(t, false, `hedge = "10ms"`)
	slow.hold.Store(int64(40 * time.Millisecond))
	quick.hold.Store(int64(40 * time.Millisecond))
	for range 4 {
		if status, body := send(t, r, "GET", "", "X-Fail"); status != 502 {
			t.Errorf("got %d %q", status, body)
		}
	}
	slow.hold.Store(-1)
	quick.hold.Store(-1)
	if status, _ := send(t, r, "GET", ""); status != 504 {
		t.Errorf("got %d", status)
	}
}

func TestHedgeUnderLoad(t *testing.T) {
	checkLeaks(t)
	slow, quick, r := hedged(t, false, `hedge = "2ms"`)
	slow.hold.Store(int64(2 * time.Millisecond)) // a close race
	quick.hold.Store(int64(2 * time.Millisecond))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 40 {
				if status, body := send(t, r, "GET", ""); status != 200 || body != "slow" && body != "quick" {
					t.Errorf("got %d %q", status, body)
				}
			}
		})
	}
	wg.Wait()
	idle := func(text string) bool { return strings.Count(text, `"active": 0`) == 3 } // the upstream, and both endpoints
	for begin := time.Now(); !idle(r.admin("/upstreams")); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			t.Fatalf("requests are left in %s", r.admin("/upstreams"))
		}
	}
}
