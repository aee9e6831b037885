package http1_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// upstream accepts one connection and hands it to serve.
func upstream(t testing.TB, serve func(net.Conn)) *http1.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		serve(c)
	})
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := http1.NewClient(nc, http1.Limits{}, &http1.Buffers{})
	t.Cleanup(func() { c.Close(); l.Close(); wg.Wait() })
	return c
}

func newRequest(method, body string) *exchange.Request {
	r := &exchange.Request{Method: method, Path: "/x", Authority: "a", Proto: exchange.HTTP11}
	if body != "" {
		r.SetBytes([]byte(body))
	}
	return r
}

// swallow reads a request that ends in until.
func swallow(c net.Conn, until string) string {
	var got strings.Builder
	b := make([]byte, 4096)
	for !strings.HasSuffix(got.String(), until) {
		n, err := c.Read(b)
		got.Write(b[:n])
		if err != nil {
			break
		}
	}
	return got.String()
}

func TestClientResponses(t *testing.T) {
	large := strings.Repeat("0123456789", 30000)
	for _, c := range []struct {
		name, method string
		parts        []string // sent with a pause between them
		statuses     []int
		body         string
		bodyErr      error
		reusable     bool
	}{
		{"a length", "GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"}, []int{200}, "abc", nil, true},
		{"in pieces", "GET", []string{"HT", "TP/1.1 200 OK\r\nContent-Length: 3\r", "\n\r", "\na", "bc"}, []int{200}, "abc", nil, true},
		{"large", "GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + large[:100], large[100:]}, []int{200}, large, nil, true},
		{"empty", "GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, []int{200}, "", nil, true},
		{"chunked", "GET", []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "3\r\ndef\r\n0\r\n\r\n"}, []int{200}, "abcdef", nil, true},
		{"chunked with a late end", "GET", []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "\r\n"}, []int{200}, "abc", nil, true},
		{"until the end", "GET", []string{"HTTP/1.1 200 OK\r\n\r\nabc", "def"}, []int{200}, "abcdef", nil, false},
		{"1.0", "GET", []string{"HTTP/1.0 200 OK\r\n\r\nabc"}, []int{200}, "abc", nil, false},
		{"close", "GET", []string{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"}, []int{200}, "abc", nil, false},
		{"HEAD", "HEAD", []string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"}, []int{200}, "", nil, true},
		{"204", "GET", []string{"HTTP/1.1 204 No Content\r\n\r\n"}, []int{204}, "", nil, true},
		{"204 with content", "GET", []string{"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n"}, []int{204}, "", nil, false},
		{"304", "GET", []string{"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n"}, []int{304}, "", nil, true},
		{"interim", "GET", []string{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"}, []int{100, 103, 200}, "abc", nil, true},
		{"surplus", "GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n"}, []int{200}, "abc", nil, false},
		{"content after 204", "GET", []string{"HTTP/1.1 204 No Content\r\n\r\nabc"}, []int{204}, "", nil, false},
		{"shorter than it says", "GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"}, []int{200}, "abc", io.ErrUnexpectedEOF, false},
		{"chunks without end", "GET", []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}, []int{200}, "abc", io.ErrUnexpectedEOF, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := upstream(t, func(nc net.Conn) {
				swallow(nc, "\r\n\r\n")
				for i, p := range c.parts {
					if i > 0 {
						time.Sleep(30 * time.Millisecond)
					}
					_, _ = io.WriteString(nc, p)
				}
				if c.reusable {
					swallow(nc, "never")
				}
			})
			if err := cl.WriteRequest(newRequest(c.method, ""), nil, true); err != nil {
				t.Fatal(err)
			}
			var r exchange.Response
			// Slices of waiting lose nothing.
			patient := func(f func() error) error {
				for {
					_ = cl.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
					if err := f(); !errors.Is(err, os.ErrDeadlineExceeded) {
						return err
					}
				}
			}
			for _, want := range c.statuses {
				if err := patient(func() error { return cl.ReadResponse(c.method, &r) }); err != nil || r.Status != want {
					t.Fatalf("status %d, want %d, error %v", r.Status, want, err)
				}
			}
			var body strings.Builder
			var err error
			for r.Body != nil && err == nil {
				err = patient(func() error {
					p, err := r.Body.Next()
					body.Write(p)
					return err
				})
			}
			if err == io.EOF {
				err = nil
			}
			if body.String() != c.body || !errors.Is(err, c.bodyErr) {
				t.Errorf("body %.100q, error %v", body.String(), err)
			}
			if cl.Reusable() != c.reusable {
				t.Errorf("reusable %v", !c.reusable)
			}
			if c.reusable {
				cl.Park()
				if cl.Stale() {
					t.Error("stale")
				}
			}
		})
	}
}

func TestClientRequests(t *testing.T) {
	unknown := newRequest("POST", "x")
	unknown.Length = exchange.Unknown
	large := strings.Repeat("a", 20000)
	for _, c := range []struct {
		name string
		send func(*http1.Client) error
		want string
		err  bool
	}{
		{"no body", func(c *http1.Client) error { return c.WriteRequest(newRequest("GET", ""), nil, true) }, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"whole", func(c *http1.Client) error { return c.WriteRequest(newRequest("POST", "abc"), []byte("abc"), true) },
			"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", false},
		{"large", func(c *http1.Client) error { return c.WriteRequest(newRequest("POST", large), []byte(large), true) },
			"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + large, false},
		{"in parts", func(c *http1.Client) error {
			return errors.Join(c.WriteRequest(newRequest("POST", "abc"), []byte("a"), false), c.WriteBody([]byte("bc")), c.EndBody(nil))
		}, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", false},
		{"chunked whole", func(c *http1.Client) error { return c.WriteRequest(unknown, []byte("abc"), true) },
			"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false},
		{"chunked and large", func(c *http1.Client) error { return c.WriteRequest(unknown, []byte(large), true) },
			"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n" + large + "\r\n0\r\n\r\n", false},
		{"chunked with trailers", func(c *http1.Client) error {
			var tr exchange.Head
			tr.Add("X-Sum", "1")
			return errors.Join(c.WriteRequest(unknown, nil, false), c.WriteBody([]byte("abc")), c.WriteBody(nil), c.EndBody(&tr))
		}, "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", false},
		{"too short", func(c *http1.Client) error {
			return errors.Join(c.WriteRequest(newRequest("POST", "abc"), []byte("a"), false), c.EndBody(nil))
		}, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na", true},
		{"too long", func(c *http1.Client) error {
			return errors.Join(c.WriteRequest(newRequest("POST", "abc"), []byte("abc"), false), c.WriteBody([]byte("d")))
		}, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", true},
		{"unsafe", func(c *http1.Client) error {
			r := newRequest("GET", "")
			r.Head.Add("x", "a\r\nb: c")
			return c.WriteRequest(r, nil, true)
		}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := make(chan string, 1)
			cl := upstream(t, func(nc net.Conn) {
				b, _ := io.ReadAll(nc)
				got <- string(b)
			})
			err := c.send(cl)
			if (err != nil) != c.err {
				t.Fatalf("error %v", err)
			}
			if err == nil { // a small request leaves with the read
				_ = cl.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
				var r exchange.Response
				if err := cl.ReadResponse("POST", &r); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("an answer before the end: %v", err)
				}
			}
			if c.err && cl.Reusable() {
				t.Error("a connection with a broken request is reusable")
			}
			if cl.Wrote() != (c.want != "") {
				t.Errorf("wrote %v", cl.Wrote())
			}
			cl.Close()
			if s := <-got; s != c.want {
				t.Errorf("got\n%.300q\nwant\n%.300q", s, c.want)
			}
		})
	}
}

func TestClientEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		want  error
	}{
		{"closed before an answer", func(nc net.Conn) { swallow(nc, "\r\n\r\n") }, http1.ErrNoAnswer},
		{"reset before an answer", func(nc net.Conn) { swallow(nc, "\r\n\r\n"); _ = nc.(*net.TCPConn).SetLinger(0) }, http1.ErrNoAnswer},
		{"closed in the head", func(nc net.Conn) { swallow(nc, "\r\n\r\n"); _, _ = io.WriteString(nc, "HTTP/1.1 2") }, io.ErrUnexpectedEOF},
		{"slow", func(nc net.Conn) { swallow(nc, "never") }, os.ErrDeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := upstream(t, c.serve)
			if err := cl.WriteRequest(newRequest("GET", ""), nil, true); err != nil {
				t.Fatal(err)
			}
			_ = cl.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			var r exchange.Response
			if err := cl.ReadResponse("GET", &r); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if cl.Reusable() {
				t.Error("reusable")
			}
		})
	}
	t.Run("interim responses without end", func(t *testing.T) {
		cl := upstream(t, func(nc net.Conn) {
			for {
				if _, err := io.WriteString(nc, "HTTP/1.1 103 Early Hints\r\n\r\n"); err != nil {
					return
				}
			}
		})
		if err := cl.WriteRequest(newRequest("GET", ""), nil, true); err != nil {
			t.Fatal(err)
		}
		var r exchange.Response
		for i := 0; cl.ReadResponse("GET", &r) == nil; i++ {
			if i > 1000 {
				t.Fatal("nobody stops it")
			}
		}
	})
}

// A response that only the end of its connection delimits is not whole if that
// was a reset, even if a write of the request learnt of it first.
func TestClientResetWhileWriting(t *testing.T) {
	for _, reset := range []bool{true, false} {
		read, ended := make(chan struct{}), make(chan struct{})
		c := upstream(t, func(nc net.Conn) {
			swallow(nc, "hello")
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\n\r\nsome")
			<-read
			if !reset {
				_ = nc.(*net.TCPConn).CloseWrite()
				<-ended
				return
			}
			_ = nc.(*net.TCPConn).SetLinger(0)
			nc.Close()
		})
		r := newRequest("POST", "hello")
		r.Length = 100 << 20
		if err := c.WriteRequest(r, []byte("hello"), false); err != nil {
			t.Fatal(err)
		}
		var res exchange.Response
		if err := c.ReadResponse("POST", &res); err != nil {
			t.Fatal(err)
		}
		if p, err := res.Body.Next(); err != nil || string(p) != "some" {
			t.Fatalf("got %q %v", p, err)
		}
		close(read)
		written := make(chan error)
		go func() {
			for {
				if err := c.WriteBody(make([]byte, 64<<10)); err != nil {
					written <- err
					return
				}
			}
		}()
		var err error
		if reset { // the write is the first to see it
			err = <-written
		}
		if _, readErr := res.Body.Next(); reset == (readErr == io.EOF) {
			t.Errorf("reset %v: the write got %v, then the read %v", reset, err, readErr)
		}
		if !reset { // the end of the response ends the write, too
			<-written
		}
		if c.Reusable() {
			t.Error("the connection goes on")
		}
		close(ended)
	}
}

func TestClientStale(t *testing.T) {
	for name, end := range map[string]func(net.Conn){
		"closed": func(nc net.Conn) {},
		"reset":  func(nc net.Conn) { _ = nc.(*net.TCPConn).SetLinger(0) },
		"speaks": func(nc net.Conn) { _, _ = io.WriteString(nc, "HTTP/1.1 408 Timeout\r\n\r\n"); swallow(nc, "never") },
	} {
		t.Run(name, func(t *testing.T) {
			quiet := make(chan struct{})
			cl := upstream(t, func(nc net.Conn) { <-quiet; end(nc) })
			if cl.Stale() {
				t.Error("stale while it is open")
			}
			close(quiet)
			for start := time.Now(); !cl.Stale(); time.Sleep(time.Millisecond) {
				if time.Since(start) > 5*time.Second {
					t.Fatal("it is not found stale")
				}
			}
		})
	}
}

// A deadline that is moved back a little is still kept.
func TestClientDeadline(t *testing.T) {
	cl := upstream(t, func(nc net.Conn) { swallow(nc, "never") })
	if err := cl.WriteRequest(newRequest("GET", ""), nil, true); err != nil {
		t.Fatal(err)
	}
	var r exchange.Response
	start := time.Now()
	for _, d := range []time.Duration{50, 120, 90} {
		_ = cl.SetReadDeadline(start.Add(d * time.Millisecond))
	}
	err := cl.ReadResponse("GET", &r)
	if d := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || d < 90*time.Millisecond || d > 2*time.Second {
		t.Errorf("%v after %v", err, d)
	}
}

// The deadline of one request does not bind the next.
func TestClientParkLiftsTheWriteDeadline(t *testing.T) {
	cl := upstream(t, func(nc net.Conn) {
		for range 2 {
			swallow(nc, "\r\n\r\n")
			_, _ = io.WriteString(nc, "HTTP/1.1 204 No Content\r\n\r\n")
		}
		swallow(nc, "never")
	})
	for range 2 {
		if err := cl.WriteRequest(newRequest("GET", ""), nil, true); err != nil {
			t.Fatal(err)
		}
		_ = cl.SetWriteDeadline(time.Now().Add(time.Millisecond))
		var r exchange.Response
		if err := cl.ReadResponse("GET", &r); err != nil || !cl.Reusable() {
			t.Fatal(err)
		}
		cl.Park()
		time.Sleep(5 * time.Millisecond)
	}
}

func TestClientTunnel(t *testing.T) {
	cl := upstream(t, func(nc net.Conn) {
		swallow(nc, "\r\n\r\n")
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly")
		_, _ = io.Copy(nc, nc)
	})
	req := newRequest("GET", "")
	req.Upgrade = "echo"
	if err := cl.WriteRequest(req, nil, true); err != nil {
		t.Fatal(err)
	}
	var r exchange.Response
	if err := cl.ReadResponse("GET", &r); err != nil || r.Status != 101 || r.Upgrade != "echo" || cl.Reusable() {
		t.Fatal(err, r.Status, r.Upgrade)
	}
	nc, read := cl.Tunnel()
	defer nc.Close()
	cl.Close() // does not end what was given away
	_, _ = io.WriteString(nc, " late")
	b := make([]byte, 5)
	_, err := io.ReadFull(nc, b)
	if string(read)+string(b) != "early late" || err != nil {
		t.Errorf("got %q %q, %v", read, b, err)
	}
}

// What an idle connection turns out to be costs no request: not one byte of it
// is written to a connection that ended, or that holds bytes nobody asked for.
func TestClientIdle(t *testing.T) {
	for _, c := range []struct {
		name  string
		after func(net.Conn)
		large bool
	}{
		{"closed", func(nc net.Conn) { nc.Close() }, false},
		{"closed, large request", func(nc net.Conn) { nc.Close() }, true},
		{"half-closed", func(nc net.Conn) { _ = nc.(*net.TCPConn).CloseWrite() }, false},
		{"surplus answer", func(nc net.Conn) { _, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") }, false},
		{"surplus answer, large request", func(nc net.Conn) { _, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			idle, rest := make(chan struct{}), make(chan string, 1)
			cl := upstream(t, func(nc net.Conn) {
				swallow(nc, "\r\n\r\n")
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				<-idle
				c.after(nc)
				b, _ := io.ReadAll(nc)
				rest <- string(b)
			})
			var r exchange.Response
			if err := errors.Join(cl.WriteRequest(newRequest("GET", ""), nil, true), cl.ReadResponse("GET", &r)); err != nil {
				t.Fatal(err)
			}
			if !cl.Reusable() || cl.Stale() {
				t.Fatal("not reusable")
			}
			cl.Park()
			close(idle)
			for !cl.Stale() {
				time.Sleep(time.Millisecond)
			}
			body := ""
			if c.large {
				body = strings.Repeat("a", 20000)
			}
			err := cl.WriteRequest(newRequest("POST", body), []byte(body), true)
			if err == nil {
				err = cl.ReadResponse("POST", &r)
			}
			if err == nil || errors.Is(err, http1.ErrNoAnswer) || cl.Wrote() || cl.Reusable() {
				t.Errorf("error %v, wrote %v, reusable %v", err, cl.Wrote(), cl.Reusable())
			}
			cl.Close()
			if b := <-rest; b != "" {
				t.Errorf("the server got %q", b)
			}
		})
	}
}
