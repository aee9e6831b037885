package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// fields are the names and values of a head, sorted as a map has no order.
func fields(h *exchange.Head, skip ...exchange.Name) []string {
	var all []string
	for i := range h.Len() {
		id, n, v := h.At(i)
		if id == exchange.NameOther || !slices.Contains(skip, id) {
			all = append(all, textproto.CanonicalMIMEHeaderKey(string(n))+"="+string(v))
		}
	}
	slices.Sort(all)
	return all
}

func netFields(h http.Header) []string {
	var all []string
	for n, vs := range h {
		for _, v := range vs {
			if exchange.Alias(n) { // never passed on
				continue
			}
			all = append(all, n+"="+v)
		}
	}
	slices.Sort(all)
	return all
}

// What net/http refuses we refuse, but for what the router checks; what both
// take means the same, to the last byte of the body.
func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a?b HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\nX: y\r\n\r\nabcGET",
		"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\nGET",
		"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"GET http://b/x HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\nX: 1\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: [::1]:8\r\n\r\n",
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	for _, s := range seeds(f, ">") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r exchange.Request
		n, err := http1.ParseRequest(data, &r, http1.Limits{})
		if err != nil || n == 0 {
			var e *http1.Error
			if err != nil && (!errors.As(err, &e) || e.Status < 400 || e.Reason == "") {
				t.Fatalf("error %#v", err)
			}
			return
		}
		// No part of the head is a head, and what follows changes nothing.
		var part exchange.Request
		if m, err := http1.ParseRequest(data[:n-1], &part, http1.Limits{}); m != 0 || err != nil {
			t.Fatalf("all but a byte: n = %d, error %v", m, err)
		}
		if m, err := http1.ParseRequest(data[:n], &part, http1.Limits{}); m != n || err != nil {
			t.Fatalf("alone: n = %d, error %v", m, err)
		}
		head := bytes.TrimPrefix(data, []byte("\r\n"))
		br := bufio.NewReader(bytes.NewReader(head))
		want, err := http.ReadRequest(br)
		if err != nil {
			// Escapes are the router's to check, and ports are nobody's.
			if strings.Contains(err.Error(), "invalid URL escape") || strings.Contains(err.Error(), "invalid port") || strings.Contains(err.Error(), "invalid host") {
				return
			}
			t.Fatalf("we take what net/http refuses: %v\n%q", err, data[:n])
		}
		if want.Method != r.Method || want.RequestURI != r.Target || want.Proto != r.Proto.String() {
			t.Errorf("%s %s %s, net/http: %s %s %s", r.Method, r.Target, r.Proto, want.Method, want.RequestURI, want.Proto)
		}
		if want.Host != r.Authority && !strings.Contains(r.Authority, "%") {
			t.Errorf("host %q, net/http: %q", r.Authority, want.Host)
		}
		if want.ContentLength != r.Length {
			t.Errorf("length %d, net/http: %d", r.Length, want.ContentLength)
		}
		if connection, _ := r.Known(exchange.NameConnection); connection == nil { // else fields were dropped
			ours := fields(&r.Head, exchange.NameHost, exchange.NameTransferEncoding, exchange.NameTrailer)
			theirs := http.Header(want.Header).Clone()
			theirs.Del("Trailer")
			if want.Header.Get("Pragma") == "no-cache" { // net/http adds Cache-Control
				return
			}
			if got := netFields(theirs); !slices.Equal(ours, got) {
				t.Errorf("fields %q\nnet/http: %q", ours, got)
			}
		}
		compareBody(t, data, want, br)
		// What we send is what we understood.
		if r.Authority == "" {
			return
		}
		sent, err := http1.AppendRequest(nil, &r)
		if err != nil {
			t.Fatalf("what was parsed can't be sent: %v", err)
		}
		var again exchange.Request
		if n, err := http1.ParseRequest(sent, &again, http1.Limits{}); err != nil || n != len(sent) {
			t.Fatalf("n = %d of %d, error %v\n%q", n, len(sent), err, sent)
		}
		if again.Method != r.Method || again.Path != r.Path || again.RawQuery != r.RawQuery || again.Authority != r.Authority || again.Length != r.Length {
			t.Errorf("sent\n%q\nfor\n%q", sent, data[:n])
		}
	})
}

// compareBody serves data and compares the first request's body with net/http's,
// whether the connection goes on, and where the next request begins.
func compareBody(t *testing.T, data []byte, want *http.Request, br *bufio.Reader) {
	var body, next string
	err := errors.New("it was not served")
	served := 0
	s := http1.NewServer(handler(func(x *exchange.Exchange) {
		if served++; served > 1 {
			next = x.Request.Target
			x.Front.Reset(exchange.ResetCancel)
			return
		}
		if body, err = content(x.Request.Body); err != nil {
			x.Front.Reset(exchange.ResetCancel)
			return
		}
		x.Reply(200, "", nil)
		if x.Front.WriteHead() == nil {
			_ = x.Front.End(nil)
		}
	}), http1.Limits{}, http1.Timeouts{})
	c := &scripted{data: data, sizes: [2]int{len(data), len(data)}}
	s.ServeConn(context.Background(), c, &exchange.Conn{})
	theirs, theirErr := io.ReadAll(want.Body)
	if err != nil {
		return
	}
	if theirErr != nil {
		t.Errorf("we take a body that net/http refuses: %v", theirErr)
		return
	}
	if body != string(theirs) {
		t.Errorf("body %q, net/http: %q", body, theirs)
	}
	first, _, _ := strings.Cut(c.written.String(), "\r\n\r\n")
	if closes := strings.Contains(first, "\r\nConnection: close"); closes != want.Close {
		t.Errorf("closes: %v, net/http: %v", closes, want.Close)
	}
	if want.Close {
		return
	}
	rest, _ := io.ReadAll(br)
	var r exchange.Request
	if n, err := http1.ParseRequest(rest, &r, http1.Limits{}); n > 0 && err == nil && r.Target != next || (n == 0 || err != nil) && served > 1 {
		t.Errorf("the next request is for %q, net/http leaves %q", next, rest)
	}
}

// compareResponse reads data as a response with all that follows, and compares it
// with what net/http reads.
func compareResponse(t *testing.T, data []byte, method string, a, b int) {
	c := http1.NewClient(&scripted{data: data, sizes: [2]int{a, b}}, http1.Limits{}, &http1.Buffers{})
	if err := c.WriteRequest(&exchange.Request{Method: method, Path: "/", Authority: "a"}, nil, true); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(bytes.NewReader(data))
	var r exchange.Response
	var want *http.Response
	for r.Status < 200 && r.Status != 101 {
		if c.ReadResponse(method, &r) != nil {
			return
		}
		var err error
		if want, err = http.ReadResponse(br, &http.Request{Method: method}); err != nil {
			t.Fatalf("we take what net/http refuses: %v", err)
		}
		if want.StatusCode != r.Status {
			t.Fatalf("status %d, net/http: %d", r.Status, want.StatusCode)
		}
	}
	if r.Status == 101 {
		return
	}
	body, err := content(r.Body)
	theirs, theirErr := io.ReadAll(want.Body)
	switch {
	case err != nil:
	case theirErr != nil:
		t.Errorf("we take a body that net/http refuses: %v", theirErr)
	case body != string(theirs):
		t.Errorf("body %q, net/http: %q", body, theirs)
	case c.Reusable() && (want.Close || br.Buffered() > 0 && a >= len(data)):
		t.Error("the connection is used again; net/http would not")
	}
}

func FuzzParseResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"HTTP/1.0 404 \r\n\r\n",
		"HTTP/1.1 204\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nConnection: close, x\r\nX: y\r\n\r\n",
	} {
		f.Add([]byte(s), false)
	}
	for _, s := range seeds(f, "!") {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		var r exchange.Response
		n, err := http1.ParseResponse(data, method, &r, http1.Limits{})
		if err != nil || n == 0 {
			return
		}
		want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("we take what net/http refuses: %v\n%q", err, data[:n])
		}
		want.Body.Close()
		if want.StatusCode != r.Status {
			t.Errorf("status %d, net/http: %d", r.Status, want.StatusCode)
		}
		// net/http gives bodiless statuses a length of their own.
		if r.Status >= 200 && r.Status != 204 && r.Status != 304 && !head && want.ContentLength != r.Length {
			t.Errorf("length %d, net/http: %d", r.Length, want.ContentLength)
		}
		if _, ok := r.Known(exchange.NameConnection); !ok && want.Header.Get("Pragma") != "no-cache" {
			ours := fields(&r.Head, exchange.NameTransferEncoding, exchange.NameTrailer)
			theirs := want.Header.Clone()
			theirs.Del("Trailer")
			theirs.Del("Transfer-Encoding") // kept for bodiless statuses
			if got := netFields(theirs); !slices.Equal(ours, got) {
				t.Errorf("fields %q\nnet/http: %q", ours, got)
			}
		}
		compareResponse(t, data, method, len(data), len(data))
		compareResponse(t, data, method, 1, 7)
	})
}

// However chunked bytes are cut into reads, they decode to the same, and to what
// net/http decodes them to.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"3\r\nabc\r\n0\r\n\r\n", "3;a=b\r\nabc\r\n00a\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET", "3\r\nabcd\r\n0\r\n\r\n", "fffffffffffffff1\r\n",
		"0\r\nX : y\r\n\r\n", "3 ; x\r\nabc\r\n0\r\n\r\n", "1\na\r\n0\r\n\r\n", "1\r\na\n0\r\n\r\n", "0x1\r\na\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s), uint8(1), uint8(3))
	}
	for _, s := range append(seeds(f, ">"), seeds(f, "!")...) {
		if head, body, ok := strings.Cut(s, "\r\n\r\n"); ok && strings.Contains(head, "chunked") {
			f.Add([]byte(body), uint8(1), uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, a, b uint8) {
		whole, wholeErr := dechunk(data, len(data)+1, len(data)+1)
		parts, partsErr := dechunk(data, int(a)+1, int(b)+1)
		if (wholeErr == nil) != (partsErr == nil) || wholeErr == nil && whole != parts {
			t.Fatalf("at once %q, %v; in parts %q, %v", whole, wholeErr, parts, partsErr)
		}
		if wholeErr != nil {
			return
		}
		req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(data))))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(req.Body)
		if err != nil || string(body) != whole {
			t.Fatalf("%q, net/http: %q, %v", whole, body, err)
		}
	})
}

// dechunk serves data as a chunked body that comes in reads of a and b bytes in
// turn.
func dechunk(data []byte, a, b int) (body string, err error) {
	err = errors.New("it was not served")
	s := http1.NewServer(handler(func(x *exchange.Exchange) {
		body, err = content(x.Request.Body)
		for i := range x.Request.Trailer.Len() {
			_, n, v := x.Request.Trailer.At(i)
			if !exchange.ValidName(n) || !exchange.ValidValue(v) {
				err = fmt.Errorf("a bad trailer came through: %q: %q", n, v)
			}
		}
		x.Front.Reset(exchange.ResetCancel)
	}), http1.Limits{}, http1.Timeouts{})
	c := &scripted{data: data, sizes: [2]int{a, b}}
	s.ServeRead(context.Background(), c, &exchange.Conn{}, []byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"))
	return body, err
}

// scripted is a connection whose reads return what the test says.
type scripted struct {
	data    []byte
	sizes   [2]int
	written bytes.Buffer
}

func (c *scripted) Write(p []byte) (int, error)      { return c.written.Write(p) }
func (c *scripted) Close() error                     { return nil }
func (c *scripted) LocalAddr() net.Addr              { return nil }
func (c *scripted) RemoteAddr() net.Addr             { return nil }
func (c *scripted) SetDeadline(time.Time) error      { return nil }
func (c *scripted) SetReadDeadline(time.Time) error  { return nil }
func (c *scripted) SetWriteDeadline(time.Time) error { return nil }

func (c *scripted) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.data[:min(len(c.data), c.sizes[0])])
	c.data, c.sizes[0], c.sizes[1] = c.data[n:], c.sizes[1], c.sizes[0]
	return n, nil
}
