package http1_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

type echo struct{}

func (echo) Serve(x *exchange.Exchange) {
	var body []byte
	for x.Request.Body != nil {
		p, err := x.Request.Body.Next()
		body = append(body, p...)
		if err == io.EOF {
			break
		}
		if err != nil {
			x.Front.Reset(exchange.ResetInternal)
			return
		}
	}
	x.Reply(200, "text/plain", []byte(x.Request.Method+" "+x.Request.Target+" "+string(body)))
	if err := x.Front.WriteHead(); err != nil {
		x.Front.Reset(exchange.ResetInternal)
		return
	}
	if x.Request.Method == "HEAD" {
		_ = x.Front.End(nil)
		return
	}
	_ = x.Front.Write(x.Response.Buffered, true)
}

func serve(t testing.TB, h exchange.Handler) (string, *http1.Server) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := http1.NewServer(h, http1.Limits{}, http1.Timeouts{})
	info := &exchange.ListenerInfo{Name: "t"}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.ServeConn(context.Background(), c, exchange.NewConn(info, c.RemoteAddr(), c.LocalAddr(), nil, 0))
		}
	}()
	t.Cleanup(func() { l.Close(); s.Close() })
	return l.Addr().String(), s
}

func TestQuick(t *testing.T) {
	addr, _ := serve(t, echo{})
	for i := range 3 {
		res, err := http.Post("http://"+addr+"/x", "text/plain", strings.NewReader(strings.Repeat("a", i*50000)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if err != nil || len(b) != i*50000+8 {
			t.Fatal(err, len(b))
		}
		res.Body.Close()
	}
	res, err := http.Post("http://"+addr+"/x", "text/plain", io.MultiReader(strings.NewReader("abc"), strings.NewReader(strings.Repeat("d", 100000))))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil || len(b) != 100003+8 {
		t.Fatal(err, len(b))
	}
	// pipelining, expect
	c, _ := net.Dial("tcp", addr)
	fmt.Fprintf(c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nPOST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nPOST /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	br := bufio.NewReader(c)
	for range 3 {
		r, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		t.Log(string(b))
	}
	line, err := br.ReadString('\n')
	t.Log(line, err)
	br.ReadString('\n')
	fmt.Fprint(c, "hi")
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ = io.ReadAll(r.Body)
	t.Log(string(b))
	time.Sleep(10 * time.Millisecond)
}
