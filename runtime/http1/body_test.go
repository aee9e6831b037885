package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// A message that came whole is one call of Next: bytes and end together.
func TestBodyAtHand(t *testing.T) {
	type call struct {
		ready bool
		data  string
		err   error
	}
	for _, c := range []struct {
		name string
		sent []string // with a pause between them
		want []call
	}{
		{"a length", []string{"Content-Length: 3\r\n\r\nabc"}, []call{{true, "abc", io.EOF}, {true, "", io.EOF}}},
		{"a length, late", []string{"Content-Length: 3\r\n\r\n", "abc"}, []call{{false, "abc", io.EOF}}},
		{"a length, half", []string{"Content-Length: 3\r\n\r\na", "bc"}, []call{{true, "a", nil}, {false, "bc", io.EOF}}},
		{"chunks", []string{"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"}, []call{{true, "abcdef", io.EOF}, {true, "", io.EOF}}},
		{"chunks without their end", []string{"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n", "0\r\n\r\n"}, []call{{true, "abcdef", nil}, {false, "", io.EOF}}},
		{"half a chunk line", []string{"Transfer-Encoding: chunked\r\n\r\n3", "\r\nabc\r\n0\r\n\r\n"}, []call{{false, "abc", io.EOF}}},
		{"a chunk line", []string{"Transfer-Encoding: chunked\r\n\r\n3\r\n", "abc\r\n0\r\n\r\n"}, []call{{false, "abc", io.EOF}}},
		{"an empty body in chunks", []string{"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, []call{{true, "", io.EOF}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, _ := listen(t, handler(func(x *exchange.Exchange) {
				b := x.Request.Body
				for i, want := range c.want {
					ready := b.Ready()
					p, err := b.Next()
					if got := (call{ready, string(p), err}); got != want {
						t.Errorf("call %d: got %v, want %v", i, got, want)
					}
				}
				x.Reply(204, "", nil)
				reply(x)
			}), http1.Timeouts{})
			c.sent[0] = "POST / HTTP/1.1\r\nHost: a\r\n" + c.sent[0]
			if got := talk(t, addr, c.sent...); got != "HTTP/1.1 204 No Content\r\n\r\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// The response may begin, and go on, while another goroutine reads the request.
func TestDuplex(t *testing.T) {
	addr, _ := listen(t, handler(func(x *exchange.Exchange) {
		parts := make(chan string)
		go func() {
			defer close(parts)
			for {
				p, err := x.Request.Body.Next()
				if len(p) > 0 {
					parts <- string(p)
				}
				if err != nil {
					return
				}
			}
		}()
		x.Response.Status, x.Response.Length, x.Response.Body = 200, exchange.Unknown, x.Request.Body
		err := x.Front.WriteHead()
		for p := range parts {
			if err == nil {
				err = x.Front.Write([]byte(p), false)
			}
		}
		if err != nil || x.Front.End(nil) != nil {
			x.Front.Reset(exchange.ResetInternal)
		}
	}), http1.Timeouts{})
	c := dial(t, addr)
	br := bufio.NewReader(c)
	for range 3 {
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n0\r\n")
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		one := make([]byte, 1)
		for i := range 5 {
			if _, err := io.ReadFull(res.Body, one); err != nil || one[0] != byte('0'+i) {
				t.Fatalf("%q, %v", one, err)
			}
			if i < 4 {
				_, _ = fmt.Fprintf(c, "1\r\n%d\r\n", i+1)
			}
		}
		_, _ = io.WriteString(c, "0\r\n\r\n")
		if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
			t.Fatalf("%q, %v", rest, err)
		}
	}
}

// A handler that makes no error answers leaves them bare.
func TestRefusedWithoutRefuser(t *testing.T) {
	addr, _ := listen(t, handler(echo), http1.Timeouts{})
	for head, want := range map[string]string{
		"GET / HTTP/1.1\r\n\r\n":                                  "400 Bad Request",
		"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n":                 "501 Not Implemented",
		"HEAD / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n":        "400 Bad Request",
		"GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\n\r\n": "414 Request URI Too Long",
	} {
		if got := talk(t, addr, head); got != crlf("HTTP/1.1 "+want, "Content-Length: 0", "Connection: close") {
			t.Errorf("%.40q: got %q", head, got)
		}
	}
}
