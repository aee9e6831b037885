package listen_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
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

// TestHTTP3Changes keeps a connection over changes, and drops HTTP/3 with an
// exchange under way.
func TestHTTP3Changes(t *testing.T) {
	b := newBed(t)
	address := freePort(t)
	b.apply(quicSpec(t, "one", address))
	client, url := client3(t), "https://"+address
	res, err := client.Get(url)
	if p := body(t, res, err); p != "one" {
		t.Fatalf("got %q", p)
	}
	b.apply(quicSpec(t, "two", address))
	res, err = client.Get(url)
	if p := body(t, res, err); p != "one" {
		t.Errorf("an open connection got %q", p) // what it began with
	}
	res, err = client3(t).Get(url)
	if p := body(t, res, err); p != "two" {
		t.Errorf("a new connection got %q", p)
	}
	got := make(chan string, 1)
	go func() {
		res, err := client.Get(url + "/wait")
		got <- body(t, res, err)
	}()
	<-b.handler.arrived
	b.apply(tlsSpec(t, "three", address))
	close(b.handler.release)
	if p := <-got; p != "one" {
		t.Errorf("the exchange under way got %q", p)
	}
	short := client3(t)
	short.Timeout = 500 * time.Millisecond
	if res, err := short.Get(url); err == nil {
		t.Errorf("HTTP/3 is still served: %q", body(t, res, err))
	}
	c, in := dialTLS(t, address)
	if p := ask(t, c, in); p != "three" {
		t.Errorf("over TCP: %q", p)
	}
	b.apply(quicSpec(t, "four", address))
	res, err = client3(t).Get(url)
	if p := body(t, res, err); p != "four" {
		t.Errorf("after it came back: %q", p)
	}
}

// TestHTTP3Drain ends a set with an exchange under way and an idle connection.
func TestHTTP3Drain(t *testing.T) {
	b := newBed(t)
	b.apply(quicSpec(t, "q", "127.0.0.1:0"))
	client, url := client3(t), "https://"+b.addr("q")
	res, err := client3(t).Get(url)
	body(t, res, err)
	got := make(chan string, 1)
	go func() {
		res, err := client.Get(url + "/wait")
		got <- body(t, res, err)
	}()
	<-b.handler.arrived
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ended <- b.Shutdown(ctx)
	}()
	select {
	case err := <-ended:
		t.Fatalf("ended with an exchange under way: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(b.handler.release)
	if p := <-got; p != "q" {
		t.Errorf("the exchange under way got %q", p)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := b.Connections(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}

// TestHTTP3Cut cuts an exchange that does not end in time.
func TestHTTP3Cut(t *testing.T) {
	b := newBed(t)
	b.handler.serve = func(x *exchange.Exchange) {
		b.handler.arrived <- struct{}{}
		<-x.Context().Done()
		x.Front.Reset(exchange.ResetCancel)
	}
	b.apply(quicSpec(t, "q", "127.0.0.1:0"))
	failed := make(chan error, 1)
	go func() {
		_, err := client3(t).Get("https://" + b.addr("q"))
		failed <- err
	}()
	<-b.handler.arrived
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := b.Shutdown(ctx); err == nil {
		t.Error("nothing was cut")
	}
	if <-failed == nil {
		t.Error("the client got an answer")
	}
}

// TestHTTP3Garbage sends what is no QUIC, and what only begins like it.
func TestHTTP3Garbage(t *testing.T) {
	b := newBed(t)
	b.apply(quicSpec(t, "q", "127.0.0.1:0"))
	c, err := net.Dial("udp", b.addr("q"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 2000 {
		p := make([]byte, i%1400)
		_, _ = rand.Read(p)
		if len(p) > 6 && i%3 == 0 {
			copy(p, []byte{0xc0, 0, 0, 0, 1, 8}) // an Initial packet of version 1
		}
		_, _ = c.Write(p)
	}
	client := client3(t)
	for range 3 {
		res, err := client.Get("https://" + b.addr("q"))
		if p := body(t, res, err); p != "q" {
			t.Errorf("got %q", p)
		}
	}
}

// TestHTTP3Limits refuses connections beyond the limit, and has those prove
// their address that come while many handshakes are open.
func TestHTTP3Limits(t *testing.T) {
	b := newBed(t)
	b.apply(quicSpec(t, "q", "127.0.0.1:0"))
	b.SetMaxConnections(1)
	first := client3(t)
	res, err := first.Get("https://" + b.addr("q"))
	body(t, res, err)
	var refused *quic.TransportError
	if _, err := client3(t).Get("https://" + b.addr("q")); !errors.As(err, &refused) || refused.ErrorCode != quic.ConnectionRefused {
		t.Errorf("beyond the limit: %v", err)
	}
	b.SetMaxConnections(0)
	// Clients that begin a handshake and go on no further.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	target, _ := net.ResolveUDPAddr("udp", b.addr("q"))
	var wg sync.WaitGroup
	for range 80 {
		u, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		wg.Go(func() {
			tr := &quic.Transport{Conn: deaf{u}}
			defer tr.Close()
			_, _ = tr.Dial(ctx, target, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h3"}}, nil)
		})
	}
	defer wg.Wait()
	defer cancel()
	deadline := time.Now().Add(5 * time.Second)
	for b.Connections() < 60 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if n := b.Connections(); n > 66 {
		t.Errorf("%d connections for clients that proved nothing", n)
	}
	res, err = client3(t).Get("https://" + b.addr("q"))
	if p := body(t, res, err); p != "q" {
		t.Errorf("a client with an address got %q", p)
	}
}

// deaf is a socket on which nothing arrives.
type deaf struct{ net.PacketConn }

func (d deaf) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		if n, a, err := d.PacketConn.ReadFrom(p); err != nil {
			return n, a, err
		}
	}
}

// TestHTTP3Handover moves the socket to another set.
func TestHTTP3Handover(t *testing.T) {
	b := newBed(t)
	address := freePort(t)
	b.apply(quicSpec(t, "old", address))
	client := client3(t)
	res, err := client.Get("https://" + address)
	body(t, res, err)
	files, err := b.Files()
	if err != nil {
		t.Fatal(err)
	}
	source := &listen.Sockets{}
	for key, f := range files {
		if err := source.Hand(key, f); err != nil {
			t.Fatal(err)
		}
	}
	next := listen.New(b.handler, source, slog.New(slog.DiscardHandler))
	c, err := next.Prepare([]listen.Spec{quicSpec(t, "new", address)})
	if err != nil {
		t.Fatal(err)
	}
	c.Commit()
	source.Forget()
	b.KeepFiles()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := next.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	for _, client := range []*http.Client{client, client3(t)} {
		res, err := client.Get("https://" + address)
		if err != nil { // it did not know yet that its connection was closed
			res, err = client.Get("https://" + address)
		}
		if p := body(t, res, err); p != "new" {
			t.Errorf("got %q", p)
		}
	}
}
