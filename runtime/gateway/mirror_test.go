package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// mirrored is a configuration whose requests go to a, and copies to b.
func mirrored(a, b, mirror, extra string) map[string]string {
	return map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "a" {
  endpoint %q {}
}
upstream "b" {
  endpoint %q {}
}
route "all" {
  upstream = upstream.a
  rewrite {
    path = "/v2${request.path}"
  }
  request_headers {
    set = { x-route = "all" }
  }
  mirror {
    upstream = upstream.b
%s
  }
%s
}
`, a, b, mirror, extra)}
}

func tell(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL, r.Header.Get("x-route"), b)
}

// recorder is a backend that tells what it got, and answers as told.
func recorder(t *testing.T, answer http.HandlerFunc) (addr string, got chan string) {
	got = make(chan string, 1000)
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			b = []byte(err.Error())
		}
		got <- fmt.Sprintf("%s %s %s %s", r.Method, r.URL, r.Header.Get("x-route"), b)
		answer(w, r)
	}), got
}

func awaitCopy(t *testing.T, c chan string) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("no copy came")
		return ""
	}
}

func TestMirror(t *testing.T) {
	checkLeaks(t)
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"that answers", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 100_000)) }},
		{"that fails", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }},
		{"that breaks off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			copies, got := recorder(t, c.answer)
			r := start(t, mirrored(backend(t, tell), copies, "", "buffer = \"1KiB\""))
			for _, req := range []struct{ method, body string }{{"GET", ""}, {"POST", "hello"}, {"DELETE", ""}, {"PUT", strings.Repeat("y", 1000)}} {
				status, _, body := r.do(req.method, "/x?a=1", req.body)
				want := fmt.Sprintf("%s /v2/x?a=1 all %s", req.method, req.body)
				if status != 200 || body != want {
					t.Errorf("the client got %d %q", status, body)
				}
				if copied := awaitCopy(t, got); copied != want {
					t.Errorf("the mirror got %q, want %q", copied, want)
				}
			}
			// Beyond the buffer there is no copy, and in its order the next request.
			r.do("POST", "/long", strings.Repeat("z", 2000))
			r.do("GET", "/after", "")
			if copied := awaitCopy(t, got); copied != "GET /v2/after all " {
				t.Errorf("the mirror got %q", copied)
			}
		})
	}
}

// TestMirrorDelaysNothing checks that a mirror which never answers, or is not
// there, changes nothing for clients or at the end.
func TestMirrorDelaysNothing(t *testing.T) {
	checkLeaks(t)
	stuck := make(chan struct{})
	copies, got := recorder(t, func(http.ResponseWriter, *http.Request) { <-stuck })
	t.Cleanup(func() { close(stuck) })
	r := start(t, mirrored(backend(t, tell), copies, "", ""))
	for range 300 { // more than may be under way
		if status, _, _ := r.do("POST", "/x", "hello"); status != 200 {
			t.Fatalf("status %d", status)
		}
	}
	awaitCopy(t, got)

	gone := start(t, mirrored(backend(t, tell), "127.0.0.1:1", "", ""))
	for range 10 {
		if status, _, _ := gone.do("POST", "/x", "hello"); status != 200 {
			t.Fatalf("status %d", status)
		}
	}
}

func TestMirrorShare(t *testing.T) {
	checkLeaks(t)
	copies, got := recorder(t, func(http.ResponseWriter, *http.Request) {})
	r := start(t, mirrored(backend(t, tell), copies, "    percent = 0", ""))
	for range 20 {
		r.get("/none")
	}
	for name, text := range mirrored(backend(t, tell), copies, "    percent = 30", "") {
		r.write(name, text)
	}
	r.reload()
	for range 1000 {
		r.get("/some")
	}
	time.Sleep(200 * time.Millisecond) // the last copies are on their way
	n := 0
	for len(got) > 0 {
		if s := <-got; !strings.Contains(s, "/some") {
			t.Fatalf("a copy of %q", s)
		}
		n++
	}
	if n == 0 || n > 450 {
		t.Errorf("%d of 1000 were mirrored", n)
	}
}

// TestMirrorOfUnreadBody checks that a copy is given up whose original ended
// before its body.
func TestMirrorOfUnreadBody(t *testing.T) {
	checkLeaks(t)
	copies, got := recorder(t, func(http.ResponseWriter, *http.Request) {})
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 100 {
			w.WriteHeader(403)
		}
	})
	r := start(t, mirrored(addr, copies, "", ""))
	c, in := r.dial()
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nonly the start")
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 403 {
		t.Fatal(res, err)
	}
	c.Close()
	r.get("/after")
	if copied := awaitCopy(t, got); !strings.Contains(copied, "/after") {
		t.Errorf("the mirror got %q", copied)
	}
}
