package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// random returns n bytes that no shift or loss leaves the same.
func random(n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(p)
	return p
}

// Large bodies take another way than small ones, and arrive the same.
func TestLargeBodies(t *testing.T) {
	checkLeaks(t)
	content := random(5 << 20)
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		w.Header().Set("Content-Length", strconv.Itoa(n))
		switch r.URL.Path {
		case "/pause": // for longer than the engine waits at a time
			_, _ = w.Write(content[:n/2])
			w.(http.Flusher).Flush()
			time.Sleep(1500 * time.Millisecond)
			_, _ = w.Write(content[n/2 : n])
		case "/cut":
			_, _ = w.Write(content[:n/2])
			panic(http.ErrAbortHandler)
		default:
			_, _ = w.Write(content[:n])
		}
	})
	r := start(t, to(addr, ""))
	get := func(path string, n int, slow time.Duration) ([]byte, error) {
		c, in := r.dial()
		defer c.Close()
		if slow > 0 {
			_ = c.(*net.TCPConn).SetReadBuffer(128 << 10)
		}
		fmt.Fprintf(c, "GET %s?n=%d HTTP/1.1\r\nHost: a\r\n\r\nGET /?n=3 HTTP/1.1\r\nHost: a\r\n\r\n", path, n)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return nil, err
		}
		time.Sleep(slow)
		b, err := io.ReadAll(res.Body)
		if err == nil { // the message ended where it should
			if res, err = http.ReadResponse(in, nil); err != nil || res.ContentLength != 3 {
				t.Errorf("%s %d: behind it: %v %v", path, n, res, err)
			}
		}
		return b, err
	}
	for _, n := range []int{0, 1, 16 << 10, 32<<10 - 1, 48 << 10, 48<<10 + 200, 64 << 10, 100_000, 256 << 10, 1 << 20, 5 << 20} {
		if b, err := get("/", n, 0); err != nil || !bytes.Equal(b, content[:n]) {
			t.Errorf("%d bytes: got %d, %v", n, len(b), err)
		}
	}
	if b, err := get("/", 5<<20, 1200*time.Millisecond); err != nil || !bytes.Equal(b, content) {
		t.Errorf("a slow client: got %d bytes, %v", len(b), err)
	}
	if b, err := get("/pause", 1<<20, 0); err != nil || !bytes.Equal(b, content[:1<<20]) {
		t.Errorf("a slow backend: got %d bytes, %v", len(b), err)
	}
	if b, err := get("/cut", 1<<20, 0); err == nil || !bytes.Equal(b, content[:len(b)]) {
		t.Errorf("a backend that breaks off: got %d bytes, %v", len(b), err)
	}
}
