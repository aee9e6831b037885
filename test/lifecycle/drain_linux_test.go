package lifecycle

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const drained = `
gateway {
  admin {
    address = "127.0.0.1:0"
  }
  log {
    format = "json"
  }
  shutdown {
    delay = %q
    drain = %q
  }
}
listener "main" {
  address   = "127.0.0.1:0"
  protocols = ["http/1.1", "h2"]
}
upstream "b" {
  endpoint %q {}
}
route "all" {
  path_prefix = "/"
  upstream    = upstream.b
}
`

// TestDrain ends a process under load. Clients that leave when they are told
// lose nothing; what is under way is finished.
func TestDrain(t *testing.T) {
	tick := make(chan string)
	begun, release := make(chan struct{}, 1), make(chan struct{})
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- struct{}{}
			<-release
		}
		ticking(tick)(w, r)
	})
	b := newBed(t, "")
	b.certificate()
	b.configure(fmt.Sprintf(drained, "700ms", "20s", addr) + overTLS)
	p := b.start()
	main := plain("tcp", p.addrs["main"])
	l := newLoad(t)
	l.leaves = true
	for range 4 {
		l.keepAlive("keep-alive", main, request("/x", ""), 0, 0)
		l.keepAlive("tls", secure(p.addrs["tls"]), request("/x", ""), 0, 10*time.Millisecond)
		l.keepAlive("with pauses", main, request("/x", ""), 0, 50*time.Millisecond)
		l.keepAlive("with long pauses", main, request("/x", ""), 0, 400*time.Millisecond)
	}
	l.multiplexed("h2c", "http://"+p.addrs["main"]+"/x", 8)
	l.multiplexed("h2", "https://"+p.addrs["tls"]+"/x", 4)
	l.awaitMore(300)
	open := stream(t, main)
	slow, err := main(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprint(slow, request("/slow", ""))
	<-begun

	if code, body := p.get("/ready"); code != 200 {
		t.Fatalf("readiness: %d %s", code, body)
	}
	p.signal(unix.SIGTERM)
	p.await(0, "stopping")
	if code, body := p.get("/ready"); code != 503 {
		t.Errorf("readiness after SIGTERM: %d %s", code, body)
	}
	late, err := main(t.Context())
	if err != nil {
		t.Fatalf("during shutdown.delay: %v", err)
	}
	defer late.Close()
	fmt.Fprint(late, request("/x", ""))
	if res, err := http.ReadResponse(bufio.NewReader(late), nil); err != nil || res.StatusCode != 200 || res.Close {
		t.Errorf("during shutdown.delay: %v, %v", res, err)
	}
	l.wg.Wait() // all of them are told to leave
	l.end()
	if c, err := main(t.Context()); err == nil {
		c.Close()
		t.Error("connections are still accepted")
	}
	tick <- "late"
	if got := line(t, open); got != "late" {
		t.Error(got)
	}
	close(release)
	close(tick)
	if rest, err := io.ReadAll(open); err != nil || len(rest) > 0 {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
	res, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil || res.StatusCode != 200 || !res.Close {
		t.Errorf("the slow answer: %v, %v", res, err)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestDrainEnds bounds the drain, by its time and by a second signal.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, drain string
		second      bool
	}{
		{"in time", "1s", false},
		{"at a second signal", "60s", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tick := make(chan string)
			addr := backend(t, ticking(tick))
			b := newBed(t, fmt.Sprintf(drained, "0s", c.drain, addr))
			p := b.start()
			open := stream(t, plain("tcp", p.addrs["main"]))
			tick <- "before"
			if got := line(t, open); got != "before" {
				t.Fatal(got)
			}
			start := time.Now()
			p.signal(unix.SIGTERM)
			p.await(0, "stopping")
			tick <- "after"
			if got := line(t, open); got != "after" {
				t.Fatal(got)
			}
			if c.second {
				p.signal(unix.SIGINT)
			}
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if d := time.Since(start); d > 5*time.Second || !c.second && d < time.Second {
				t.Errorf("it took %v", d)
			}
			// Cut, and not ended as if that were all of it.
			if rest, err := io.ReadAll(open); err == nil {
				t.Errorf("the stream ended well, with %q", rest)
			}
			p.await(0, "stopped before everything had finished")
		})
	}
}

// TestIdleConnectionsEnd has a few hundred connections that rest and ask just
// when the process stops: some of their requests come too late to be served.
// Their clients see an end, and no reset.
func TestIdleConnectionsEnd(t *testing.T) {
	addr := backend(t, ticking(nil))
	b := newBed(t, fmt.Sprintf(drained, "0s", "20s", addr))
	p := b.start()
	const conns = 300
	var wg sync.WaitGroup
	var served, closed, ended atomic.Int64
	gate := make(chan struct{})
	for i := range conns {
		c, err := net.Dial("tcp", p.addrs["main"])
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		in := bufio.NewReader(c)
		ask := func() (*http.Response, error) {
			if _, err := io.WriteString(c, request("/x", "")); err != nil {
				return nil, err
			}
			res, err := http.ReadResponse(in, nil)
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
			}
			return res, err
		}
		if _, err := ask(); err != nil {
			t.Fatal(err)
		}
		wait := 200*time.Millisecond + time.Duration(rand.Int64N(int64(100*time.Millisecond)))
		wg.Go(func() {
			defer c.Close()
			<-gate
			_ = c.SetReadDeadline(time.Now().Add(wait))
			if _, err := in.Peek(1); errors.Is(err, io.EOF) {
				closed.Add(1) // before it was asked anything
				return
			}
			_ = c.SetReadDeadline(time.Now().Add(patience))
			switch res, err := ask(); {
			case err == nil && res.Close:
				served.Add(1)
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
				ended.Add(1)
			default:
				t.Errorf("connection %d: %v, %v", i, res, err)
			}
		})
	}
	p.signal(unix.SIGTERM)
	p.await(0, "stopping")
	close(gate)
	wg.Wait()
	t.Logf("%d served, %d ended while idle, %d ended when they asked", served.Load(), closed.Load(), ended.Load())
	if ended.Load() > conns/20 || served.Load() == 0 || closed.Load() == 0 {
		t.Error("the end of idle connections and requests cross too often, or the test does not meet the end")
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestDrainWhileOpening has a client that has yet to say what it speaks when the
// drain begins: it is served.
func TestDrainWhileOpening(t *testing.T) {
	addr := backend(t, ticking(nil))
	b := newBed(t, fmt.Sprintf(drained, "0s", "20s", addr))
	p := b.start()
	c, err := net.Dial("tcp", p.addrs["main"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	time.Sleep(20 * time.Millisecond) // accepted, or in the backlog: both are to be served
	p.signal(unix.SIGTERM)
	p.await(0, "stopping")
	fmt.Fprint(c, request("/x", ""))
	if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != 200 {
		t.Errorf("%v, %v", res, err)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
