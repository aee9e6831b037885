package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/headgate/headgate/runtime/gateway"
	"github.com/headgate/headgate/test/need"
)

// socketBackend echoes at /echo, closes with a code at /close/CODE, tells at
// /closed/ on codes how its client closed, pings at /ping until its client
// leaves, talks at /talk and only listens at /listen.
func socketBackend(t testing.TB, mode websocket.CompressionMode, codes chan<- websocket.StatusCode) string {
	return backend(t, func(w http.ResponseWriter, req *http.Request) {
		c, err := websocket.Accept(w, req, &websocket.AcceptOptions{CompressionMode: mode, CompressionThreshold: 1})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		ctx := req.Context()
		switch path := strings.TrimSuffix(req.URL.Path, "/"); {
		case path == "/echo":
			for echo(ctx, c) == nil {
			}
		case path == "/closed":
			_, _, err := c.Read(ctx)
			codes <- websocket.CloseStatus(err)
		case path == "/ping":
			ctx = c.CloseRead(ctx)
			for c.Ping(ctx) == nil {
			}
		case path == "/talk":
			ctx = c.CloseRead(ctx)
			for n := 0; c.Write(ctx, websocket.MessageText, []byte(strconv.Itoa(n))) == nil; n++ {
				time.Sleep(50 * time.Millisecond)
			}
		case path == "/listen":
			for n := 0; ; n++ {
				if _, _, err := c.Read(ctx); err != nil {
					codes <- websocket.StatusCode(n)
					return
				}
			}
		default:
			code, _ := strconv.Atoi(strings.TrimPrefix(path, "/close/"))
			_ = c.Close(websocket.StatusCode(code), "because")
		}
	})
}

// echo sends one message back, in the pieces that it came in.
func echo(ctx context.Context, c *websocket.Conn) error {
	kind, from, err := c.Reader(ctx)
	if err != nil {
		return err
	}
	to, err := c.Writer(ctx, kind)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Close()
}

// sockets opens WebSockets through a gateway, with or without TLS.
type sockets struct {
	r      *rig
	base   string
	client *http.Client
}

// openSockets starts a gateway for addr; times go into the listeners.
func openSockets(t *testing.T, addr, times string, secured bool) *sockets {
	t.Helper()
	return openSocketsAt(t, start, addr, times, secured)
}

func openSocketsAt(t *testing.T, start func(testing.TB, map[string]string) *rig, addr, times string, secured bool) *sockets {
	t.Helper()
	files := to(addr, "")
	if !secured {
		if times != "" {
			files["preamble.hcl"] = limitedTimes(times)
		}
		r := start(t, files)
		tr := &http.Transport{}
		t.Cleanup(tr.CloseIdleConnections)
		return &sockets{r, strings.Replace(r.base, "http", "ws", 1), &http.Client{Transport: tr}}
	}
	all := secure(t, "", "")
	for name, text := range files {
		all[name] = text
	}
	if times != "" {
		all["secure.hcl"] = strings.Replace(all["secure.hcl"], "  tls {", "  timeouts {\n"+times+"\n  }\n  tls {", 1)
	}
	r := start(t, all)
	tr := r.client(&tls.Config{ServerName: "a.example.com"}, false)
	tr.Transport.(*http.Transport).MaxConnsPerHost = 0
	return &sockets{r, "wss://a.example.com", tr}
}

func (s *sockets) open(ctx context.Context, path string, mode websocket.CompressionMode) *websocket.Conn {
	s.r.t.Helper()
	c, _, err := websocket.Dial(ctx, s.base+path, &websocket.DialOptions{HTTPClient: s.client, CompressionMode: mode, CompressionThreshold: 1})
	if err != nil {
		s.r.t.Fatal(err)
	}
	s.r.t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(-1)
	return c
}

func deadline(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// overBoth runs f without TLS and with it.
func overBoth(t *testing.T, f func(t *testing.T, secured bool)) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls %v", secured), func(t *testing.T) {
			checkResources(t)
			f(t, secured)
		})
	}
}

func TestWebSocketEcho(t *testing.T) { webSocketEcho(t, 100) }

func TestWebSocketEcho10000(t *testing.T) {
	need.Full(t)
	webSocketEcho(t, 10_000)
}

func webSocketEcho(t *testing.T, messages int) {
	overBoth(t, func(t *testing.T, secured bool) {
		for name, mode := range map[string]websocket.CompressionMode{"plain": websocket.CompressionDisabled, "compressed": websocket.CompressionContextTakeover} {
			t.Run(name, func(t *testing.T) {
				s := openSockets(t, socketBackend(t, mode, nil), "", secured)
				ctx := deadline(t, time.Minute)
				c := s.open(ctx, "/echo", mode)
				echoMany(ctx, t, c, messages)
				if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
					t.Error(err)
				}
				s.r.settled()
			})
		}
	})
}

// echoMany sends n messages of mixed kinds and sizes, every third in several
// frames, and expects them back.
func echoMany(ctx context.Context, t *testing.T, c *websocket.Conn, n int) {
	t.Helper()
	content := random(1 << 20)
	message := func(i int) []byte {
		size := []int{0, 1, 125, 126, 1000, 5000}[i%6]
		if i%100 == 99 {
			size = 100_000 * (1 + i/100%7)
		}
		return content[i : i+size]
	}
	failed := make(chan error, 1)
	go func() {
		for i := range n {
			if err := sendPieces(ctx, c, message(i), 1+i%3); err != nil {
				failed <- fmt.Errorf("message %d: %w", i, err)
				return
			}
		}
		failed <- nil
	}()
	for i := range n {
		_, p, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if !bytes.Equal(p, message(i)) {
			t.Fatalf("message %d: %d bytes came back of %d, or others", i, len(p), len(message(i)))
		}
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// sendPieces sends a message in as many frames.
func sendPieces(ctx context.Context, c *websocket.Conn, p []byte, pieces int) error {
	w, err := c.Writer(ctx, websocket.MessageBinary)
	if err != nil {
		return err
	}
	for each := (len(p) + pieces) / pieces; len(p) > 0; {
		n := min(each, len(p))
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return w.Close()
}

func TestWebSocketCloseAndPing(t *testing.T) {
	overBoth(t, func(t *testing.T, secured bool) {
		codes := make(chan websocket.StatusCode, 1)
		s := openSockets(t, socketBackend(t, websocket.CompressionDisabled, codes), "", secured)
		ctx := deadline(t, 20*time.Second)
		for _, code := range []websocket.StatusCode{1000, 1001, 1008, 1011, 3000, 4999} {
			c := s.open(ctx, fmt.Sprintf("/close/%d", code), websocket.CompressionDisabled)
			var e websocket.CloseError
			if _, _, err := c.Read(ctx); !errors.As(err, &e) || e.Code != code || e.Reason != "because" {
				t.Errorf("the backend closed with %d, the client got %v", code, err)
			}
			c = s.open(ctx, "/closed", websocket.CompressionDisabled)
			if err := c.Close(code, "why"); err != nil {
				t.Error(err)
			}
			if got := <-codes; got != code {
				t.Errorf("the client closed with %d, the backend got %d", code, got)
			}
		}
		c := s.open(ctx, "/ping", websocket.CompressionDisabled)
		reading := c.CloseRead(ctx)
		for range 100 {
			if err := c.Ping(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if reading.Err() != nil {
			t.Error("pings from both sides ended the connection")
		}
		_ = c.CloseNow()
		s.r.settled()
	})
}

// Traffic in either direction keeps a WebSocket; silence for stream_idle ends
// it.
func TestWebSocketIdle(t *testing.T) {
	overBoth(t, func(t *testing.T, secured bool) {
		codes := make(chan websocket.StatusCode, 1)
		s := openSockets(t, socketBackend(t, websocket.CompressionDisabled, codes), "    idle = \"200ms\"\n    stream_idle = \"1s\"", secured)
		ctx := deadline(t, 20*time.Second)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { // only the backend talks
				c := s.open(ctx, "/talk", websocket.CompressionDisabled)
				for i := range 40 {
					if _, p, err := c.Read(ctx); err != nil || string(p) != strconv.Itoa(i) {
						t.Errorf("message %d: %q %v", i, p, err)
						break
					}
				}
				_ = c.CloseNow()
			})
			all.Go(func() { // only the client talks
				c := s.open(ctx, "/listen", websocket.CompressionDisabled)
				for i := range 40 {
					if err := c.Write(ctx, websocket.MessageText, []byte("x")); err != nil {
						t.Errorf("message %d: %v", i, err)
						break
					}
					time.Sleep(50 * time.Millisecond)
				}
				_ = c.CloseNow()
				if n := <-codes; n != 40 {
					t.Errorf("%d messages arrived of 40", n)
				}
			})
		}
		all.Go(func() { // nobody talks
			c := s.open(ctx, "/echo", websocket.CompressionDisabled)
			begun := time.Now()
			_, _, err := c.Read(ctx)
			if took := time.Since(begun); err == nil || took < 800*time.Millisecond || took > 8*time.Second {
				t.Errorf("an idle WebSocket ended after %v: %v", took, err)
			}
		})
		all.Wait()
		s.r.settled()
	})
}

// startOnly is start for a test that stops the gateway by itself.
func startOnly(t testing.TB, files map[string]string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	r.write("preamble.hcl", preamble)
	for name, text := range files {
		r.write(name, text)
	}
	g, err := gateway.Start(context.Background(), r.options())
	if err != nil {
		t.Fatal(err)
	}
	r.g, r.base = g, "http://"+g.Addrs()["main"].String()
	return r
}

// A drain lets WebSockets go on until they end, and cuts them at its end.
func TestWebSocketDrain(t *testing.T) {
	overBoth(t, func(t *testing.T, secured bool) {
		addr := socketBackend(t, websocket.CompressionDisabled, nil)
		s := openSocketsAt(t, startOnly, addr, "", secured)
		ctx := deadline(t, 20*time.Second)
		leaves := s.open(ctx, "/echo", websocket.CompressionDisabled)
		stays := s.open(ctx, "/echo", websocket.CompressionDisabled)
		done := make(chan struct{})
		begun := time.Now()
		go func() {
			defer close(done)
			stop, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
			defer cancel()
			_ = s.r.g.Shutdown(stop)
		}()
		time.Sleep(100 * time.Millisecond)
		echoMany(ctx, t, leaves, 10)
		echoMany(ctx, t, stays, 10)
		if err := leaves.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
		if _, _, err := stays.Read(ctx); err == nil {
			t.Error("a message out of nowhere")
		}
		<-done
		if took := time.Since(begun); took < 1400*time.Millisecond || took > 8*time.Second {
			t.Errorf("the drain took %v", took)
		}
	})
}

// What either side sends before the other knows of the tunnel is not lost, and
// each direction ends by itself.
func TestTunnelEarlyBytes(t *testing.T) {
	checkResources(t)
	greeting, question := strings.Repeat("g", 6000), strings.Repeat("q", 9000)
	addr := listen(t, func(nc net.Conn) {
		in := bufio.NewReader(nc)
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"+greeting)
		b, _ := io.ReadAll(in) // to the end of the client's side
		fmt.Fprintf(nc, "%d%t", len(b), string(b) == question)
	})
	r := start(t, to(addr, ""))
	for range 10 {
		c, in := r.dial()
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n%s", question)
		if a := receive(t, in, "GET"); a.status != 101 {
			t.Fatalf("got %+v", a)
		}
		_ = c.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(in); err != nil || string(b) != greeting+"9000true" {
			t.Errorf("got %d bytes, %v", len(b), err)
		}
		c.Close()
	}
	r.settled()
}

// A reload that leaves a route as it is, or takes it away, keeps its WebSockets.
func TestWebSocketReload(t *testing.T) {
	overBoth(t, func(t *testing.T, secured bool) {
		addr := socketBackend(t, websocket.CompressionDisabled, nil)
		s := openSockets(t, addr, "", secured)
		ctx := deadline(t, 20*time.Second)
		c := s.open(ctx, "/echo", websocket.CompressionDisabled)
		for i := range 5 {
			s.r.write("more.hcl", fmt.Sprintf("route \"more\" {\n  path = \"/%d\"\n  respond {}\n}\n", i))
			s.r.reload()
			echoMany(ctx, t, c, 10)
		}
		s.r.write("routes.hcl", to(addr, `  path = "/other"`)["routes.hcl"])
		s.r.reload()
		echoMany(ctx, t, c, 10)
		if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
		s.r.settled()
	})
}
