package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/test/need"
)

// memory samples what the process takes while a transfer runs.
type memory struct {
	stop       chan struct{}
	done       sync.WaitGroup
	heap, rss  uint64 // before
	heapMost   uint64
	rssMost    uint64
	goroutines int
}

func watchMemory() *memory {
	m := &memory{stop: make(chan struct{}), goroutines: runtime.NumGoroutine()}
	runtime.GC()
	m.heap, m.rss = heapNow(), rssNow()
	m.done.Go(func() {
		for {
			m.heapMost, m.rssMost = max(m.heapMost, heapNow()), max(m.rssMost, rssNow())
			select {
			case <-m.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return m
}

// grown ends the watch and returns by how many MiB heap and resident set grew.
func (m *memory) grown() (heap, rss uint64) {
	close(m.stop)
	m.done.Wait()
	return (max(m.heapMost, m.heap) - m.heap) >> 20, (max(m.rssMost, m.rss) - m.rss) >> 20
}

func heapNow() uint64 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapInuse + s.StackInuse
}

// rssNow is 0 where the system does not tell.
func rssNow() uint64 {
	b, _ := os.ReadFile("/proc/self/statm")
	var size, pages uint64
	_, _ = fmt.Sscan(string(b), &size, &pages)
	return pages * uint64(os.Getpagesize())
}

// framings are how a body can be delimited, as head fields for a size.
func framings(size int64) map[string]string {
	return map[string]string{"length": fmt.Sprintf("Content-Length: %d\r\n\r\n", size), "chunked": "Transfer-Encoding: chunked\r\n\r\n"}
}

// chunks writes size zeros, a multiple of 64 KiB, as a body of that framing.
func chunks(w io.Writer, framing string, size int64) error {
	const each = 64 << 10
	p, end := make([]byte, each), ""
	if framing == "chunked" {
		p, end = fmt.Appendf(nil, "%x\r\n%s\r\n", each, p), "0\r\n\r\n"
	}
	for range size / each {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, end)
	return err
}

// discard reads a body and returns its size, holding little memory.
func discard(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 64<<10))
}

// bulk is a backend that sends the body that the path names, or counts what it
// gets.
func bulk(t testing.TB, size int64) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			n, err := discard(req.Body)
			if err != nil {
				return
			}
			framing := strings.TrimPrefix(req.URL.Path, "/")
			if req.Method == "POST" {
				s := fmt.Sprint(n)
				_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
				continue
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n"+framings(size)[framing]); err != nil {
				return
			}
			if chunks(c, framing, size) != nil {
				return
			}
		}
	})
}

// Bodies of any size pass in constant memory.
func TestConstantMemory(t *testing.T) { constantMemory(t, 64<<20) }

func TestConstantMemoryGiB(t *testing.T) {
	need.Full(t)
	constantMemory(t, 1<<30)
}

func constantMemory(t *testing.T, size int64) {
	checkResources(t)
	r := start(t, to(bulk(t, size), ""))
	for _, method := range []string{"GET", "POST"} {
		for framing, fields := range framings(size) {
			t.Run(method+" "+framing, func(t *testing.T) {
				c, in := r.dial()
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
				m := watchMemory()
				if method == "POST" {
					fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\n%s", fields)
					if err := chunks(c, framing, size); err != nil {
						t.Fatal(err)
					}
				} else {
					fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", framing)
				}
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if method == "POST" {
					if b, err := io.ReadAll(res.Body); err != nil || string(b) != fmt.Sprint(size) {
						t.Errorf("the backend got %s: %v", b, err)
					}
				} else if n, err := discard(res.Body); n != size || err != nil {
					t.Errorf("%d bytes came: %v", n, err)
				}
				// The race detector takes shadow memory, so that rss means little.
				if heap, rss := m.grown(); heap > 8 || rss > 64 {
					t.Errorf("memory grew by %d MiB of heap, %d MiB resident", heap, rss)
				} else {
					t.Logf("memory grew by %d MiB of heap, %d MiB resident", heap, rss)
				}
			})
		}
	}
	r.settled()
}

// counter counts what a connection took.
type counter struct {
	net.Conn
	n atomic.Int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// stuck waits until c takes no more, and returns what it took.
func (c *counter) stuck(t *testing.T) int64 {
	t.Helper()
	for last, same := int64(-1), 0; ; {
		if n := c.n.Load(); n != last {
			last, same = n, 0
		} else if same++; same == 10 && n > 0 {
			return n
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// mostBuffered is what the sockets of both connections may hold, and we.
const mostBuffered = 32 << 20

// A client that reads nothing stops the backend, and gets everything once it
// reads.
func TestBackpressureDown(t *testing.T) {
	checkResources(t)
	const size = 96 << 20
	for framing := range framings(size) {
		t.Run(framing, func(t *testing.T) {
			sender := make(chan *counter, 1)
			addr := listen(t, func(nc net.Conn) {
				c := &counter{Conn: nc}
				if _, err := http.ReadRequest(bufio.NewReader(nc)); err != nil {
					return
				}
				sender <- c
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+framings(size)[framing])
				_ = chunks(c, framing, size)
			})
			r := start(t, to(addr, ""))
			c, in := r.dial()
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			m := watchMemory()
			if n := (<-sender).stuck(t); n > mostBuffered {
				t.Errorf("%d bytes were taken for a client that reads nothing", n)
			}
			if heap, _ := m.grown(); heap > 8 {
				t.Errorf("the heap grew by %d MiB", heap)
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := discard(res.Body); n != size || err != nil {
				t.Errorf("%d bytes came: %v", n, err)
			}
			c.Close()
			r.settled()
		})
	}
}

// A backend that reads nothing stops the client.
func TestBackpressureUp(t *testing.T) {
	checkResources(t)
	const size = 96 << 20
	for framing, fields := range framings(size) {
		t.Run(framing, func(t *testing.T) {
			read := make(chan struct{})
			addr := listen(t, func(nc net.Conn) {
				req, err := http.ReadRequest(bufio.NewReader(nc))
				if err != nil {
					return
				}
				<-read
				n, err := discard(req.Body)
				s := fmt.Sprint(n, err)
				_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
			})
			r := start(t, to(addr, ""))
			nc, in := r.dial()
			_ = nc.SetDeadline(time.Now().Add(time.Minute))
			c := &counter{Conn: nc}
			sent := make(chan error, 1)
			m := watchMemory()
			go func() {
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\n%s", fields)
				sent <- chunks(c, framing, size)
			}()
			if n := c.stuck(t); n > mostBuffered {
				t.Errorf("%d bytes were taken for a backend that reads nothing", n)
			}
			if heap, _ := m.grown(); heap > 8 {
				t.Errorf("the heap grew by %d MiB", heap)
			}
			close(read)
			if a := receive(t, in, "POST"); a.body != fmt.Sprint(size, " <nil>") {
				t.Errorf("got %+v", a)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
			nc.Close()
			r.settled()
		})
	}
}

// The size of what a client may not exceed is told before it sends more.
func TestBodyLimitWhileItComes(t *testing.T) {
	checkResources(t)
	addr := backend(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
	})
	r := start(t, to(addr, `max_body = "1MiB"`))
	for framing, fields := range framings(64 << 20) {
		nc, in := r.dial()
		done := make(chan struct{})
		go func() {
			defer close(done)
			fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: a\r\n%s", fields)
			_ = chunks(nc, framing, 64<<20)
		}()
		if a := receive(t, in, "POST"); a.status != 413 || a.err != nil {
			t.Errorf("%s: got %+v", framing, a)
		}
		nc.Close()
		<-done
	}
	r.settled()
}
