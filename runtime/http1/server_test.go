package http1_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type handler func(x *exchange.Exchange)

func (h handler) Serve(x *exchange.Exchange) { h(x) }

// refuser is a handler that answers bad heads as the engine does.
type refuser struct{ handler }

func (refuser) Refuse(x *exchange.Exchange, status int, reason string) {
	x.Reply(status, "application/problem+json", []byte(reason))
	reply(x)
}

// reply sends x.Response, which has its content in memory.
func reply(x *exchange.Exchange) {
	f := x.Front
	err := f.WriteHead()
	if err == nil && x.Response.Body != nil && x.Request.Method != "HEAD" {
		err = f.Write(x.Response.Buffered, true)
	} else if err == nil {
		err = f.End(nil)
	}
	if err != nil {
		f.Reset(exchange.ResetInternal)
	}
}

func content(b exchange.Body) (string, error) {
	var s strings.Builder
	for b != nil {
		p, err := b.Next()
		s.Write(p)
		if err == io.EOF {
			break
		}
		if err != nil {
			return s.String(), err
		}
	}
	return s.String(), nil
}

// echo answers with what it was asked.
func echo(x *exchange.Exchange) {
	body, err := content(x.Request.Body)
	if err != nil {
		status := 400
		if errors.Is(err, os.ErrDeadlineExceeded) {
			status = 408
		}
		x.Reply(status, "text/plain", []byte(err.Error()))
		reply(x)
		return
	}
	for i := range x.Request.Trailer.Len() {
		_, n, v := x.Request.Trailer.At(i)
		body += fmt.Sprintf("|%s=%s", n, v)
	}
	x.Reply(200, "text/plain", []byte(x.Request.Method+" "+x.Request.Target+" "+body))
	reply(x)
}

// listen serves h on a socket and returns its address. The test fails if a
// connection outlives it.
func listen(t testing.TB, h exchange.Handler, to http1.Timeouts) (string, *http1.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := http1.NewServer(h, http1.Limits{}, to)
	info := &exchange.ListenerInfo{Name: "t"}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				s.ServeConn(context.Background(), c, exchange.NewConn(info, c.RemoteAddr(), c.LocalAddr(), nil, 0))
			})
		}
	})
	t.Cleanup(func() { l.Close(); s.Close(); wg.Wait() })
	return l.Addr().String(), s
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	return c
}

// talk sends the parts with a pause between them, ends the sending side and
// returns all that comes back, without Date.
func talk(t testing.TB, addr string, parts ...string) string {
	t.Helper()
	c := dial(t, addr)
	go func() {
		for i, p := range parts {
			if i > 0 {
				time.Sleep(30 * time.Millisecond)
			}
			if _, err := io.WriteString(c, p); err != nil {
				return
			}
		}
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	b, err := io.ReadAll(c)
	if err != nil {
		b = append(b, "\n!"+err.Error()...)
	}
	var kept []string
	for _, line := range strings.SplitAfter(string(b), "\r\n") {
		if !strings.HasPrefix(line, "Date: ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func answer(status, contentType, body string, fields ...string) string {
	return crlf(append([]string{"HTTP/1.1 " + status, "content-type: " + contentType, fmt.Sprint("Content-Length: ", len(body))}, fields...)...) + body
}

func TestServer(t *testing.T) {
	addr, _ := listen(t, refuser{echo}, http1.Timeouts{})
	text := func(body string, fields ...string) string { return answer("200 OK", "text/plain", body, fields...) }
	problem := func(status, body string) string {
		return answer(status, "application/problem+json", body, "Connection: close")
	}
	get := "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
	post := "POST /p HTTP/1.1\r\nHost: a\r\n"
	large := strings.Repeat("0123456789", 30000)
	for _, c := range []struct {
		name  string
		parts []string
		want  string
	}{
		{"one", []string{get}, text("GET /1 ")},
		{"pipelined", []string{get + strings.Replace(get, "/1", "/2", 1) + get}, text("GET /1 ") + text("GET /2 ") + text("GET /1 ")},
		{"in pieces", []string{get[:3], get[3:17], get[17:25], get[25:] + get[:10], get[10:]}, text("GET /1 ") + text("GET /1 ")},
		{"close", []string{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + get}, text("GET / ", "Connection: close")},
		{"1.0", []string{"GET / HTTP/1.0\r\n\r\n" + get}, text("GET / ", "Connection: close")},
		{"1.0 kept alive", []string{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get}, text("GET / ", "Connection: keep-alive") + text("GET /1 ")},
		{"HEAD", []string{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get}, crlf("HTTP/1.1 200 OK", "content-type: text/plain", "Content-Length: 7") + text("GET /1 ")},
		{"a body", []string{post + "Content-Length: 3\r\n\r\nabc" + get}, text("POST /p abc") + text("GET /1 ")},
		{"a body in pieces", []string{post + "Content-Length: 6\r\n\r\n", "abc", "def" + get}, text("POST /p abcdef") + text("GET /1 ")},
		{"a large body", []string{post + "Content-Length: 300000\r\n\r\n" + large, get}, text("POST /p "+large) + text("GET /1 ")},
		{"chunks", []string{post + "Transfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n4; x\r\ndefg\r\n0\r\n\r\n" + get}, text("POST /p abcdefg") + text("GET /1 ")},
		{"chunks in pieces", []string{post + "Transfer-Encoding: chunked\r\n\r\n", "3", "\r", "\na", "bc\r", "\n10\r\n0123456789", "abcdef\r\n", "0", "\r\n", "\r\n" + get}, text("POST /p abc0123456789abcdef") + text("GET /1 ")},
		{"a large chunk", []string{post + "Transfer-Encoding: chunked\r\n\r\n493e0\r\n" + large + "\r\n0\r\n\r\n" + get}, text("POST /p "+large) + text("GET /1 ")},
		{"trailers", []string{post + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nContent-Length: 5\r\nAuthorization: x\r\nSet-Cookie: y\r\nX-Two: 2\r\n\r\n" + get}, text("POST /p a|X-Sum=1|X-Two=2") + text("GET /1 ")},
		{"half a request", []string{get + post + "Content-Le"}, text("GET /1 ")},
		{"half a body", []string{post + "Content-Length: 6\r\n\r\nabc"}, answer("400 Bad Request", "text/plain", "unexpected EOF", "Connection: close")},
		{"a chunk that is too short", []string{post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n" + get}, answer("400 Bad Request", "text/plain", "a chunk does not end where it says", "Connection: close")},
		{"continue", []string{post + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n", "abc" + get}, "HTTP/1.1 100 Continue\r\n\r\n" + text("POST /p abc") + text("GET /1 ")},
		{"continue is not asked for by 1.0", []string{"POST /p HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", "abc"}, text("POST /p abc", "Connection: close")},
		{"continue is not needed", []string{post + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc" + get}, text("POST /p abc") + text("GET /1 ")},
		{"a bad head", []string{get + "GET / HTTP/1.1\r\nHost : a\r\n\r\n" + get}, text("GET /1 ") + problem("400 Bad Request", "a header line has no valid field name")},
		{"CL and TE", []string{post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get}, problem("400 Bad Request", "Content-Length and Transfer-Encoding are both there")},
		{"another expectation", []string{post + "Content-Length: 3\r\nExpect: cake\r\n\r\nabc"}, problem("417 Expectation Failed", "this expectation is not supported")},
		{"HTTP/2", []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, problem("505 HTTP Version Not Supported", "this version of HTTP is not supported")},
		{"a large head", []string{"GET / HTTP/1.1\r\nHost: a\r\nX: " + large}, problem("431 Request Header Fields Too Large", "the message head is too large")},
		{"a head over several buffers", []string{"GET / HTTP/1.1\r\nHost: a\r\nX: " + large[:20000], large[:20000], large[:20000] + "\r\n\r\n" + get}, text("GET / ") + text("GET /1 ")},
		{"nothing", []string{""}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := talk(t, addr, c.parts...); got != c.want {
				t.Errorf("got\n%.600s\nwant\n%.600s", got, c.want)
			}
		})
	}
}

// The ways in which a handler writes a response.
func TestServerWrites(t *testing.T) {
	for _, c := range []struct {
		name    string
		serve   handler
		request string
		want    string
	}{
		{"chunked", func(x *exchange.Exchange) {
			x.Response.Status, x.Response.Length = 200, exchange.Unknown
			x.Response.Body = x.Request.Body
			f := x.Front
			_ = errors.Join(f.WriteHead(), f.Write([]byte("abc"), false), f.Write(nil, false), f.Write([]byte("defg"), true), f.End(nil))
		}, "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"},
		{"chunked with trailers", func(x *exchange.Exchange) {
			x.Response.Status, x.Response.Length = 200, exchange.Unknown
			x.Response.Body = x.Request.Body
			x.Response.Trailer.Add("x-sum", "1")
			x.Response.Trailer.Add("content-length", "1")
			f := x.Front
			_ = errors.Join(f.WriteHead(), f.Flush(), f.Write([]byte("abc"), false), f.End(&x.Response.Trailer))
		}, "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"},
		{"chunked is close-delimited for 1.0", func(x *exchange.Exchange) {
			x.Response.Status, x.Response.Length = 200, exchange.Unknown
			x.Response.Body = x.Request.Body
			f := x.Front
			_ = errors.Join(f.WriteHead(), f.Write([]byte("abc"), true))
		}, "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"},
		{"a close-delimited response that is not ended is cut", func(x *exchange.Exchange) {
			x.Response.Status, x.Response.Length = 200, exchange.Unknown
			x.Response.Body = x.Request.Body
			f := x.Front
			_ = errors.Join(f.WriteHead(), f.Write([]byte("abc"), false))
		}, "POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", "!"},
		{"204", func(x *exchange.Exchange) {
			x.Reply(204, "", nil)
			x.Response.Head.Add("content-length", "5")
			reply(x)
		}, "", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"304", func(x *exchange.Exchange) {
			x.Response.Status, x.Response.Length = 304, 5
			_ = errors.Join(x.Front.WriteHead(), x.Front.End(nil))
		}, "", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
		{"no hop-by-hop fields", func(x *exchange.Exchange) {
			x.Reply(200, "", nil)
			for _, n := range []string{"Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Upgrade", "Trailer"} {
				x.Response.Head.Add(n, "x")
			}
			x.Response.Head.Add("X-Kept", "x")
			reply(x)
		}, "", "HTTP/1.1 200 OK\r\nX-Kept: x\r\nContent-Length: 0\r\n\r\n"},
		{"interim", func(x *exchange.Exchange) {
			var h exchange.Head
			h.Add("Link", "</a>")
			_ = errors.Join(x.Front.Inform(103, &h), x.Front.Inform(100, nil))
			x.Reply(200, "", nil)
			reply(x)
		}, "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"longer than it says", func(x *exchange.Exchange) {
			x.Reply(200, "", []byte("abc"))
			f := x.Front
			if errors.Join(f.WriteHead(), f.Write([]byte("ab"), false)) != nil || f.Write([]byte("cd"), true) == nil {
				return
			}
			f.Reset(exchange.ResetInternal)
		}, "", "!"},
		{"shorter than it says", func(x *exchange.Exchange) {
			x.Reply(200, "", []byte("abc"))
			f := x.Front
			if errors.Join(f.WriteHead(), f.Write([]byte("ab"), false)) != nil || f.End(nil) == nil {
				return
			}
		}, "", "!"},
		{"not at all", func(x *exchange.Exchange) {}, "", "!"},
		{"a line break in a field", func(x *exchange.Exchange) {
			x.Reply(200, "", nil)
			x.Response.Head.Add("x", "a\r\nSet-Cookie: b")
			reply(x)
		}, "", "!"},
		{"the body is refused before it came", func(x *exchange.Exchange) {
			x.Reply(413, "", nil)
			reply(x)
		}, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"the body is refused while it comes", func(x *exchange.Exchange) {
			x.Reply(413, "", nil)
			reply(x)
		}, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("a", 200000), "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"a body that nobody wanted is at hand", func(x *exchange.Exchange) {
			x.Reply(200, "", nil)
			reply(x)
		}, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 2)},
		{"a large head and a large body", func(x *exchange.Exchange) {
			x.Reply(200, "", []byte(strings.Repeat("b", 100000)))
			x.Response.Head.Add("x", strings.Repeat("a", 9000))
			reply(x)
		}, "", "HTTP/1.1 200 OK\r\nx: " + strings.Repeat("a", 9000) + "\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("b", 100000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, _ := listen(t, c.serve, http1.Timeouts{})
			if c.request == "" {
				c.request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
			}
			got := talk(t, addr, c.request)
			if c.want == "!" { // a reset, not a clean end
				if !strings.Contains(got, "\n!") {
					t.Errorf("got %q, which looks whole", got)
				}
			} else if got != c.want {
				t.Errorf("got\n%.600q\nwant\n%.600q", got, c.want)
			}
		})
	}
}

func TestServerTimeouts(t *testing.T) {
	addr, _ := listen(t, refuser{echo}, http1.Timeouts{Header: 80 * time.Millisecond, Idle: 150 * time.Millisecond, StreamIdle: 100 * time.Millisecond})
	for _, c := range []struct {
		name, sent, want string
		least            time.Duration
	}{
		{"idle", "", "", 150 * time.Millisecond},
		{"idle after a request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200", 150 * time.Millisecond},
		{"half a head", "GET / HTTP/1.1\r\nHo", "408", 80 * time.Millisecond},
		{"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na", "408", 100 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial(t, addr)
			start := time.Now()
			_, _ = io.WriteString(conn, c.sent)
			b, err := io.ReadAll(conn)
			if d := time.Since(start); d < c.least || d > c.least+2*time.Second {
				t.Errorf("it took %v", d)
			}
			if err != nil || (len(b) == 0) != (c.want == "") || len(b) > 0 && string(b[9:12]) != c.want {
				t.Errorf("got %q, error %v", b, err)
			}
		})
	}
}

// A slow client is bounded while it reads, too.
func TestServerWriteTimeout(t *testing.T) {
	failed := make(chan error, 1)
	addr, _ := listen(t, handler(func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Length, x.Response.Body = 200, exchange.Unknown, x.Request.Body
		err := x.Front.WriteHead()
		for p := make([]byte, 64<<10); err == nil; {
			err = x.Front.Write(p, false)
		}
		x.Front.Reset(exchange.ResetInternal)
		failed <- err
	}), http1.Timeouts{StreamIdle: 100 * time.Millisecond})
	c := dial(t, addr)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
	select {
	case err := <-failed:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it writes on")
	}
}
