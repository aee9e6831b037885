package listen_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/listen"
)

// TestHandOver is what two processes do in an upgrade, in one: copies of all
// sockets go from one set to another, which takes some and forgets others.
func TestHandOver(t *testing.T) {
	dir := t.TempDir()
	kept, dropped := filepath.Join(dir, "kept"), filepath.Join(dir, "dropped")
	specs := []listen.Spec{
		{Name: "tcp", Address: "127.0.0.1:0", HTTP1: true},
		{Name: "also", Address: "127.0.0.1:0", HTTP1: true},
		{Name: "kept", Address: "unix:" + kept, HTTP1: true},
		{Name: "dropped", Address: "unix:" + dropped, HTTP1: true},
	}
	old := newBed(t)
	old.apply(specs...)
	address, also := old.addr("tcp"), old.addr("also")
	files, err := old.Files()
	if err != nil {
		t.Fatal(err)
	}
	handed := &listen.Sockets{}
	for key, f := range files {
		if err := handed.Hand(key, f); err != nil {
			t.Fatal(err)
		}
	}
	next := &bed{t, listen.New(newNamed(), handed, slog.New(slog.DiscardHandler)), nil}
	next.apply(specs[0], specs[2])
	if got := next.addr("tcp"); got != address {
		t.Errorf("the new set listens at %s, the old one at %s", got, address)
	}
	// Both serve.
	for range 20 {
		if got := get(t, address); got != "tcp" {
			t.Errorf("got %q", got)
		}
	}
	if got := get(t, also); got != "also" {
		t.Errorf("got %q", got)
	}
	handed.Forget()
	old.KeepFiles()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := old.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if got := get(t, address); got != "tcp" {
		t.Errorf("after the old one left: %q", got)
	}
	if c, err := net.Dial("unix", kept); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if _, err := os.Stat(dropped); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of a socket that nobody has: %v", err)
	}
	if c, err := net.Dial("tcp", also); err == nil {
		c.Close()
		t.Error("a socket that nobody has is open")
	}
	if err := next.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(kept); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}

// TestHandOverFails gives everything back and removes nothing.
func TestHandOverFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old := newBed(t)
	spec := listen.Spec{Name: "u", Address: "unix:" + path, HTTP1: true}
	old.apply(spec)
	for _, take := range []bool{false, true} {
		files, err := old.Files()
		if err != nil {
			t.Fatal(err)
		}
		handed := &listen.Sockets{}
		for key, f := range files {
			if err := handed.Hand(key, f); err != nil {
				t.Fatal(err)
			}
		}
		if take {
			c, err := listen.New(old.handler, handed, slog.New(slog.DiscardHandler)).Prepare([]listen.Spec{spec})
			if err != nil {
				t.Fatal(err)
			}
			c.Abort()
		}
		handed.Close()
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the file of the old process, taken %t: %v", take, err)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&listen.Sockets{}).Hand("127.0.0.1:1", null); err == nil {
		t.Error("no socket was taken for one")
	}
}

// TestTooManyTLSConnections closes those beyond the limit before a handshake.
func TestTooManyTLSConnections(t *testing.T) {
	b := newBed(t)
	b.SetMaxConnections(1)
	b.apply(tlsSpec(t, "s", "127.0.0.1:0"))
	first, firstIn := dialTLS(t, b.addr("s"))
	if got := ask(t, first, firstIn); got != "s" {
		t.Fatalf("got %q", got)
	}
	c, _ := dial(t, b.addr("s"))
	err := tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake()
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v", err)
	}
	for _, s := range b.Stats() {
		if s.Refused["limit"] != 1 || s.Accepted != 2 {
			t.Errorf("stats %+v", s)
		}
	}
	if got := ask(t, first, firstIn); got != "s" {
		t.Errorf("the one within the limit: %q", got)
	}
}

// TestDrainInHandshakeHTTP2 has a client that gets to HTTP/2 only after the
// drain began: it is told to leave, and nobody has to be cut.
func TestDrainInHandshakeHTTP2(t *testing.T) {
	b := newBed(t)
	b.apply(tlsSpec(t, "s", "127.0.0.1:0"))
	address := b.addr("s")
	c, _ := dial(t, address)
	for b.Connections() == 0 {
		time.Sleep(time.Millisecond)
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		done <- b.Shutdown(ctx)
	}()
	for { // until nothing is accepted
		c, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		c.Close()
	}
	p := &http.Protocols{}
	p.SetHTTP2(true)
	tr := &http.Transport{Protocols: p, DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		return tc, tc.Handshake()
	}}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get("https://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(bufio.NewReader(res.Body)); err != nil || string(body) != "s" || res.ProtoMajor != 2 {
		t.Errorf("%s %q, %v", res.Proto, body, err)
	}
	start := time.Now()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("the connection was left for %v", d)
	}
}
