package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// bounded makes a cluster of endpoints with limits.
func bounded(t *testing.T, c Config, connections, pending int, addresses ...string) *Cluster {
	t.Helper()
	c.Name, c.Breaker = "u", &Breaker{ErrorPercent: 50, MinRequests: 20, Window: 10 * time.Second, Open: time.Second, MaxConnections: connections, MaxPending: pending}
	for _, a := range addresses {
		c.Endpoints = append(c.Endpoints, EndpointConfig{Address: a})
	}
	cluster := registry(t).Cluster(c)
	t.Cleanup(cluster.Close)
	return cluster
}

func at(c *Cluster, i int) *Endpoint { return c.members.Load().all[i].Endpoint }

// pends waits until n requests wait for a connection.
func pends(t *testing.T, c *Cluster, n int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d wait", n), func() bool { return at(c, 0).pool.waiting.Load() == n })
}

func refusal(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Reason == "pending" && r.After > 0
}

// Requests get the connections that others leave, in the order of their coming.
func TestMaxConnections(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	c := bounded(t, Config{}, 2, 3, s.address())
	e := at(c, 0)
	a, _ := acquire(t, e, false)
	b, _ := acquire(t, e, false)
	use(t, a, "/")
	use(t, b, "/")
	order := make(chan int, 3)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			conn, reused, err := e.Acquire(t.Context(), false)
			if err != nil || !reused {
				t.Errorf("%d: %v, reused %t", i, err, reused)
				return
			}
			order <- i
			if err := exchangeOn(conn, "/"); err != nil {
				t.Error(err)
			}
			e.Release(conn)
		})
		pends(t, c, int64(i+1))
	}
	begin := time.Now()
	if _, _, err := e.Acquire(t.Context(), false); !refusal(err) || time.Since(begin) > time.Second {
		t.Errorf("the fourth: %v after %s", err, time.Since(begin))
	}
	if i := c.registry.circuitInfo("u"); i.Connections != 2 || i.Pending != 3 || i.Shed != 1 {
		t.Errorf("shown as %+v", i)
	}
	e.Release(a)
	wg.Wait()
	for i := range 3 {
		if n := <-order; n != i {
			t.Errorf("%d came as %d", n, i)
		}
	}
	use(t, b, "/last") // it closes
	e.Release(b)
	if n := s.made.Load(); n != 2 {
		t.Errorf("%d connections were made", n)
	}
	s.settles(1)
	if e.Active() != 0 || e.pool.made() != 1 {
		t.Errorf("%d active, %d connections", e.Active(), e.pool.made())
	}
	if k := e.info().Errors; k.Connect != 0 {
		t.Error("a refusal counts as failed connect")
	}
}

// A connection that ends lets the next one wait no longer; so do idle ones at
// other endpoints, and a limit that is lifted.
func TestMaxConnectionsRoom(t *testing.T) {
	s, other := serve(t, "tcp", "127.0.0.1:0"), serve(t, "tcp", "127.0.0.1:0")
	c := bounded(t, Config{}, 1, 0, s.address(), other.address())
	begin := func(e *Endpoint) chan Conn {
		got := make(chan Conn)
		go func() {
			conn, _, err := e.Acquire(t.Context(), false)
			if err != nil {
				t.Error(err)
			}
			got <- conn
		}()
		return got
	}
	a, _ := acquire(t, at(c, 0), false)
	next := begin(at(c, 0))
	pends(t, c, 1)
	at(c, 0).Discard(a)
	b := <-next
	use(t, b, "/")
	at(c, 0).Release(b)
	elsewhere := <-begin(at(c, 1)) // the idle one makes room
	s.settles(0)
	next = begin(at(c, 0))
	pends(t, c, 1)
	use(t, elsewhere, "/")
	at(c, 1).Release(elsewhere)
	d := <-next
	other.settles(0)
	next = begin(at(c, 0))
	pends(t, c, 1)
	at(c, 0).pool.bound(nil)
	at(c, 0).Discard(<-next)
	at(c, 0).Discard(d)
	s.settles(0)
	if n := at(c, 0).pool.made(); n != 0 {
		t.Errorf("%d connections are left over", n)
	}
}

// A wait ends with the request, and after the time to connect.
func TestMaxConnectionsPatience(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	c := bounded(t, Config{ConnectTimeout: 30 * time.Millisecond}, 1, 0, s.address())
	e := at(c, 0)
	a, _ := acquire(t, e, false)
	if _, _, err := e.Acquire(t.Context(), false); !refusal(err) {
		t.Errorf("got %v", err)
	}
	if _, err := e.Dial(t.Context(), nil); !refusal(err) {
		t.Errorf("a stream: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := e.Acquire(ctx, true); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	e.Discard(a)
	nc, err := e.Dial(t.Context(), nil) // streams count too
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Acquire(t.Context(), false); !refusal(err) {
		t.Errorf("beside a stream: %v", err)
	}
	nc.Close()
	nc.Close()
	a, _ = acquire(t, e, false)
	e.Discard(a)
	down := bounded(t, Config{}, 1, 0, "127.0.0.1:1")
	for range 3 {
		if _, _, err := at(down, 0).Acquire(t.Context(), false); err == nil || refusal(err) {
			t.Errorf("got %v", err)
		}
	}
}

// Streams of shared connections are waited for as well.
func TestMaxConnectionsHTTP2(t *testing.T) {
	var now, most atomic.Int64
	hold := make(chan struct{})
	p := admit(t, true, false)
	p.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 3}
	p.does(func(w http.ResponseWriter, _ *http.Request) {
		for n := now.Add(1); n > most.Load(); {
			most.Store(n)
		}
		<-hold
		now.Add(-1)
		io.WriteString(w, "ok")
	})
	c := bounded(t, Config{HTTP2: true}, 1, 0, p.address())
	e := at(c, 0)
	ask := func(conn Conn) error {
		defer e.Discard(conn)
		if err := conn.WriteRequest(&exchange.Request{Method: "GET", Path: "/", Authority: "u", Scheme: "http"}, nil, true); err != nil {
			return err
		}
		return conn.ReadResponse("GET", &exchange.Response{})
	}
	first, _ := acquire(t, e, false) // SETTINGS come with the first answer
	go func() { hold <- struct{}{} }()
	if err := ask(first); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			conn, _, err := e.Acquire(t.Context(), false)
			if err == nil {
				err = ask(conn)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	pends(t, c, 5)
	close(hold)
	wg.Wait()
	if most.Load() > 3 || e.pool.made() != 1 {
		t.Errorf("%d at once, %d connections", most.Load(), e.pool.made())
	}
}

// Under load there are never more connections than may be, nobody waits for
// nothing, and nothing is left.
func TestMaxConnectionsUnderLoad(t *testing.T) {
	s, other := serve(t, "tcp", "127.0.0.1:0"), serve(t, "tcp", "127.0.0.1:0")
	c := bounded(t, Config{Balance: "round_robin"}, 4, 0, s.address(), other.address())
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for n := range 40 {
				e, err := c.Pick(nil, nil)
				if err != nil {
					t.Error(err)
					return
				}
				conn, _, err := e.Acquire(t.Context(), n%7 == 0)
				if err != nil {
					t.Error(err)
					return
				}
				if open := e.pool.made(); open > 4 {
					t.Errorf("%d connections", open)
				}
				if err := exchangeOn(conn, "/"); err != nil {
					t.Error(err)
				}
				if (n+i)%11 == 0 {
					e.Discard(conn)
				} else {
					e.Release(conn)
				}
			}
		})
	}
	wg.Wait()
	pends(t, c, 0)
	c.Close()
	s.settles(0)
	other.settles(0)
}
