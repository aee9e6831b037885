package gateway_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBodyFailures reads bodies for expressions: what is wrong with a body, or
// with the memory for it, is no failure of the expression.
func TestBodyFailures(t *testing.T) {
	checkLeaks(t)
	r := start(t, map[string]string{"preamble.hcl": strings.Replace(preamble, "gateway {", "gateway {\n  body_memory = \"64KiB\"", 1), "routes.hcl": `
route "respond" {
  path = "/respond"
  respond { body = "${request.json["a"]}" }
}
route "header" {
  path = "/header"
  respond { headers = { x-a = request.json["a"] } }
}
route "redirect" {
  path = "/redirect"
  redirect { url = "/${request.json["a"]}" }
}
route "guarded" {
  path = "/match"
  match {
    json "role" {
      equals = "guest"
    }
  }
  respond { status = 403 }
}
route "match" {
  path = "/match"
  respond { body = "${request.json["a"]}" }
}
`})
	for _, path := range []string{"/respond", "/header", "/redirect", "/match"} {
		if status, head, body := r.do("POST", path, `{"a":"`+strings.Repeat("x", 100<<10)+`"}`); status != 503 || head.Get("Retry-After") == "" {
			t.Errorf("%s without memory: %d %v %s", path, status, head, body)
		}
		res, body, _ := r.exchange("main", "POST "+path+" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		if res.StatusCode != 400 {
			t.Errorf("%s with a bad chunk: %d %s", path, res.StatusCode, body)
		}
	}
	if status, _, body := r.do("POST", "/respond", `{"a":"b"}`); status != 200 || body != "b" {
		t.Errorf("%d %s", status, body)
	}
}

// TestShedAnswers is turned away by limits.max_requests, and told so as by any
// other answer of the gateway.
func TestShedAnswers(t *testing.T) {
	checkLeaks(t)
	held, release := make(chan struct{}), make(chan struct{})
	addr := backend(t, func(http.ResponseWriter, *http.Request) {
		close(held)
		<-release
	})
	files := to(addr, "")
	files["preamble.hcl"] = strings.Replace(preamble, "gateway {", "gateway {\n  limits {\n    max_requests = 1\n  }", 1)
	r := start(t, files)
	done := make(chan int)
	go func() {
		status, _, _ := r.get("/")
		done <- status
	}()
	<-held
	res, body, _ := r.exchange("main", "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	close(release)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	checkProblem(t, res, body)
	if status := <-done; status != 200 {
		t.Errorf("the one that was there got %d", status)
	}
}

// TestOwnLogs writes an access log into the watched directory, which is no change
// of the configuration.
func TestOwnLogs(t *testing.T) {
	checkLeaks(t)
	r := start(t, map[string]string{
		"preamble.hcl": strings.Replace(preamble, "gateway {", "gateway {\n  access_log {\n    path = \"access.log\"\n  }", 1),
		"routes.hcl":   respond("one"),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.g.Watch(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	written := func() int64 {
		f, err := os.Stat(filepath.Join(r.dir, "access.log"))
		if err != nil {
			t.Fatal(err)
		}
		return f.Size()
	}
	for range 3 {
		before := written()
		r.get("/")
		for deadline := time.Now().Add(5 * time.Second); written() == before; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nothing is logged")
			}
		}
	}
	time.Sleep(3 * quietPeriod)
	// The file is new, which may count as one change.
	if n := strings.Count(r.log.String(), "configuration reloaded"); n > 1 {
		t.Errorf("%d reloads:\n%s", n, r.log)
	}
	r.write("routes.hcl", respond("two"))
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, _, body := r.get("/"); body == "two" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a change is not seen")
		}
	}
	if b, _ := os.ReadFile(filepath.Join(r.dir, "access.log")); !strings.Contains(string(b), `"status":200`) {
		t.Errorf("the log has %s", b)
	}
}
