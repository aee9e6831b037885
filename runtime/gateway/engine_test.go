package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// dial opens a plain connection to the gateway that fails rather than hangs.
func (r *rig) dial() (net.Conn, *bufio.Reader) {
	r.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	r.t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

func to(addr, extra string) map[string]string {
	return map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
}
route "all" {
  upstream = upstream.b
%s
}
`, addr, extra)}
}

func TestEarlyResponse(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no", http.StatusForbidden) // without reading the body
	})
	r := start(t, to(addr, ""))
	c, in := r.dial()
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nonly the start")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); res.StatusCode != 403 || err != nil || string(b) != "no\n" {
		t.Errorf("got %d %q %v", res.StatusCode, b, err)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("the connection goes on in the middle of a body: %v", err)
	}
}

func TestContinue(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, seen)
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
}
route "open" {
  path     = "/open"
  upstream = upstream.b
}
route "closed" {
  path = "/closed"
  respond {
    status = 401
  }
}
`, addr)})
	t.Run("invited", func(t *testing.T) {
		c, in := r.dial()
		fmt.Fprintf(c, "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
		if line, _ := in.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("got %q", line)
		}
		_, _ = in.ReadString('\n')
		fmt.Fprint(c, "hi")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(res.Body); !strings.HasSuffix(string(b), "body=hi") {
			t.Errorf("the backend saw %q", b)
		}
	})
	t.Run("refused before the body", func(t *testing.T) {
		c, in := r.dial()
		fmt.Fprintf(c, "POST /closed HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
		if line, _ := in.ReadString('\n'); line != "HTTP/1.1 401 Unauthorized\r\n" {
			t.Fatalf("got %q", line)
		}
	})
}

func TestClientAbort(t *testing.T) {
	checkLeaks(t)
	arrived, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-r.Context().Done():
			gone <- struct{}{}
		case <-time.After(5 * time.Second):
		}
	})
	r := start(t, to(addr, ""))
	c, _ := r.dial()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	c.Close()
	select {
	case <-gone:
	case <-time.After(4 * time.Second):
		t.Error("the backend still works for a client that left")
	}
}

func TestPooledConnectionsThatEnd(t *testing.T) {
	checkLeaks(t)
	var served atomic.Int64
	// Each connection answers once with keep-alive, and then ends without a word.
	addr := listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		served.Add(1)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	r := start(t, to(addr, ""))
	for i := range 20 {
		method := "GET" // may be repeated, so it may meet the end of the connection
		if i%2 == 1 {
			method = "POST"
			time.Sleep(20 * time.Millisecond)
		}
		if status, _, body := r.do(method, "/", "x"); status != 200 || body != "ok" {
			t.Fatalf("request %d (%s): %d %q", i, method, status, body)
		}
	}
	if served.Load() != 20 {
		t.Errorf("the backend served %d requests of 20: something was sent twice", served.Load())
	}
}

func TestUnsafeRequestIsNotRepeated(t *testing.T) {
	checkLeaks(t)
	var posts atomic.Int64
	addr := listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if req.Method == "POST" {
				posts.Add(1)
				return // after the whole request arrived
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	r := start(t, to(addr, ""))
	r.get("/") // so that a pooled connection is there
	if status, _, _ := r.do("POST", "/", "order"); status != 502 {
		t.Errorf("got %d, want 502", status)
	}
	if posts.Load() != 1 {
		t.Errorf("the order was placed %d times", posts.Load())
	}
}

func TestBodies(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_ = http.NewResponseController(w).EnableFullDuplex()
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n, ",", r.Trailer.Get("X-In")))
	})
	r := start(t, to(addr, ""))
	for _, size := range []int{0, 1, 5000, 20 << 10, 70 << 10, 3 << 20} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprint(size, chunked), func(t *testing.T) {
				data := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
				var body io.Reader = bytes.NewReader(data)
				if chunked {
					body = struct{ io.Reader }{body}
				}
				req, err := http.NewRequest("POST", r.base, body)
				if err != nil {
					t.Fatal(err)
				}
				if chunked {
					req.Trailer = http.Header{"X-In": {"t"}}
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				got, err := io.ReadAll(res.Body)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes came back of %d: %v", len(got), size, err)
				}
				if want := fmt.Sprint(size, ","); !strings.HasPrefix(res.Trailer.Get("X-Sum"), want) {
					t.Errorf("trailer %q, want %q...", res.Trailer.Get("X-Sum"), want)
				}
			})
		}
	}
}

func TestBodilessAnswers(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("ETag", `"x"`)
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "1234")
			if r.Method != "HEAD" {
				_, _ = w.Write(make([]byte, 1234))
			}
		}
	})
	r := start(t, to(addr, ""))
	c, in := r.dial()
	// All over one connection: a body where none belongs would break the next.
	for _, q := range []struct {
		method, path string
		status       int
		length       string
	}{{"HEAD", "/", 200, "1234"}, {"GET", "/204", 204, ""}, {"GET", "/304", 304, ""}, {"HEAD", "/x", 200, "1234"}, {"GET", "/", 200, "1234"}} {
		fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", q.method, q.path)
		res, err := http.ReadResponse(in, &http.Request{Method: q.method})
		if err != nil {
			t.Fatalf("%s %s: %v", q.method, q.path, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		if res.StatusCode != q.status || res.Header.Get("Content-Length") != q.length {
			t.Errorf("%s %s: %d, length %q", q.method, q.path, res.StatusCode, res.Header.Get("Content-Length"))
		}
	}
}

func TestHTTP2(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, seen)
	r := start(t, to(addr, ""))
	transport := &http.Transport{Protocols: &http.Protocols{}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, body := range []string{"", "hello", strings.Repeat("x", 1<<20)} {
		res, err := client.Post(r.base+"/p?q=1", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.ProtoMajor != 2 || !strings.HasPrefix(string(b), "POST /p?q=1 ") || !strings.HasSuffix(string(b), "body="+body) {
			t.Errorf("HTTP/%d: %.80q %v", res.ProtoMajor, b, err)
		}
	}
	res, err := client.Get(r.base + "/%zz")
	if err == nil {
		res.Body.Close()
		if res.StatusCode != 400 {
			t.Errorf("a bad escape is answered with %d", res.StatusCode)
		}
	}
}

func TestLimits(t *testing.T) {
	checkLeaks(t)
	hold, held := make(chan struct{}), make(chan struct{}, 2)
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			held <- struct{}{}
			<-hold
		}
		seen(w, r)
	})
	files := to(addr, `max_body = "10"`)
	files["limits.hcl"] = ""
	r := start(t, files)
	r.write("preamble.hcl", strings.Replace(preamble, "gateway {", "gateway {\n limits {\n  max_requests = 2\n }\n", 1))
	r.reload()

	for _, c := range []struct {
		body    string
		chunked bool
		want    int
	}{{"0123456789", false, 200}, {"0123456789", true, 200}, {"0123456789a", false, 413}, {strings.Repeat("0123456789a", 10000), true, 413}} {
		var body io.Reader = strings.NewReader(c.body)
		if c.chunked {
			body = struct{ io.Reader }{body}
		}
		res, err := http.Post(r.base+"/", "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%d bytes, chunked %v: %d, want %d", len(c.body), c.chunked, res.StatusCode, c.want)
		}
	}

	done := make(chan int, 2)
	for range 2 {
		go func() {
			res, err := http.Get(r.base + "/hold")
			if err != nil {
				done <- 0
				return
			}
			defer res.Body.Close()
			_, _ = io.Copy(io.Discard, res.Body)
			done <- res.StatusCode
		}()
	}
	for range 2 {
		<-held
	}
	if status, h, _ := r.get("/"); status != 503 || h.Get("Retry-After") == "" {
		t.Errorf("a third request in flight gets %d %v", status, h)
	}
	release()
	for range 2 {
		if status := <-done; status != 200 {
			t.Errorf("a request within the limit got %d", status)
		}
	}
}

func TestGRPCErrors(t *testing.T) {
	checkLeaks(t)
	r := start(t, map[string]string{"routes.hcl": `
route "none" {
  path = "/x"
  respond {}
}
`})
	status, h, body := r.do("POST", "/pkg.Service/Method", "", "Content-Type: application/grpc+proto")
	if status != 200 || h.Get("Grpc-Status") != "12" || body != "" {
		t.Errorf("got %d %v %q, want 200 with grpc-status 12", status, h, body)
	}
}

func TestMalformedRequests(t *testing.T) {
	checkLeaks(t)
	var reached atomic.Int64
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) { reached.Add(1) })
	r := start(t, to(addr, ""))
	for in, want := range map[string]int{
		"GET / HTTP/1.1\r\n\r\n":                       400,
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": 400,
		"GET / HTTP/3.0\r\nHost: a\r\n\r\n":            505,
		"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n":      501,
		"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n":         400,
		"GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n":        400,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":                         400,
	} {
		c, br := r.dial()
		fmt.Fprint(c, in)
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != want || !bytes.Contains(body, []byte(`"status":`)) {
			t.Errorf("%q: %d %q, want %d as a problem", in, res.StatusCode, body, want)
		}
		c.Close()
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d malformed requests reached the backend whole", n)
	}
}
