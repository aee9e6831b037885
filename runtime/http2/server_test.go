package http2_test

//lint:file-ignore SA1019 net/http serves no single connection that somebody else accepted

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	xhttp2 "golang.org/x/net/http2"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/http2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type handler func(x *exchange.Exchange)

func (h handler) Serve(x *exchange.Exchange) { h(x) }

// serve runs a server on loopback and returns a client that speaks HTTP/2 to
// it from the first byte.
func serve(t *testing.T, h exchange.Handler, lim http1.Limits) (*http.Client, string, *http2.Server) {
	t.Helper()
	return serveWithin(t, h, lim, http1.Timeouts{})
}

func serveWithin(t *testing.T, h exchange.Handler, lim http1.Limits, to http1.Timeouts) (*http.Client, string, *http2.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := http2.NewServer(h, lim, to)
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
	tr := &xhttp2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		l.Close()
		s.Close()
		wg.Wait()
	})
	return &http.Client{Transport: tr}, "http://" + l.Addr().String(), s
}

// echo streams the request body back and tells in a trailer what it was.
func echo(x *exchange.Exchange) {
	x.Response.Status = 200
	x.Response.Head.Reset(nil)
	x.Response.Head.Add("x-path", x.Request.Path+"?"+x.Request.RawQuery)
	x.Response.Head.Add("x-host", x.Request.Authority)
	if v, ok := x.Request.Head.Get("cookie"); ok {
		x.Response.Head.Add("x-cookie", string(v))
	}
	x.Response.Length = exchange.Unknown
	x.Response.Body = x.Request.Body
	if x.Front.WriteHead() != nil {
		x.Front.Reset(exchange.ResetInternal)
		return
	}
	n := 0
	for x.Request.Body != nil {
		p, err := x.Request.Body.Next()
		n += len(p)
		if err != nil && err != io.EOF {
			x.Front.Reset(exchange.ResetCancel)
			return
		}
		if x.Front.Write(p, false) != nil {
			x.Front.Reset(exchange.ResetCancel)
			return
		}
		if err == io.EOF {
			break
		}
	}
	var trailer exchange.Head
	in, _ := x.Request.Trailer.Get("x-in")
	trailer.Add("x-sum", fmt.Sprintf("%d %s", n, in))
	_ = x.Front.End(&trailer)
}

func TestEcho(t *testing.T) {
	client, url, _ := serve(t, handler(echo), http1.Limits{})
	var wg sync.WaitGroup
	for _, size := range []int{0, 1, 10_000, 300_000, 2 << 20} {
		for range 8 {
			wg.Go(func() {
				data := bytes.Repeat([]byte("x"), size)
				req, _ := http.NewRequest("POST", url+"/a%2Fb/c?q=%20", struct{ io.Reader }{bytes.NewReader(data)})
				req.Trailer = http.Header{"X-In": {"t"}}
				req.Header["Cookie"] = []string{"a=1", "b=2"}
				res, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				got, err := io.ReadAll(res.Body)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes came back of %d: %v", len(got), size, err)
				}
				if want := fmt.Sprintf("%d t", size); res.Trailer.Get("X-Sum") != want {
					t.Errorf("trailer %q, want %q", res.Trailer.Get("X-Sum"), want)
				}
				if p := res.Header.Get("X-Path"); p != "/a%2Fb/c?q=%20" {
					t.Errorf("path %q was not kept as sent", p)
				}
				if c := res.Header.Get("X-Cookie"); c != "a=1; b=2" {
					t.Errorf("cookies %q", c)
				}
			})
		}
	}
	wg.Wait()
}

// TestBothDirections reads an answer to the first part before it sends the
// second.
func TestBothDirections(t *testing.T) {
	client, url, _ := serve(t, handler(echo), http1.Limits{})
	in, out := io.Pipe()
	req, _ := http.NewRequest("POST", url, in)
	go func() { _, _ = out.Write([]byte("one")) }()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for _, part := range []string{"one", "two", "three"} {
		if part != "one" {
			if _, err := out.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		buf := make([]byte, len(part))
		if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != part {
			t.Fatalf("got %q %v, want %q", buf, err, part)
		}
	}
	out.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q %v", rest, err)
	}
}

func TestReset(t *testing.T) {
	client, url, _ := serve(t, handler(func(x *exchange.Exchange) {
		x.Reply(200, "", []byte("0123456789"))
		_ = x.Front.WriteHead()
		_ = x.Front.Write([]byte("01234"), false)
		x.Front.Reset(exchange.ResetInternal)
	}), http1.Limits{})
	res, err := client.Get(url)
	if err == nil {
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
	}
	var se xhttp2.StreamError
	if !errors.As(err, &se) {
		t.Errorf("error %v, want a reset stream", err)
	}
}

func TestClientLeaves(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan bool)
	client, url, _ := serve(t, handler(func(x *exchange.Exchange) {
		close(arrived)
		for range 500 {
			if x.Front.Gone() {
				gone <- true
				x.Front.Reset(exchange.ResetCancel)
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		gone <- false
		x.Front.Reset(exchange.ResetCancel)
	}), http1.Limits{})
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := client.Do(req); err == nil {
		t.Error("no error after the request was given up")
	}
	if !<-gone {
		t.Error("the handler was not told that the client left")
	}
}

func TestStopBody(t *testing.T) {
	client, url, _ := serve(t, handler(func(x *exchange.Exchange) {
		stopped := make(chan error)
		go func() {
			for {
				if _, err := x.Request.Body.Next(); err != nil {
					stopped <- err
					return
				}
			}
		}()
		time.Sleep(20 * time.Millisecond)
		x.Front.StopBody()
		if err := <-stopped; err == io.EOF {
			t.Error("the body ended instead of stopping")
		}
		x.Reply(413, "", []byte("too much"))
		_ = x.Front.WriteHead()
		_ = x.Front.Write(x.Response.Buffered, true)
	}), http1.Limits{})
	in, out := io.Pipe()
	defer out.Close()
	go func() { _, _ = out.Write([]byte("a part")) }()
	res, err := client.Post(url, "text/plain", in)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if p, err := io.ReadAll(res.Body); res.StatusCode != 413 || string(p) != "too much" {
		t.Errorf("got %d %q %v", res.StatusCode, p, err)
	}
}

func TestRefusals(t *testing.T) {
	client, url, _ := serve(t, handler(echo), http1.Limits{MaxTarget: 100, MaxHeaders: 20})
	for name, c := range map[string]struct {
		edit func(*http.Request)
		want int
	}{
		"long target": {func(r *http.Request) { r.URL.Path = "/" + strings.Repeat("a", 200) }, 414},
		"many fields": {func(r *http.Request) {
			for i := range 30 {
				r.Header.Set(fmt.Sprintf("X-%d", i), "1")
			}
		}, 431},
		"a value that ends in space": {func(r *http.Request) { r.Header["X-Role"] = []string{"admin "} }, 400},
		"raw byte":                   {func(r *http.Request) { r.URL.Opaque = "/\xe9" }, 400},
	} {
		req, _ := http.NewRequest("GET", url, nil)
		c.edit(req)
		res, err := client.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, c.want)
		}
	}
}

func TestDrain(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	client, url, s := serve(t, handler(func(x *exchange.Exchange) {
		close(arrived)
		<-release
		x.Reply(200, "", []byte("done"))
		_ = x.Front.WriteHead()
		_ = x.Front.Write(x.Response.Buffered, true)
	}), http1.Limits{})
	got := make(chan string, 1)
	go func() {
		res, err := client.Get(url)
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		p, _ := io.ReadAll(res.Body)
		got <- string(p)
	}()
	<-arrived
	s.Drain()
	close(release)
	if p := <-got; p != "done" {
		t.Errorf("the stream under way ended with %q", p)
	}
}
