package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

func TestServerDrain(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	addr, s := listen(t, handler(func(x *exchange.Exchange) {
		if x.Request.Target == "/slow" {
			close(entered)
			<-leave
		}
		echo(x)
	}), http1.Timeouts{})
	fresh, idle, busy, late := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
	_, _ = io.WriteString(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	br := bufio.NewReader(idle)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_, _ = io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-entered
	s.Drain(200 * time.Millisecond)
	_, _ = io.WriteString(late, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if b, err := io.ReadAll(late); err != nil || !strings.Contains(string(b), "\r\nConnection: close\r\n") {
		t.Errorf("a request that was on its way: %q, %v", b, err)
	}
	for _, c := range []io.Reader{fresh, br} {
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
			t.Errorf("an idle connection: %q, %v", b, err)
		}
	}
	close(leave)
	b, err := io.ReadAll(busy)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200") || !strings.Contains(string(b), "\r\nConnection: close\r\n") {
		t.Errorf("the answer under way: %q, %v", b, err)
	}
}

// No request that began to arrive is lost to a drain.
func TestServerDrainRace(t *testing.T) {
	for range 100 {
		addr, s := listen(t, refuser{echo}, http1.Timeouts{})
		c := dial(t, addr)
		go func() {
			time.Sleep(50 * time.Microsecond)
			s.Drain(50 * time.Millisecond)
		}()
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nCon")
		time.Sleep(100 * time.Microsecond)
		_, _ = io.WriteString(c, "tent-Length: 3\r\n\r\na")
		time.Sleep(100 * time.Microsecond)
		_, _ = io.WriteString(c, "bc")
		b, _ := io.ReadAll(c)
		if len(b) > 0 && !strings.HasPrefix(string(b), "HTTP/1.1 200") {
			t.Fatalf("got %q", b)
		}
		s.Close()
	}
}

func TestServerConfigure(t *testing.T) {
	addr, s := listen(t, refuser{echo}, http1.Timeouts{})
	c := dial(t, addr)
	br := bufio.NewReader(c)
	for _, want := range []int{200, 431} {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n")
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != want {
			t.Fatalf("%v, %v", res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		s.Configure(http1.Limits{MaxHeaders: 1}, http1.Timeouts{})
	}
}

func TestServerGoneAndStopBody(t *testing.T) {
	step, done := make(chan bool), make(chan error, 1)
	addr, _ := listen(t, handler(func(x *exchange.Exchange) {
		step <- x.Front.Gone()
		read := make(chan error)
		go func() {
			_, err := x.Request.Body.Next()
			read <- err
		}()
		time.Sleep(20 * time.Millisecond)
		step <- x.Front.Gone()
		x.Front.StopBody()
		err := <-read
		if _, again := x.Request.Body.Next(); err == nil || again == nil {
			err = errors.New("the body is still read")
		} else {
			err = nil
		}
		for start := time.Now(); !x.Front.Gone(); {
			if time.Since(start) > 5*time.Second {
				err = errors.New("the client is not found to be gone")
				break
			}
			time.Sleep(time.Millisecond)
		}
		x.Front.Reset(exchange.ResetCancel)
		done <- err
	}), http1.Timeouts{})
	c := dial(t, addr)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
	first, second := <-step, <-step
	if first || second {
		t.Error("the client is gone while it is there")
	}
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestServerTunnel(t *testing.T) {
	addr, _ := listen(t, handler(func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Upgrade = 101, x.Request.Upgrade
		c, read, ok := x.Front.Tunnel()
		if !ok {
			x.Front.Reset(exchange.ResetInternal)
			return
		}
		defer c.Close()
		_, _ = c.Write(read)
		_, _ = io.Copy(c, c)
	}), http1.Timeouts{})
	got := talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly ", "late")
	if want := crlf("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: echo") + "early late"; got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// Bytes already read, and a connection that is no socket.
func TestServeRead(t *testing.T) {
	s := http1.NewServer(handler(echo), http1.Limits{}, http1.Timeouts{})
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeRead(context.Background(), server, &exchange.Conn{}, []byte("GET /1 HT"))
	}()
	go func() {
		_, _ = io.WriteString(client, "TP/1.1\r\nHost: a\r\n\r\n")
		_, _ = io.WriteString(client, "GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	}()
	b, err := io.ReadAll(client)
	if err != nil || !bytes.Contains(b, []byte("GET /1 ")) || !bytes.Contains(b, []byte("GET /2 ")) {
		t.Errorf("got %q, %v", b, err)
	}
	<-done
}

// The promise is under 10 KB for an idle connection, kernel apart.
func TestIdleConnectionMemory(t *testing.T) {
	const n = 400
	addr, _ := listen(t, handler(echo), http1.Timeouts{})
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := used()
	conns := make([]net.Conn, n)
	buf := make([]byte, 4096)
	for i := range conns {
		conns[i] = dial(t, addr)
		_, _ = io.WriteString(conns[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := conns[i].Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	after := used()
	per := float64(after-before) / n
	t.Logf("%.0f bytes for both ends of a connection", per)
	if per > 10<<10 && !race {
		t.Errorf("an idle connection takes %.0f bytes", per)
	}
}
