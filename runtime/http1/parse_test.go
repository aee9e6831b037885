package http1_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// request shows how a head was understood.
func request(r *exchange.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s ? %s | %s | %v | len %d", r.Method, r.Path, r.RawQuery, r.Authority, r.Proto, r.Length)
	if r.Upgrade != "" {
		fmt.Fprintf(&b, " | upgrade %s", r.Upgrade)
	}
	for i := range r.Len() {
		_, n, v := r.At(i)
		fmt.Fprintf(&b, " | %s=%s", n, v)
	}
	return b.String()
}

func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

func TestParseRequest(t *testing.T) {
	for _, c := range []struct{ name, head, want string }{
		{"plain", crlf("GET /a?b=c HTTP/1.1", "Host: example.com:80"), "GET /a ? b=c | example.com:80 | HTTP/1.1 | len 0 | Host=example.com:80"},
		{"empty line before", "\r\n" + crlf("GET / HTTP/1.1", "Host: a"), "GET / ?  | a | HTTP/1.1 | len 0 | Host=a"},
		{"spaces around a value", crlf("GET / HTTP/1.1", "Host:a", "X: \t b c \t "), "GET / ?  | a | HTTP/1.1 | len 0 | Host=a | X=b c"},
		{"empty value", crlf("GET / HTTP/1.1", "Host: a", "X:", "Y: "), "GET / ?  | a | HTTP/1.1 | len 0 | Host=a | X= | Y="},
		{"obs-text", crlf("GET / HTTP/1.1", "Host: a", "X: h\xe9llo w\xf6rld"), "GET / ?  | a | HTTP/1.1 | len 0 | Host=a | X=h\xe9llo w\xf6rld"},
		{"a tab in a long value", crlf("GET / HTTP/1.1", "Host: a", "X: 0123456\t89abcdef\tx"), "GET / ?  | a | HTTP/1.1 | len 0 | Host=a | X=0123456\t89abcdef\tx"},
		{"a length", crlf("POST / HTTP/1.1", "Host: a", "content-length: 007"), "POST / ?  | a | HTTP/1.1 | len 7 | Host=a | content-length=007"},
		{"chunked", crlf("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked"), "POST / ?  | a | HTTP/1.1 | len -1 | Host=a | Transfer-Encoding=Chunked"},
		{"1.0 without a host", crlf("GET / HTTP/1.0"), "GET / ?  |  | HTTP/1.0 | len 0"},
		{"a method of its own", crlf("PROP-FIND /x HTTP/1.1", "Host: a"), "PROP-FIND /x ?  | a | HTTP/1.1 | len 0 | Host=a"},
		{"asterisk", crlf("OPTIONS * HTTP/1.1", "Host: a"), "OPTIONS * ?  | a | HTTP/1.1 | len 0 | Host=a"},
		{"absolute", crlf("GET HTTP://b:8/x?y HTTP/1.1", "Host: b:8"), "GET /x ? y | b:8 | HTTP/1.1 | len 0 | Host=b:8"},
		{"absolute wins over the host", crlf("GET http://b/x HTTP/1.1", "Host: a"), "GET /x ?  | b | HTTP/1.1 | len 0 | host=b"},
		{"absolute without a path", crlf("GET http://b?q HTTP/1.1", "Host: b"), "GET / ? q | b | HTTP/1.1 | len 0 | Host=b"},
		{"absolute asterisk", crlf("OPTIONS http://b HTTP/1.1", "Host: b"), "OPTIONS * ?  | b | HTTP/1.1 | len 0 | Host=b"},
		{"an IPv6 host", crlf("GET / HTTP/1.1", "Host: [::1]:8080"), "GET / ?  | [::1]:8080 | HTTP/1.1 | len 0 | Host=[::1]:8080"},
		{"upgrade", crlf("GET / HTTP/1.1", "Host: a", "Connection: keep-alive, Upgrade", "Upgrade: websocket"), "GET / ?  | a | HTTP/1.1 | len 0 | upgrade websocket | Host=a | Connection=keep-alive, Upgrade | Upgrade=websocket"},
		{"upgrade without connection", crlf("GET / HTTP/1.1", "Host: a", "Upgrade: websocket"), "GET / ?  | a | HTTP/1.1 | len 0 | Host=a | Upgrade=websocket"},
		{"no upgrade to h2c", crlf("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: h2c"), "GET / ?  | a | HTTP/1.1 | len 0 | Host=a | Connection=Upgrade | Upgrade=h2c"},
		{"no upgrade with content", crlf("GET / HTTP/1.1", "Host: a", "Content-Length: 1", "Connection: Upgrade", "Upgrade: websocket"), "GET / ?  | a | HTTP/1.1 | len 1 | Host=a | Content-Length=1 | Connection=Upgrade | Upgrade=websocket"},
		{"connection names a field", crlf("GET / HTTP/1.1", "Host: a", "X-Hop: 1", "Connection: x-hop, close", "Y: 2"), "GET / ?  | a | HTTP/1.1 | len 0 | Host=a | Connection=x-hop, close | Y=2"},
		{"connection can't hide what matters", crlf("GET / HTTP/1.1", "Host: a", "Authorization: b", "X-Forwarded-For: c", "Cookie: d", "Connection: host, authorization, x-forwarded-for, cookie"),
			"GET / ?  | a | HTTP/1.1 | len 0 | Host=a | Authorization=b | X-Forwarded-For=c | Cookie=d | Connection=host, authorization, x-forwarded-for, cookie"},
		{"1.0 takes no expectation", crlf("GET / HTTP/1.0", "Expect: cake"), "GET / ?  |  | HTTP/1.0 | len 0 | Expect=cake"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r exchange.Request
			head := []byte(c.head + "surplus")
			n, err := http1.ParseRequest(head, &r, http1.Limits{})
			if err != nil || n != len(c.head) {
				t.Fatalf("n = %d of %d, error %v", n, len(c.head), err)
			}
			if got := request(&r); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			// It takes the whole head, and no error is found in a part of it.
			for i := range len(c.head) {
				var r exchange.Request
				if n, err := http1.ParseRequest(head[:i], &r, http1.Limits{}); n != 0 || err != nil {
					t.Fatalf("%d bytes: n = %d, error %v", i, n, err)
				}
			}
		})
	}
}

func TestParseRequestRefuses(t *testing.T) {
	host := "Host: a\r\n"
	for _, c := range []struct {
		name, head string
		status     int
	}{
		{"CL and TE", "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"TE and CL", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
		{"CL with a coding that is unknown", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n", 400},
		{"differing CL", "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
		{"repeated CL", "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
		{"list of CL", "POST / HTTP/1.1\r\n" + host + "Content-Length: 5, 5\r\n\r\n", 400},
		{"signed CL", "POST / HTTP/1.1\r\n" + host + "Content-Length: +5\r\n\r\n", 400},
		{"negative CL", "POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
		{"hex CL", "POST / HTTP/1.1\r\n" + host + "Content-Length: 0x5\r\n\r\n", 400},
		{"empty CL", "POST / HTTP/1.1\r\n" + host + "Content-Length:\r\n\r\n", 400},
		{"CL beyond 63 bits", "POST / HTTP/1.1\r\n" + host + "Content-Length: 18446744073709551621\r\n\r\n", 400},
		{"TE on 1.0", "POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", 400},
		{"another coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
		{"another coding in a line of its own", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
		{"chunked is not final", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, gzip\r\n\r\n", 400},
		{"identity", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\n\r\n", 400},
		{"chunked twice", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, chunked\r\n\r\n", 400},
		{"chunked in two lines", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"chunked with a comma", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: ,chunked\r\n\r\n", 400},
		{"chunked in quotes", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \"chunked\"\r\n\r\n", 400},
		{"chunked with a parameter", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked;q=1\r\n\r\n", 400},
		{"chunked with a vertical tab", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \vchunked\r\n\r\n", 400},
		{"empty TE", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n\r\n", 400},
		{"space before the colon", "POST / HTTP/1.1\r\n" + host + "Content-Length : 5\r\n\r\n", 400},
		{"tab before the colon", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding\t: chunked\r\n\r\n", 400},
		{"obs-fold", "GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", 400},
		{"obs-fold of the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
		{"bare LF after the request line", "GET / HTTP/1.1\n" + host + "\r\n", 400},
		{"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
		{"bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
		{"bare CR in a value", "GET / HTTP/1.1\r\n" + host + "X: a\rb\r\n\r\n", 400},
		{"bare CR in a long value", "GET / HTTP/1.1\r\n" + host + "X: aaaaaaaaaaaaaaaaaaaa\rContent-Length: 5\r\n\r\n", 400},
		{"CR CR LF", "GET / HTTP/1.1\r\n" + host + "X: a\r\r\n\r\n", 400},
		{"NUL in a value", "GET / HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n", 400},
		{"DEL in a value", "GET / HTTP/1.1\r\n" + host + "X: 1234567\x7f\r\n\r\n", 400},
		{"a field without a name", "GET / HTTP/1.1\r\n" + host + ": a\r\n\r\n", 400},
		{"a field without a colon", "GET / HTTP/1.1\r\n" + host + "X\r\n\r\n", 400},
		{"a byte beyond ASCII in a name", "GET / HTTP/1.1\r\n" + host + "\xc4: a\r\n\r\n", 400},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
		{"no host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 400},
		{"no host with an absolute target", "GET http://a/ HTTP/1.1\r\nX: a\r\n\r\n", 400},
		{"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		{"host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
		{"host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		{"host with a word for a port", "GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", 400},
		{"host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400},
		{"host of only a port", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400},
		{"host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
		{"host with words in brackets", "GET / HTTP/1.1\r\nHost: [xyz]\r\n\r\n", 400},
		{"user in the target", "GET http://u@a/ HTTP/1.1\r\n" + host + "\r\n", 400},
		{"another scheme", "GET ftp://a/ HTTP/1.1\r\n" + host + "\r\n", 400},
		{"absolute without a host", "GET http:///x HTTP/1.1\r\n" + host + "\r\n", 400},
		{"a fragment", "GET /a#b HTTP/1.1\r\n" + host + "\r\n", 400},
		{"a control byte in the target", "GET /a\x01 HTTP/1.1\r\n" + host + "\r\n", 400},
		{"a tab in the target", "GET /a\tb HTTP/1.1\r\n" + host + "\r\n", 400},
		{"a raw byte in the target", "GET /\xc3\xa4 HTTP/1.1\r\n" + host + "\r\n", 400},
		{"a space in the target", "GET /a b HTTP/1.1\r\n" + host + "\r\n", 400},
		{"two spaces", "GET  / HTTP/1.1\r\n" + host + "\r\n", 400},
		{"a space at the end", "GET / HTTP/1.1 \r\n" + host + "\r\n", 400},
		{"a relative target", "GET a HTTP/1.1\r\n" + host + "\r\n", 400},
		{"asterisk for GET", "GET * HTTP/1.1\r\n" + host + "\r\n", 400},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\n" + host + "\r\n", 501},
		{"CONNECT to a path", "CONNECT /x HTTP/1.1\r\n" + host + "\r\n", 501},
		{"no version", "GET /\r\n\r\n", 400},
		{"version 0.9", "GET / HTTP/0.9\r\n" + host + "\r\n", 505},
		{"version 1.2", "GET / HTTP/1.2\r\n" + host + "\r\n", 505},
		{"version 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		{"version in lower case", "GET / http/1.1\r\n" + host + "\r\n", 400},
		{"a method that is no token", "G(T / HTTP/1.1\r\n" + host + "\r\n", 400},
		{"no method", " / HTTP/1.1\r\n" + host + "\r\n", 400},
		{"a TLS handshake", "\x16\x03\x01\x02\x00", 400},
		{"another expectation", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nExpect: 200-ok\r\n\r\n", 417},
		{"too many fields", "GET / HTTP/1.1\r\n" + host + strings.Repeat("X: a\r\n", 128) + "\r\n", 431},
		{"a head without end", "GET / HTTP/1.1\r\n" + host + strings.Repeat("X: aaaaaaaaaaaaaaaaa\r\n", 3000), 431},
		{"a large head", "GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 70000) + "\r\n\r\n", 431},
		{"a long target", "GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\n" + host + "\r\n", 414},
		{"a target without end", "GET /" + strings.Repeat("a", 70000), 414},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r exchange.Request
			n, err := http1.ParseRequest([]byte(c.head), &r, http1.Limits{})
			var e *http1.Error
			if !errors.As(err, &e) || n != 0 {
				t.Fatalf("n = %d, error %v; understood as %s", n, err, request(&r))
			}
			if e.Status != c.status {
				t.Errorf("status %d (%s), want %d", e.Status, e.Reason, c.status)
			}
		})
	}
}

func TestParseResponse(t *testing.T) {
	for _, c := range []struct {
		name, method, head string
		status             int
		length             int64
		close              bool
	}{
		{"a length", "GET", crlf("HTTP/1.1 200 OK", "Content-Length: 5"), 200, 5, false},
		{"no reason", "GET", crlf("HTTP/1.1 200 ", "Content-Length: 5"), 200, 5, false},
		{"no space before no reason", "GET", crlf("HTTP/1.1 200", "Content-Length: 5"), 200, 5, false},
		{"chunked", "GET", crlf("HTTP/1.1 200 OK", "transfer-encoding: chunked"), 200, -1, false},
		{"until the end", "GET", crlf("HTTP/1.1 200 OK"), 200, -1, true},
		{"close", "GET", crlf("HTTP/1.1 200 OK", "Content-Length: 5", "Connection: foo, Close"), 200, 5, true},
		{"1.0", "GET", crlf("HTTP/1.0 200 OK", "Content-Length: 5"), 200, 5, true},
		{"1.0 that is kept", "GET", crlf("HTTP/1.0 200 OK", "Content-Length: 5", "Connection: keep-alive"), 200, 5, false},
		{"to HEAD", "HEAD", crlf("HTTP/1.1 200 OK", "Content-Length: 5"), 200, 5, false},
		{"to HEAD of unknown size", "HEAD", crlf("HTTP/1.1 200 OK"), 200, -1, false},
		{"204", "GET", crlf("HTTP/1.1 204 No Content"), 204, 0, false},
		{"204 with a length", "GET", crlf("HTTP/1.1 204 No Content", "Content-Length: 5"), 204, 0, true},
		{"304", "GET", crlf("HTTP/1.1 304 Not Modified", "Content-Length: 5"), 304, 5, false},
		{"103", "GET", crlf("HTTP/1.1 103 Early Hints", "Link: </a>"), 103, 0, false},
		{"101", "GET", crlf("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: upgrade"), 101, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r exchange.Response
			n, err := http1.ParseResponse([]byte(c.head+"x"), c.method, &r, http1.Limits{})
			if err != nil || n != len(c.head) {
				t.Fatalf("n = %d of %d, error %v", n, len(c.head), err)
			}
			if r.Status != c.status || r.Length != c.length || r.Close != c.close {
				t.Errorf("status %d length %d close %v", r.Status, r.Length, r.Close)
			}
		})
	}
	for name, head := range map[string]string{
		"CL and TE":          crlf("HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked"),
		"repeated CL":        crlf("HTTP/1.1 200 OK", "Content-Length: 5", "Content-Length: 5"),
		"TE on 1.0":          crlf("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"),
		"another coding":     crlf("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked"),
		"obs-fold":           crlf("HTTP/1.1 200 OK", "X: a", " b"),
		"bare LF":            "HTTP/1.1 200 OK\nX: a\r\n\r\n",
		"another version":    crlf("HTTP/2.0 200 OK"),
		"another protocol":   crlf("ICY 200 OK"),
		"status of two":      crlf("HTTP/1.1 20 OK"),
		"status of four":     crlf("HTTP/1.1 2000 OK"),
		"status below":       crlf("HTTP/1.1 099 OK"),
		"status above":       crlf("HTTP/1.1 999 OK"),
		"CR in the reason":   crlf("HTTP/1.1 200 O\rK"),
		"a space for a name": crlf("HTTP/1.1 200 OK", "X : a"),
		"101 to nothing":     crlf("HTTP/1.1 101 OK"),
	} {
		t.Run(name, func(t *testing.T) {
			var r exchange.Response
			n, err := http1.ParseResponse([]byte(head), "GET", &r, http1.Limits{})
			var e *http1.Error
			if !errors.As(err, &e) || e.Status != 502 || n != 0 {
				t.Fatalf("n = %d, error %v", n, err)
			}
		})
	}
}

func TestAppendRequest(t *testing.T) {
	parse := func(head string) *exchange.Request {
		r := &exchange.Request{}
		if n, err := http1.ParseRequest([]byte(head), r, http1.Limits{}); err != nil || n == 0 {
			t.Fatal(n, err)
		}
		return r
	}
	in := crlf("POST /a?b HTTP/1.1", "Host: a", "X-One: 1", "Connection: x-hop, keep-alive", "X-Hop: 2", "Keep-Alive: 3", "Te: trailers",
		"Proxy-Connection: x", "Transfer-Encoding: chunked", "Trailer: x", "Upgrade: y", "Expect: 100-continue", "Content-Type: t")
	for _, c := range []struct {
		name string
		edit func(*exchange.Request)
		want string // "" if refused
	}{
		{"as it came", func(*exchange.Request) {}, crlf("POST /a?b HTTP/1.1", "Host: a", "X-One: 1", "Content-Type: t", "Transfer-Encoding: chunked")},
		{"what is added can't be named by the client", func(r *exchange.Request) { r.Head.Add("x-hop", "ours") },
			crlf("POST /a?b HTTP/1.1", "Host: a", "X-One: 1", "Content-Type: t", "x-hop: ours", "Transfer-Encoding: chunked")},
		{"a new size", func(r *exchange.Request) { r.SetBytes([]byte("abc")) }, crlf("POST /a?b HTTP/1.1", "Host: a", "X-One: 1", "Content-Type: t", "Content-Length: 3")},
		{"no content", func(r *exchange.Request) { r.SetBytes(nil) }, crlf("POST /a?b HTTP/1.1", "Host: a", "X-One: 1", "Content-Type: t", "Content-Length: 0")},
		{"GET", func(r *exchange.Request) { r.SetBytes(nil); r.Method = "GET" }, crlf("GET /a?b HTTP/1.1", "Host: a", "X-One: 1", "Content-Type: t")},
		{"framing by a filter", func(r *exchange.Request) { r.Head.Add("Content-Length", "9"); r.Head.Add("transfer-encoding", "x") },
			crlf("POST /a?b HTTP/1.1", "Host: a", "X-One: 1", "Content-Type: t", "Transfer-Encoding: chunked")},
		{"a line in a value", func(r *exchange.Request) { r.Head.Add("x", "a\r\nb: c") }, ""},
		{"a line in a name", func(r *exchange.Request) { r.Head.Add("x: y\r\nz", "a") }, ""},
		{"a line in the path", func(r *exchange.Request) { r.Path = "/ HTTP/1.1\r\nX: y" }, ""},
		{"a line in the query", func(r *exchange.Request) { r.RawQuery = "a\nb" }, ""},
		{"a line in the host", func(r *exchange.Request) { r.Authority = "a\r\nb" }, ""},
		{"a line in the method", func(r *exchange.Request) { r.Method = "GET / HTTP/1.1\r\n" }, ""},
		{"a line in the protocol", func(r *exchange.Request) { r.Upgrade = "a\r\nb" }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := parse(in)
			c.edit(r)
			got, err := http1.AppendRequest(nil, r)
			if (err == nil) != (c.want != "") {
				t.Fatalf("error %v", err)
			}
			if err == nil && string(got) != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
