package lifecycle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/headgate/headgate/test/need"
)

// slowly is a configuration whose patience with clients is short.
const slowly = base + `
listener "main" {
  address   = "127.0.0.1:0"
  protocols = ["http/1.1", "h2"]
  timeouts {
    header      = "1s"
    idle        = "2s"
    stream_idle = "1s"
  }
}
upstream "b" {
  endpoint %q {}
}
route "all" {
  path_prefix = "/"
  upstream    = upstream.b
}
`

// tooLong is far beyond the patience of slowly.
const tooLong = 10 * time.Second

// bulky reads what it is sent, and answers /large with far more than buffers
// hold.
func bulky(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	if r.URL.Path == "/large" {
		p := make([]byte, 1<<20)
		for range 64 {
			if _, err := w.Write(p); err != nil {
				return
			}
		}
		return
	}
	fmt.Fprint(w, "ok")
}

// TestSlowClients has a hundred clients of each kind that never get on with it.
// All of them are told or cut in time, and others are served meanwhile.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, send string
		trickle    string // sent again and again
		status     int    // 0: cut, or ended without an answer; -1: it does not look
		from       time.Duration
	}{
		{"no request", "", "", 0, 1900 * time.Millisecond},
		{"half a head", "GET / HTTP/1.1\r\nHost: a\r\n", "", 408, 900 * time.Millisecond},
		{"a head in drops", "GET / HTTP/1.1\r\nHost: a\r\nX-A: ", "a", 408, 900 * time.Millisecond},
		{"half a preface of HTTP/2", "PRI * HT", "", 0, 900 * time.Millisecond},
		{"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", "", 408, 900 * time.Millisecond},
		{"half a chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf", "", 408, 900 * time.Millisecond},
		{"it does not read", "GET /large HTTP/1.1\r\nHost: a\r\n\r\n", "", -1, 900 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, fmt.Sprintf(slowly, backend(t, bulky)))
			p := b.start()
			l := newLoad(t)
			l.keepAlive("keep-alive", plain("tcp", p.addrs["main"]), request("/", ""), 0, 2*time.Millisecond)
			l.keepAlive("new connections", plain("tcp", p.addrs["main"]), request("/", ""), 2, 2*time.Millisecond)
			l.awaitMore(10)
			goroutines := p.metric("go_goroutines", "")
			var wg sync.WaitGroup
			for i := range 100 {
				nc, err := p.dial()
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				start := time.Now()
				if _, err := io.WriteString(nc, c.send); err != nil {
					t.Fatal(err)
				}
				if c.trickle != "" {
					wg.Go(func() {
						for range 40 { // longer than any limit
							if _, err := io.WriteString(nc, c.trickle); err != nil {
								return
							}
							time.Sleep(100 * time.Millisecond)
						}
					})
				}
				if c.status < 0 {
					continue
				}
				wg.Go(func() {
					res, err := http.ReadResponse(nc.in, nil)
					d := time.Since(start)
					switch {
					case c.status > 0 && (err != nil || res.StatusCode != c.status || !res.Close):
						t.Errorf("client %d: %v, %v", i, res, err)
					case c.status == 0 && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET):
						t.Errorf("client %d: %v, %v", i, res, err)
					case d < c.from || d > tooLong:
						t.Errorf("client %d: after %v", i, d)
					}
				})
			}
			start := time.Now()
			wg.Wait()
			p.awaitMetric("headgate_connections_active", `"main"`, func(v float64) bool { return v <= 2 })
			if d := time.Since(start); c.status < 0 && (d < c.from || d > tooLong) {
				t.Errorf("clients that don't read are gone after %v", d)
			}
			p.awaitMetric("go_goroutines", "", func(v float64) bool { return v <= goroutines+4 })
			l.awaitMore(10)
			l.end()
			p.stop()
		})
	}
}

// TestSlowHTTPTest is the same with a program that is made for it, in its three
// modes: it holds no connection for long, and finds the service available.
func TestSlowHTTPTest(t *testing.T) {
	need.Full(t)
	program := need.Program(t, "slowhttptest")
	for _, c := range []struct {
		name string
		path string
		args []string
	}{
		{"heads", "/", []string{"-H"}},
		{"bodies", "/", []string{"-B", "-s", "8192"}},
		{"reading", "/large", []string{"-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, fmt.Sprintf(slowly, backend(t, bulky)))
			p := b.start()
			l := newLoad(t)
			l.keepAlive("keep-alive", plain("tcp", p.addrs["main"]), request("/", ""), 0, time.Millisecond)
			l.keepAlive("new connections", plain("tcp", p.addrs["main"]), request("/", ""), 1, 0)
			conns := 400
			if raceEnabled { // which is slow itself
				conns = 50
			}
			args := append(c.args, "-c", strconv.Itoa(conns), "-r", "1000", "-i", "20", "-l", "25", "-p", "3", "-u", "http://"+p.addrs["main"]+c.path)
			cmd := exec.Command(program, args...)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var err error
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				err = cmd.Wait()
			}()
			p.awaitMetric("headgate_connections_active", `"main"`, func(v float64) bool { return v > float64(conns/2) })
			p.awaitMetric("headgate_connections_active", `"main"`, func(v float64) bool { return v <= 4 })
			if c.name == "reading" {
				// It looks at its connections every five seconds only.
				select {
				case <-ended:
					t.Error("slowhttptest ended first")
				default:
				}
			}
			<-ended
			if err != nil {
				t.Errorf("slowhttptest: %v", err)
			}
			text := regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`).ReplaceAllString(out.String(), "")
			if strings.Contains(text, "service available:   NO") || !strings.Contains(text, "service available:   YES") {
				t.Error("the service was not available all the time")
			}
			if c.name != "reading" && !strings.Contains(text, "No open connections left") {
				t.Error("it still had connections at its end")
			}
			if t.Failed() {
				t.Log(text)
			}
			l.awaitMore(10)
			l.end()
			p.awaitMetric("headgate_connections_active", `"main"`, func(v float64) bool { return v == 0 })
			p.stop()
		})
	}
}
