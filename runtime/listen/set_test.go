package listen_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/listen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// named answers with the name of the listener; /wait holds its exchange until
// the test lets it go.
type named struct {
	arrived, release chan struct{}
	serve            func(*exchange.Exchange) // nil: as above
}

func newNamed() *named {
	return &named{arrived: make(chan struct{}, 10), release: make(chan struct{})}
}

func (n *named) Serve(x *exchange.Exchange) {
	if n.serve != nil {
		n.serve(x)
		return
	}
	if x.Request.Path == "/panic" {
		panic("a bug")
	}
	if x.Request.Path == "/wait" {
		n.arrived <- struct{}{}
		<-n.release
	}
	x.Reply(200, "text/plain", []byte(x.Conn.Listener.Name))
	if x.Front.WriteHead() == nil {
		_ = x.Front.Write(x.Response.Buffered, true)
	}
}

type bed struct {
	*testing.T
	*listen.Set
	handler *named
}

func newBed(t *testing.T) *bed {
	h := newNamed()
	b := &bed{t, listen.New(h, nil, slog.New(slog.DiscardHandler)), h}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return b
}

func (b *bed) apply(specs ...listen.Spec) {
	b.Helper()
	c, err := b.Prepare(specs)
	if err != nil {
		b.Fatal(err)
	}
	c.Commit()
}

func (b *bed) addr(name string) string {
	b.Helper()
	a := b.Addrs()[name]
	if a == nil {
		b.Fatalf("no listener %q in %v", name, b.Addrs())
	}
	return a.String()
}

func get(t *testing.T, addr string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + addr + "/")
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

// freePort returns an address that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func dial(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c, bufio.NewReader(c)
}

// TestChanges keeps, renames, adds and drops listeners, with an exchange under
// way on the dropped one and idle connections on both.
func TestChanges(t *testing.T) {
	b := newBed(t)
	one, two := freePort(t), freePort(t)
	b.apply(listen.Spec{Name: "one", Address: one, HTTP1: true}, listen.Spec{Name: "two", Address: two, HTTP1: true, H2C: true})
	if got := get(t, one) + get(t, two); got != "onetwo" {
		t.Fatalf("got %q", got)
	}
	kept, keptIn := dial(t, one)
	fmt.Fprint(kept, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, err := http.ReadResponse(keptIn, nil); err != nil {
		t.Fatal(err)
	} else if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	busy, busyIn := dial(t, two)
	fmt.Fprint(busy, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	<-b.handler.arrived
	_, idleIn := dial(t, two) // sends nothing

	b.apply(listen.Spec{Name: "renamed", Address: one, HTTP1: true})
	if got := get(t, one); got != "renamed" {
		t.Errorf("the kept socket answers %q", got)
	}
	if _, err := net.DialTimeout("tcp", two, time.Second); err == nil {
		t.Error("the dropped socket still accepts")
	}
	if _, err := idleIn.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection of the dropped socket: %v", err)
	}
	fmt.Fprint(kept, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := http.ReadResponse(keptIn, nil); err != nil {
		t.Errorf("a connection of the kept socket: %v", err)
	}
	close(b.handler.release)
	if res, err := http.ReadResponse(busyIn, nil); err != nil || res.StatusCode != 200 {
		t.Errorf("the exchange under way was cut: %v", err)
	}
}

func TestPrepareFails(t *testing.T) {
	b := newBed(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := freePort(t)
	if _, err := b.Prepare([]listen.Spec{{Name: "a", Address: free, HTTP1: true}, {Name: "b", Address: taken.Addr().String(), HTTP1: true}}); err == nil || !strings.Contains(err.Error(), `"b"`) {
		t.Fatalf("error %v does not name the listener", err)
	}
	if _, err := b.Prepare([]listen.Spec{{Name: "a", Address: free, HTTP1: true}, {Name: "b", Address: free, HTTP1: true}}); err == nil {
		t.Error("two listeners share an address")
	}
	l, err := net.Listen("tcp", free)
	if err != nil {
		t.Fatalf("a socket is left behind: %v", err)
	}
	l.Close()
	c, err := b.Prepare([]listen.Spec{{Name: "a", Address: free, HTTP1: true}})
	if err != nil {
		t.Fatal(err)
	}
	c.Abort()
	if l, err = net.Listen("tcp", free); err != nil {
		t.Fatalf("Abort leaves the socket: %v", err)
	}
	l.Close()
}

func TestUnixSocket(t *testing.T) {
	b := newBed(t)
	path := filepath.Join(t.TempDir(), "s")
	// A file that a dead process left.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	b.apply(listen.Spec{Name: "u", Address: "unix:" + path, HTTP1: true})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}}}
	res, err := client.Get("http://u/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if p, _ := io.ReadAll(res.Body); string(p) != "u" {
		t.Errorf("got %q", p)
	}
	if _, err := listen.New(b.handler, nil, slog.New(slog.DiscardHandler)).Prepare([]listen.Spec{{Name: "x", Address: "unix:" + path, HTTP1: true}}); err == nil {
		t.Error("a socket in use was taken over")
	}
}

func TestMaxConnections(t *testing.T) {
	b := newBed(t)
	b.SetMaxConnections(1)
	b.apply(listen.Spec{Name: "a", Address: "127.0.0.1:0", HTTP1: true})
	first, _ := dial(t, b.addr("a"))
	for b.Connections() == 0 {
		time.Sleep(time.Millisecond)
	}
	_, in := dial(t, b.addr("a"))
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Fatalf("got %v %v", res, err)
	}
	first.Close()
	for b.Connections() > 0 {
		time.Sleep(time.Millisecond)
	}
	if got := get(t, b.addr("a")); got != "a" {
		t.Errorf("after the first left: %q", got)
	}
}

func TestPanicCostsOneConnection(t *testing.T) {
	b := newBed(t)
	b.apply(listen.Spec{Name: "a", Address: "127.0.0.1:0", HTTP1: true})
	c, in := dial(t, b.addr("a"))
	fmt.Fprint(c, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := in.ReadByte(); err == nil {
		t.Error("a panic was answered")
	}
	if got := get(t, b.addr("a")); got != "a" {
		t.Errorf("the neighbour got %q", got)
	}
}

// TestSniff sends the first bytes one by one to a listener of both protocols.
func TestSniff(t *testing.T) {
	b := newBed(t)
	b.apply(listen.Spec{Name: "a", Address: "127.0.0.1:0", HTTP1: true, H2C: true})
	c, in := dial(t, b.addr("a"))
	for _, p := range "PRIME / HTTP/1.1\r\nHost: a\r\n\r\n" {
		if _, err := c.Write([]byte(string(p))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Microsecond)
	}
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 200 {
		t.Errorf("a method that starts like the preface: %v %v", res, err)
	}
	c, in = dial(t, b.addr("a"))
	fmt.Fprint(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	if p, err := in.Peek(9); err != nil || p[3] != 4 {
		t.Errorf("no SETTINGS frame: %x %v", p, err)
	}
	c.Close()
}

func TestShutdownCuts(t *testing.T) {
	h := newNamed()
	defer close(h.release)
	s := listen.New(h, nil, slog.New(slog.DiscardHandler))
	c, err := s.Prepare([]listen.Spec{{Name: "a", Address: "127.0.0.1:0", HTTP1: true}})
	if err != nil {
		t.Fatal(err)
	}
	c.Commit()
	nc, in := dial(t, s.Addrs()["a"].String())
	fmt.Fprint(nc, "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
	<-h.arrived
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	go func() {
		_, _ = in.ReadByte() // the cut reaches the client
		h.release <- struct{}{}
	}()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want one that tells of cut connections", err)
	}
}

// TestHalfPreface checks that who has begun to speak has the time of a head, and
// not that of a connection that waits.
func TestHalfPreface(t *testing.T) {
	b := newBed(t)
	b.apply(listen.Spec{Name: "a", Address: "127.0.0.1:0", HTTP1: true, H2C: true,
		Timeouts: http1.Timeouts{Header: 200 * time.Millisecond, Idle: time.Minute}})
	c, err := net.Dial("tcp", b.addr("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "PRI * HT"); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("half a preface holds its connection")
	}
}
