package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Requests with the body "hello world"; %d is their number.
var asked = []struct{ name, text string }{
	{"length", "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world"},
	{"chunked", "POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: v\r\n\r\n"},
	{"expect", "POST /%d HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\nhello world"},
}

// A request of which the end is missing never looks whole to the backend,
// however its client leaves.
func TestClientEndsAnywhere(t *testing.T) {
	checkResources(t)
	var mu sync.Mutex
	whole := map[string]string{}
	addr := scripted(t, func(turn turn) bool {
		mu.Lock()
		whole[turn.req.URL.Path] = turn.body
		mu.Unlock()
		_, _ = io.WriteString(turn.c, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world")
		return true
	})
	r := start(t, to(addr, ""))
	n := 1000
	var parts []string // the requests of which the end is missing
	var all sync.WaitGroup
	for _, q := range asked {
		for at := range len(q.text) + 3 {
			for _, how := range []end{fin, rst, half} {
				n++
				text := fmt.Sprintf(q.text, n)
				if at > len(text) {
					continue
				}
				path := fmt.Sprintf("/%d", n)
				c, in := r.dial()
				all.Go(func() {
					defer c.Close()
					_, _ = io.WriteString(c, text[:at])
					how.apply(c)
					if how != half {
						return
					}
					a, err := tryReceive(in, "POST")
					switch {
					case at == len(text):
						if err != nil || a.status != 200 || a.body != "hello world" {
							t.Errorf("%s: a client that ended its side got %+v %v", q.name, a, err)
						}
					case err == nil && a.status < 400:
						t.Errorf("%s at %d: half a request was answered with %+v", q.name, at, a)
					}
				})
				if n%50 == 0 {
					all.Wait()
				}
				if at < len(text) {
					parts = append(parts, path)
				}
			}
		}
	}
	all.Wait()
	r.settled()
	mu.Lock()
	defer mu.Unlock()
	for _, path := range parts {
		if body, ok := whole[path]; ok {
			t.Errorf("%s: the backend saw half a request whole: %q", path, body)
		}
	}
	for path, body := range whole {
		if body != "hello world" {
			t.Errorf("%s: the backend took %q for the whole body", path, body)
		}
	}
}

// A client that goes silent is answered 408, or closed where nobody knows what it
// speaks.
func TestClientStallsAnywhere(t *testing.T) {
	checkResources(t)
	addr := scripted(t, func(turn turn) bool {
		t.Errorf("the backend saw half a request whole: %s %q", turn.req.URL, turn.body)
		return false
	})
	files := to(addr, "")
	files["preamble.hcl"] = limitedTimes("    header = \"1s\"\n    idle = \"1s\"\n    stream_idle = \"1s\"")
	r := start(t, files)
	var all sync.WaitGroup
	for _, q := range asked {
		text := fmt.Sprintf(q.text, 1)
		for at := range len(text) {
			c, in := r.dial()
			all.Go(func() {
				defer c.Close()
				_, _ = io.WriteString(c, text[:at])
				a, err := tryReceive(in, "POST")
				if at <= 1 { // "P" may also begin the preface of HTTP/2
					if err != io.ErrUnexpectedEOF || a.status > 0 {
						t.Errorf("%s at %d: got %+v %v, want an end", q.name, at, a, err)
					}
				} else if err != nil || a.status != 408 || a.err != nil {
					t.Errorf("%s at %d of %d: got %+v %v, want 408", q.name, at, len(text), a, err)
				}
				if _, err := in.ReadByte(); err == nil {
					t.Errorf("%s at %d: the connection goes on", q.name, at)
				}
			})
		}
	}
	all.Wait()
	r.settled()
}

// A client that leaves while the response streams ends it at the backend.
func TestClientLeavesStream(t *testing.T) {
	checkResources(t)
	for _, how := range []end{fin, rst} {
		for _, pause := range []time.Duration{0, 5 * time.Millisecond} {
			t.Run(fmt.Sprint(how, pause), func(t *testing.T) {
				var ended sync.WaitGroup
				addr := backend(t, func(w http.ResponseWriter, req *http.Request) {
					defer ended.Done()
					for req.Context().Err() == nil {
						if _, err := w.Write(make([]byte, 1000)); err != nil {
							return
						}
						_ = http.NewResponseController(w).Flush()
						time.Sleep(pause)
					}
				})
				r := start(t, to(addr, ""))
				for _, n := range []int{1, 20, 150, 2000, 100_000} {
					ended.Add(1)
					c, in := r.dial()
					fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
					if _, err := io.CopyN(io.Discard, in, int64(n)); err != nil {
						t.Fatal(err)
					}
					how.apply(c)
				}
				done := make(chan struct{})
				go func() { ended.Wait(); close(done) }()
				select {
				case <-done:
				case <-time.After(5 * time.Second):
					t.Error("the backend still sends to clients that left")
				}
				r.settled()
			})
		}
	}
}

// A client that leaves in the middle of its upload ends it at the backend.
func TestClientLeavesUpload(t *testing.T) {
	checkResources(t)
	ended := make(chan error, 1)
	addr := backend(t, func(w http.ResponseWriter, req *http.Request) {
		_, err := io.Copy(io.Discard, req.Body)
		ended <- err
	})
	r := start(t, to(addr, ""))
	for _, how := range []end{fin, rst} {
		for _, framing := range []string{"Content-Length: 10000000", "Transfer-Encoding: chunked"} {
			for _, n := range []int{1, 5000, 300_000} {
				c, _ := r.dial()
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\nfffff\r\n", framing)
				if _, err := c.Write(make([]byte, n)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Millisecond) // so that some of it is under way
				how.apply(c)
				select {
				case err := <-ended:
					if err == nil {
						t.Errorf("%s, %s, %d: the backend took half an upload for a whole one", how, framing, n)
					}
				case <-time.After(time.Second):
					// The head never left, for an upload that broke at once.
				}
			}
		}
	}
	r.settled()
}

// A backend that has seen enough answers before the request is whole.
func TestEarlyFinalResponse(t *testing.T) {
	checkResources(t)
	for _, c := range []struct {
		name, response string
		status         int
		then           end // of the backend
	}{
		{"413 and close", "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig", 413, fin},
		{"413 and reset", "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig", 413, rst},
		{"401 and go on", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nwho", 401, stays},
		{"200 by close", "HTTP/1.1 200 OK\r\n\r\nfine", 200, half},
	} {
		for _, size := range []int{1000, 8 << 20} {
			for _, framing := range []string{"Content-Length: %d\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n%x\r\n"} {
				t.Run(fmt.Sprint(c.name, size, framing[:7]), func(t *testing.T) {
					done := make(chan struct{})
					addr := listen(t, func(nc net.Conn) {
						if _, err := http.ReadRequest(bufio.NewReader(nc)); err != nil {
							return
						}
						_, _ = io.WriteString(nc, c.response)
						if c.then == rst { // after the answer was read, else it may be lost
							<-done
						}
						c.then.apply(nc)
						_, _ = io.Copy(io.Discard, nc) // as a server that drains
					})
					r := start(t, to(addr, ""))
					nc, in := r.dial()
					sent := make(chan struct{})
					go func() {
						defer close(sent)
						fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: a\r\n"+framing, size)
						_, _ = nc.Write(make([]byte, size/2))
					}()
					a := receive(t, in, "POST")
					close(done)
					if a.status != c.status || a.err != nil {
						t.Errorf("got %+v", a)
					}
					// Half of the body is missing: no further request can follow.
					if _, err := in.ReadByte(); err == nil {
						t.Error("the connection goes on in the middle of a body")
					}
					nc.Close()
					<-sent
					r.settled()
				})
			}
		}
	}
}

func TestExpectContinue(t *testing.T) {
	checkResources(t)
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	addr := listen(t, func(nc net.Conn) {
		in := bufio.NewReader(nc)
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if req.URL.Path == "/final" {
				_, _ = io.WriteString(nc, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno")
			}
			if req.URL.Path == "/invite" || req.URL.Path == "/twice" {
				_, _ = io.WriteString(nc, "HTTP/1.1 100 Continue\r\n\r\n")
			}
			if req.URL.Path == "/twice" {
				_, _ = io.WriteString(nc, "HTTP/1.1 100 Continue\r\n\r\n")
			}
			if b, err := io.ReadAll(req.Body); err != nil || string(b) != "hello" {
				return
			}
			if req.URL.Path != "/final" {
				_, _ = io.WriteString(nc, ok)
			}
		}
	})
	r := start(t, to(addr, ""))
	for _, c := range []struct {
		path   string
		wait   bool // for 100
		status int
	}{
		{"/invite", true, 200}, {"/invite", false, 200}, {"/twice", true, 200}, {"/silent", true, 200}, {"/silent", false, 200},
		{"/final", false, 417},
	} {
		nc, in := r.dial()
		fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", c.path)
		if c.wait {
			if line, err := in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
				t.Errorf("%s: got %q %v, want an invitation", c.path, line, err)
				continue
			}
			_, _ = in.ReadString('\n')
		}
		_, _ = io.WriteString(nc, "hello")
		if a := receive(t, in, "POST"); a.status != c.status || a.err != nil {
			t.Errorf("%s: got %+v", c.path, a)
		}
		nc.Close()
	}
	r.settled()
}

func TestInterimResponses(t *testing.T) {
	checkResources(t)
	addr := scripted(t, func(turn turn) bool {
		var n int
		_, _ = fmt.Sscanf(turn.req.URL.Path, "/%d", &n)
		for i := range n {
			fmt.Fprintf(turn.c, "HTTP/1.1 103 Early Hints\r\nLink: </%d>\r\n\r\n", i)
		}
		_, _ = io.WriteString(turn.c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return true
	})
	r := start(t, to(addr, ""))
	for _, c := range []struct{ n, status, passed int }{{0, 200, 0}, {1, 200, 1}, {20, 200, 20}, {64, 200, 64}, {65, 502, 64}, {500, 502, 64}} {
		nc, in := r.dial()
		fmt.Fprintf(nc, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", c.n)
		if a := receive(t, in, "GET"); a.status != c.status || len(a.interim) != c.passed {
			t.Errorf("%d hints: got %d after %d", c.n, a.status, len(a.interim))
		}
		fmt.Fprintf(nc, "GET /%d HTTP/1.0\r\n\r\n", min(c.n, 20))
		if a := receive(t, in, "GET"); a.status != 200 || len(a.interim) != 0 {
			t.Errorf("HTTP/1.0 knows no interim responses: got %+v", a)
		}
		nc.Close()
	}
	r.settled()
}

func TestHTTP10(t *testing.T) {
	checkResources(t)
	addr := scripted(t, func(turn turn) bool {
		switch turn.req.URL.Path {
		case "/old":
			_, _ = io.WriteString(turn.c, "HTTP/1.0 200 OK\r\n\r\nfrom before")
			return false
		case "/oldalive":
			_, _ = io.WriteString(turn.c, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 11\r\n\r\nfrom before")
			return true
		case "/chunked":
			_, _ = io.WriteString(turn.c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfrom \r\n6\r\nbefore\r\n0\r\n\r\n")
			return true
		}
		_, _ = io.WriteString(turn.c, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfrom before")
		return true
	})
	r := start(t, to(addr, ""))
	for _, c := range []struct {
		request string
		alive   bool
	}{
		{"GET %s HTTP/1.0\r\n\r\n", false},
		{"GET %s HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true},
		{"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false},
		{"GET %s HTTP/1.1\r\nHost: a\r\n\r\n", true},
	} {
		for _, path := range []string{"/length", "/chunked", "/old", "/oldalive"} {
			nc, in := r.dial()
			fmt.Fprintf(nc, c.request, path)
			// An HTTP/1.0 client can't be told the length of a stream but by its end.
			alive := c.alive && !(strings.Contains(c.request, "1.0") && (path == "/chunked" || path == "/old"))
			a := receive(t, in, "GET")
			if a.status != 200 || a.body != "from before" || a.err != nil {
				t.Errorf("%q %s: got %+v", c.request, path, a)
			}
			if strings.Contains(c.request, "1.0") && a.header.Get("Transfer-Encoding") != "" {
				t.Errorf("%q %s: chunked to HTTP/1.0", c.request, path)
			}
			fmt.Fprintf(nc, c.request, path)
			if a, err := tryReceive(in, "GET"); alive != (err == nil && a.status == 200) {
				t.Errorf("%q %s: a second request on the connection: %+v %v, want it answered: %v", c.request, path, a, err, alive)
			}
			nc.Close()
		}
	}
	r.settled()
}

func TestPipelining(t *testing.T) {
	checkResources(t)
	addr := backend(t, func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		fmt.Fprintf(w, "%s %d", req.URL.Path, len(b))
	})
	r := start(t, to(addr, ""))
	nc, in := r.dial()
	sizes := []int{0, 1, 100, 5000, 20_000, 70_000, 0, 0, 200_000, 3}
	go func() {
		for i := range 100 {
			size := sizes[i%len(sizes)]
			switch {
			case size == 0:
				fmt.Fprintf(nc, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
			case i%3 == 0:
				fmt.Fprintf(nc, "POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", i, size, make([]byte, size))
			default:
				fmt.Fprintf(nc, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", i, size, make([]byte, size))
			}
		}
	}()
	for i := range 100 {
		a := receive(t, in, "GET")
		if want := fmt.Sprintf("/%d %d", i, sizes[i%len(sizes)]); a.body != want || a.err != nil {
			t.Fatalf("response %d is %+v, want %q", i, a, want)
		}
	}
	nc.Close()
	r.settled()
}

func TestUpgradeRefused(t *testing.T) {
	checkResources(t)
	addr := scripted(t, func(turn turn) bool {
		_, _ = io.WriteString(turn.c, map[string]string{
			"/no":     "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
			"/other":  "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
			"/ignore": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		}[turn.req.URL.Path])
		return true
	})
	r := start(t, to(addr, ""))
	nc, in := r.dial()
	for range 3 { // all on one connection
		for path, want := range map[string]int{"/no": 403, "/other": 502, "/ignore": 200} {
			fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", path)
			if a := receive(t, in, "GET"); a.status != want || a.err != nil {
				t.Errorf("%s: got %+v, want %d", path, a, want)
			}
		}
	}
	// 101 to a client that did not ask.
	fmt.Fprintf(nc, "GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
	if a := receive(t, in, "GET"); a.status != 502 {
		t.Errorf("a 101 that nobody asked for: %+v", a)
	}
	nc.Close()
	r.settled()
}
