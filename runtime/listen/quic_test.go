package listen_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/listen"
)

func quicSpec(t testing.TB, name, address string) listen.Spec {
	s := tlsSpec(t, name, address)
	s.HTTP3 = true
	return s
}

// client3 is a client that speaks HTTP/3 alone.
func client3(t *testing.T) *http.Client {
	t.Helper()
	tr := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true}
	t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func body(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

// echo3 streams the request body back and tells in a trailer what it was.
func echo3(x *exchange.Exchange) {
	r := &x.Response
	r.Status = 200
	r.Head.Reset(nil)
	r.Head.Add("x-saw", fmt.Sprintf("%s %s %s %s %d %t", x.Request.Proto, x.Request.Scheme, x.Request.Method, x.Request.Target, x.Request.Length, x.Conn.TLS != nil && x.Conn.Peer.IsValid()))
	r.Length, r.Body = exchange.Unknown, x.Request.Body
	if x.Front.WriteHead() != nil {
		x.Front.Reset(exchange.ResetInternal)
		return
	}
	n := 0
	for x.Request.Body != nil {
		p, err := x.Request.Body.Next()
		n += len(p)
		if err != nil && err != io.EOF || x.Front.Write(p, false) != nil {
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

func TestHTTP3Echo(t *testing.T) {
	b := newBed(t)
	b.handler.serve = echo3
	b.apply(quicSpec(t, "q", "127.0.0.1:0"))
	client, url := client3(t), "https://"+b.addr("q")
	for _, method := range []string{"GET", "HEAD", "DELETE", "POST"} {
		req, _ := http.NewRequest(method, url+"/a%2Fb?q=%20", nil)
		res, err := client.Do(req)
		if p := body(t, res, err); p != "" {
			t.Errorf("%s: body %q", method, p)
		}
		if got, want := res.Header.Get("X-Saw"), "HTTP/3 https "+method+" /a%2Fb?q=%20 0 true"; got != want {
			t.Errorf("saw %q, want %q", got, want)
		}
	}
	var wg sync.WaitGroup
	for _, size := range []int{1, 10_000, 300_000, 4 << 20} {
		for _, method := range []string{"POST", "DELETE"} {
			wg.Go(func() {
				data := bytes.Repeat([]byte("x"), size)
				req, _ := http.NewRequest(method, url, struct{ io.Reader }{bytes.NewReader(data)})
				req.Trailer = http.Header{"X-In": {"t"}}
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
			})
		}
	}
	wg.Wait()
}

// TestHTTP3BothDirections reads an answer to each part before it sends the next.
func TestHTTP3BothDirections(t *testing.T) {
	b := newBed(t)
	b.handler.serve = echo3
	b.apply(quicSpec(t, "q", "127.0.0.1:0"))
	in, out := io.Pipe()
	go func() { _, _ = out.Write([]byte("one")) }()
	res, err := client3(t).Post("https://"+b.addr("q"), "", in)
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

// TestHTTP3Reset gives exchanges up before and within a response.
func TestHTTP3Reset(t *testing.T) {
	b := newBed(t)
	codes := map[string]exchange.ResetCode{"/internal": exchange.ResetInternal, "/cancel": exchange.ResetCancel, "/refused": exchange.ResetRefused}
	b.handler.serve = func(x *exchange.Exchange) {
		if x.Request.Path == "/within" {
			x.Reply(200, "", bytes.Repeat([]byte("x"), 10_000))
			_ = x.Front.WriteHead()
			_ = x.Front.Write(x.Response.Buffered[:6000], false)
		}
		x.Front.Reset(codes[x.Request.Path])
	}
	b.apply(quicSpec(t, "q", "127.0.0.1:0"))
	client := client3(t)
	for path, want := range map[string]http3.ErrCode{
		"/internal": http3.ErrCodeInternalError, "/cancel": http3.ErrCodeRequestCanceled,
		"/refused": http3.ErrCodeRequestRejected, "/within": http3.ErrCodeInternalError,
	} {
		req, _ := http.NewRequest("POST", "https://"+b.addr("q")+path, strings.NewReader("x"))
		res, err := client.Do(req)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		var e *http3.Error
		if !errors.As(err, &e) || e.ErrorCode != want {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

func TestHTTP3ClientLeaves(t *testing.T) {
	b := newBed(t)
	arrived, gone := make(chan struct{}), make(chan bool, 1)
	b.handler.serve = func(x *exchange.Exchange) {
		close(arrived)
		select {
		case <-x.Context().Done():
			gone <- x.Front.Gone()
		case <-time.After(10 * time.Second):
			gone <- false
		}
		x.Front.Reset(exchange.ResetCancel)
	}
	b.apply(quicSpec(t, "q", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://"+b.addr("q"), nil)
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := client3(t).Do(req); err == nil {
		t.Error("no error after the request was given up")
	}
	if !<-gone {
		t.Error("the handler was not told that the client left")
	}
}

// TestHTTP3EarlyAnswer answers while the body is still coming.
func TestHTTP3EarlyAnswer(t *testing.T) {
	b := newBed(t)
	b.handler.serve = func(x *exchange.Exchange) {
		stopped := make(chan error)
		go func() {
			var err error
			for err == nil {
				_, err = x.Request.Body.Next()
			}
			stopped <- err
		}()
		x.Front.StopBody()
		if err := <-stopped; err == io.EOF {
			t.Error("the body ended instead of stopping")
		}
		x.Reply(413, "", []byte("too much"))
		_ = x.Front.WriteHead()
		_ = x.Front.Write(x.Response.Buffered, true)
	}
	b.apply(quicSpec(t, "q", "127.0.0.1:0"))
	in, out := io.Pipe()
	defer out.Close()
	go func() { _, _ = out.Write([]byte("a part")) }()
	res, err := client3(t).Post("https://"+b.addr("q"), "", in)
	if p := body(t, res, err); res.StatusCode != 413 || p != "too much" {
		t.Errorf("got %d %q", res.StatusCode, p)
	}
}

func TestHTTP3Refusals(t *testing.T) {
	b := newBed(t)
	spec := quicSpec(t, "q", "127.0.0.1:0")
	spec.Limits = http1.Limits{MaxTarget: 100, MaxHeaders: 20, MaxHeaderBytes: 8 << 10}
	b.apply(spec)
	client := client3(t)
	for name, c := range map[string]struct {
		edit func(*http.Request)
		want int
	}{
		"long target": {func(r *http.Request) { r.URL.Path = "/" + strings.Repeat("a", 200) }, 414},
		"long field":  {func(r *http.Request) { r.Header.Set("X", strings.Repeat("a", 20_000)) }, 431},
		"many fields": {func(r *http.Request) {
			for i := range 30 {
				r.Header.Set(fmt.Sprintf("X-%d", i), "1")
			}
		}, 431},
		"a value that ends in space": {func(r *http.Request) { r.Header["X-Role"] = []string{"admin "} }, 400},
		"fine":                       {func(*http.Request) {}, 200},
	} {
		req, _ := http.NewRequest("GET", "https://"+b.addr("q"), nil)
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
