package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// playbook serves requests by one line of script each, and the rest like the last:
// a status, "reset" (the head breaks off), "close" (no answer), "hang", "early"
// (503 before the body is read) or "inform" (103 and then nothing).
type playbook struct {
	steps  []string
	mu     sync.Mutex
	n      int
	bodies []string
	conns  map[net.Conn]bool
}

func (s *playbook) step() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	step := s.steps[min(s.n, len(s.steps)-1)]
	s.n++
	return step
}

func (s *playbook) asked() (n int, bodies []string, conns int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n, s.bodies, len(s.conns)
}

func play(t testing.TB, steps ...string) (*playbook, string) {
	s := &playbook{steps: steps, conns: map[net.Conn]bool{}}
	return s, listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			step := s.step()
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			if step == "early" {
				fmt.Fprint(c, "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				return
			}
			b, err := io.ReadAll(req.Body)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.bodies = append(s.bodies, string(b))
			s.mu.Unlock()
			switch step {
			case "reset":
				fmt.Fprint(c, "HTTP/1.1 200 O")
				return
			case "close":
				return
			case "inform":
				fmt.Fprint(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
				return
			case "hang":
				_, _ = in.ReadByte()
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 %s X\r\nContent-Length: 5\r\n\r\nhello", step)
		}
	})
}

func retrying(address, policy string) map[string]string {
	return map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
  timeout = "2s"
  %s
}
route "all" {
  upstream = upstream.b
  buffer   = "1KiB"
}
`, address, policy)}
}

func TestRetry(t *testing.T) {
	checkLeaks(t)
	const all = `retry {
    attempts = 2
    on       = ["connect", "reset", "timeout", "503"]
    per_try  = "300ms"
    backoff  = "2ms"
    budget_percent = 100
  }`
	const anyMethod = `retry {
    attempts = 2
    on       = ["reset", "503"]
    methods  = ["POST"]
    backoff  = "2ms"
  }`
	long := strings.Repeat("a", 1025)
	for _, c := range []struct {
		name, policy, script string
		method, body         string
		chunked              bool
		status, tries        int
	}{
		{"answer", all, "200", "GET", "", false, 200, 1},
		{"reset", all, "reset 200", "GET", "", false, 200, 2},
		{"close", all, "close close 200", "GET", "", false, 200, 3},
		{"too often", all, "close close close 200", "GET", "", false, 502, 3},
		{"slow", all, "hang 200", "GET", "", false, 200, 2},
		{"always slow", all, "hang", "GET", "", false, 504, 3},
		{"status", all, "503 200", "GET", "", false, 200, 2},
		{"last status", all, "503", "GET", "", false, 503, 3},
		{"other status", all, "500 200", "GET", "", false, 500, 1},
		{"interim response", all, "inform 200", "GET", "", false, 502, 1},
		{"method", all, "reset 200", "POST", "a", false, 502, 1},
		{"status of a method", all, "503 200", "POST", "a", false, 503, 1},
		{"put", all, "reset 503 200", "PUT", "body", false, 200, 3},
		{"chunked", all, "reset 200", "PUT", "body", true, 200, 2},
		{"post", anyMethod, "reset 503 200", "POST", "body", true, 200, 3},
		{"early", anyMethod, "early 200", "POST", "body", false, 200, 2},
		{"buffer", anyMethod, "503 200", "POST", long[1:], false, 200, 2},
		{"beyond the buffer", anyMethod, "503 200", "POST", long, true, 503, 1},
		{"no attempts", `retry { attempts = 0 }`, "close 200", "GET", "", false, 502, 1},
		{"reason", `retry { on = ["connect"] }`, "close 200", "GET", "", false, 502, 1},
		{"no budget", `retry {
    attempts       = 9
    on             = ["503"]
    budget_percent = 0
    backoff        = "0s"
  }`, "503", "GET", "", false, 503, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, addr := play(t, strings.Fields(c.script)...)
			r := start(t, retrying(addr, c.policy))
			conn, in := r.dial()
			if c.chunked { // in two parts, so that the body is on its way for a while
				half := len(c.body) / 2
				fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", c.method, half, c.body[:half])
				fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", len(c.body)-half, c.body[half:])
			} else {
				fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", c.method, len(c.body), c.body)
			}
			res, err := http.ReadResponse(in, nil)
			for err == nil && res.StatusCode < 200 {
				res, err = http.ReadResponse(in, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			n, bodies, _ := s.asked()
			if res.StatusCode != c.status || n != c.tries {
				t.Errorf("status %d after %d tries, want %d after %d", res.StatusCode, n, c.status, c.tries)
			}
			for _, b := range bodies {
				if b != c.body {
					t.Errorf("the upstream got %q", b)
				}
			}
		})
	}
}

// A small answer that the client does not get costs no connection.
func TestRetryKeepsConnection(t *testing.T) {
	checkLeaks(t)
	s, addr := play(t, "503", "200")
	r := start(t, retrying(addr, `retry { on = ["503"] }`))
	if status, _, body := r.get("/"); status != 200 || body != "hello" {
		t.Errorf("got %d %q", status, body)
	}
	if n, _, conns := s.asked(); n != 2 || conns != 1 {
		t.Errorf("%d requests on %d connections", n, conns)
	}
	text := r.admin("/metrics")
	if line := `headgate_upstream_retries_total{outcome="answered",reason="status",upstream="b"} 1`; !strings.Contains(text, line) {
		t.Errorf("no %s in\n%s", line, text)
	}
}

// The other endpoint gets the next try.
func TestRetryElsewhere(t *testing.T) {
	checkLeaks(t)
	bad, badAddr := play(t, "503")
	_, addr := play(t, "200")
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
  endpoint %q {}
  balance = "round_robin"
  retry {
    on             = ["503"]
    budget_percent = 100
    backoff        = "1ms"
  }
}
route "all" {
  upstream = upstream.b
}
`, badAddr, addr)})
	for range 20 {
		if status, _, _ := r.get("/"); status != 200 {
			t.Fatalf("got %d", status)
		}
	}
	if n, _, _ := bad.asked(); n < 5 {
		t.Errorf("the bad endpoint got %d requests", n)
	}
}

func TestBreaker(t *testing.T) {
	checkLeaks(t)
	var down atomic.Bool
	down.Store(true)
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(500)
		}
	})
	r := start(t, retrying(addr, `circuit_breaker {
    min_requests = 5
    open         = "200ms"
  }`))
	for i := range 5 {
		if status, _, _ := r.get("/"); status != 500 {
			t.Fatalf("request %d: %d", i, status)
		}
	}
	status, h, body := r.get("/")
	if after, err := strconv.Atoi(h.Get("Retry-After")); status != 503 || h.Get("Content-Type") != "application/problem+json" || err != nil || after != 1 {
		t.Errorf("got %d %v %q", status, h, body)
	}
	if text := r.admin("/upstreams"); !strings.Contains(text, `"open"`) {
		t.Errorf("got %s", text)
	}
	if text := r.admin("/metrics"); !strings.Contains(text, `headgate_upstream_breaker_state{upstream="b"} 1`) {
		t.Error("the metrics show no open breaker")
	}
	r.reload()
	if status, _, _ := r.get("/"); status != 503 {
		t.Errorf("a reload closed the breaker: %d", status)
	}
	down.Store(false)
	for begin := time.Now(); !strings.Contains(r.log.String(), "half_open to=closed") && !strings.Contains(r.log.String(), `"to":"closed"`); {
		if time.Since(begin) > 5*time.Second {
			t.Fatal("the breaker stays open")
		}
		r.get("/")
	}
	if status, _, _ := r.get("/"); status != 200 {
		t.Errorf("got %d", status)
	}
}

// A whole upstream fails, and comes back, under load. It sees no storm, and the
// clients see it back.
func TestNoRetryStorm(t *testing.T) {
	checkLeaks(t)
	for _, status := range []string{"503", "close"} {
		t.Run(status, func(t *testing.T) {
			var down atomic.Bool
			var got atomic.Int64
			addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
				got.Add(1)
				if !down.Load() {
					return
				}
				if status == "close" {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(503)
			})
			r := start(t, retrying(addr, `retry {
    attempts = 3
    on       = ["connect", "reset", "503"]
    backoff  = "1ms"
  }`))
			phase := func(each int) (failed int64) {
				var bad atomic.Int64
				var wg sync.WaitGroup
				for range 16 {
					wg.Go(func() {
						for range each {
							res, err := http.Get(r.base)
							if err != nil {
								bad.Add(1)
								continue
							}
							_, _ = io.Copy(io.Discard, res.Body)
							res.Body.Close()
							if res.StatusCode != 200 {
								bad.Add(1)
							}
						}
					})
				}
				wg.Wait()
				return bad.Load()
			}
			const each, offered = 100, 1600
			if n := phase(20); n > 0 {
				t.Errorf("%d requests failed before", n)
			}
			down.Store(true)
			got.Store(0)
			phase(each)
			if n := got.Load(); n > offered*12/10+10 { // what was saved before
				t.Errorf("the upstream saw %d requests of %d while it was down", n, offered)
			}
			down.Store(false)
			got.Store(0)
			if n := phase(each); n > 0 {
				t.Errorf("%d requests failed afterwards", n)
			}
			if n := got.Load(); n > offered*12/10 {
				t.Errorf("the upstream saw %d requests of %d afterwards", n, offered)
			}
		})
	}
}

// One of five endpoints goes away under load. Its requests in flight and those
// that find it gone are sent again, so that nobody sees it.
func TestEndpointKilled(t *testing.T) {
	checkLeaks(t)
	var blocks strings.Builder
	var victim *http.Server
	for i := range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Millisecond) // so that some are in flight
			fmt.Fprint(w, "ok")
		})}
		var wg sync.WaitGroup
		wg.Go(func() { _ = srv.Serve(l) })
		t.Cleanup(func() { srv.Close(); wg.Wait() })
		if i == 0 {
			victim = srv
		}
		fmt.Fprintf(&blocks, "  endpoint %q {}\n", l.Addr())
	}
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
%s
  retry {
    attempts       = 2
    budget_percent = 50
  }
}
route "all" {
  upstream = upstream.b
}
`, blocks.String())})
	var failed, done atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 150 {
				res, err := http.Get(r.base)
				if err != nil {
					failed.Add(1)
					continue
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != 200 {
					failed.Add(1)
				}
				if done.Add(1) == 800 {
					victim.Close()
				}
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, done.Load())
	}
}

// Clients that leave say nothing of the upstream.
func TestBreakerIgnoresClients(t *testing.T) {
	checkLeaks(t)
	s, addr := play(t, "hang")
	r := start(t, retrying(addr, `circuit_breaker {
    min_requests = 2
  }`))
	for i := range 4 {
		c, _ := r.dial()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		for begin := time.Now(); ; time.Sleep(time.Millisecond) {
			if n, _, _ := s.asked(); n > i {
				break
			}
			if time.Since(begin) > 5*time.Second {
				t.Fatal("the upstream is not asked")
			}
		}
		c.Close()
	}
	for begin := time.Now(); !strings.Contains(strings.Join(strings.Fields(r.admin("/upstreams")), ""), `"state":"closed","active":0`); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			t.Fatalf("got %s", r.admin("/upstreams"))
		}
	}
}

// An endpoint that answers with errors is left alone, and comes back.
func TestOutlier(t *testing.T) {
	checkLeaks(t)
	var broken atomic.Bool
	var asked atomic.Int64
	bad := backend(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if broken.Load() {
			w.WriteHeader(500)
		}
	})
	_, good := play(t, "200")
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
  endpoint %q {}
  balance = "round_robin"
  outlier_detection {
    consecutive_errors = 3
    interval           = "100ms"
    eject              = "300ms"
  }
}
route "all" {
  upstream = upstream.b
}
`, bad, good)})
	broken.Store(true)
	errors := 0
	for range 40 {
		if status, _, _ := r.get("/"); status != 200 {
			errors++
		}
	}
	if errors != 3 {
		t.Errorf("%d errors reached clients, not the 3 that it takes", errors)
	}
	for _, want := range []string{`headgate_upstream_endpoint_up{endpoint="` + bad + `",upstream="b"} 0`, `headgate_upstream_endpoint_ejections_total{endpoint="` + bad + `",upstream="b"} 1`} {
		if text := r.admin("/metrics"); !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	broken.Store(false)
	n := asked.Load()
	for begin := time.Now(); asked.Load() == n; {
		if time.Since(begin) > 5*time.Second {
			t.Fatal("the endpoint does not come back")
		}
		if status, _, _ := r.get("/"); status != 200 {
			t.Errorf("got %d", status)
		}
	}
}

// Two of three endpoints fail: the third try finds the one that does not.
func TestRetryTriesEach(t *testing.T) {
	checkLeaks(t)
	_, bad := play(t, "503")
	_, worse := play(t, "close")
	_, addr := play(t, "200")
	for _, balance := range []string{`"round_robin"`, `"least_request"`, `"ewma"`, "\"maglev\"\n  hash_on = request.host"} {
		r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {
    weight = 10
  }
  endpoint %q {
    weight = 10
  }
  endpoint %q {}
  balance = %s
  retry {
    attempts       = 2
    on             = ["reset", "503"]
    budget_percent = 100
    backoff        = "0s"
  }
}
route "all" {
  upstream = upstream.b
}
`, bad, worse, addr, balance)})
		for range 8 { // what the budget has saved
			if status, _, _ := r.get("/"); status != 200 {
				t.Fatalf("%s: got %d", balance, status)
			}
		}
	}
}
