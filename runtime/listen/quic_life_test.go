package listen_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/listen"
)

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

// TestHTTP3RapidReset gives requests up faster than their handlers end: those
// count until they do.
func TestHTTP3RapidReset(t *testing.T) {
	b := newBed(t)
	release := make(chan struct{})
	var running atomic.Int64
	b.handler.serve = func(x *exchange.Exchange) {
		running.Add(1)
		b.handler.arrived <- struct{}{}
		<-release
		running.Add(-1)
		x.Front.Reset(exchange.ResetCancel)
	}
	b.apply(quicSpec(t, "q", "127.0.0.1:0"))
	c, err := quic.DialAddr(context.Background(), b.addr("q"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h3"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn := (&http3.Transport{}).NewClientConn(c)
	give := func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		str, err := conn.OpenRequestStream(ctx)
		if err != nil {
			return err
		}
		req, _ := http.NewRequest("GET", "https://q/", nil)
		if err := errors.Join(str.SendRequestHeader(req), str.Close()); err != nil {
			return err
		}
		<-b.handler.arrived
		str.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
		return nil
	}
	const streams = 250
	for range streams {
		if err := give(10 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if err := give(300 * time.Millisecond); err == nil {
		t.Errorf("%d requests of one client run", running.Load())
	}
	close(release)
	if err := give(10 * time.Second); err != nil {
		t.Errorf("after they ended: %v", err)
	}
	_ = c.CloseWithError(0, "")
}

// TestHTTP3Idle has a request that is silent for longer than a connection without
// one may be.
func TestHTTP3Idle(t *testing.T) {
	b := newBed(t)
	spec := quicSpec(t, "q", "127.0.0.1:0")
	spec.Timeouts.Idle = 300 * time.Millisecond
	b.apply(spec)
	got := make(chan string, 1)
	go func() {
		res, err := client3(t).Get("https://" + b.addr("q") + "/wait")
		got <- body(t, res, err)
	}()
	<-b.handler.arrived
	time.Sleep(time.Second) // what must not end it
	close(b.handler.release)
	if p := <-got; p != "q" {
		t.Errorf("got %q", p)
	}
	for deadline := time.Now().Add(5 * time.Second); b.Connections() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a connection without requests stays open")
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
