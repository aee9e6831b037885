package upstream

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

func TestConnectionsAreReused(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	_, e := endpoint(t, registry(t), Config{}, s.address())
	a, reused := acquire(t, e, false)
	if reused {
		t.Error("reused before there was one")
	}
	b, _ := acquire(t, e, false)
	if e.Active() != 2 {
		t.Errorf("%d active", e.Active())
	}
	use(t, a, "/")
	use(t, b, "/")
	e.Release(a)
	e.Release(b)
	if e.Active() != 0 || idle(e) != 2 {
		t.Errorf("%d active, %d idle", e.Active(), idle(e))
	}
	for _, want := range []Conn{b, a} {
		c, reused := acquire(t, e, false)
		if c != want || !reused {
			t.Error("the connection used last is not taken first")
		}
		use(t, c, "/")
		defer e.Release(c)
	}
	if n := s.made.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestFreshConnection(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	_, e := endpoint(t, registry(t), Config{}, s.address())
	a, _ := acquire(t, e, false)
	use(t, a, "/")
	e.Release(a)
	b, reused := acquire(t, e, true)
	if b == a || reused || idle(e) != 1 {
		t.Error("a fresh connection came from the pool")
	}
	e.Discard(b)
	s.settles(1)
}

func TestWhatIsNotKept(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, e *Endpoint, c Conn)
	}{
		{"a connection that its peer ends", func(t *testing.T, e *Endpoint, c Conn) { use(t, c, "/last"); e.Release(c) }},
		{"a request without its answer", func(t *testing.T, e *Endpoint, c Conn) {
			_ = c.WriteRequest(&exchange.Request{Method: "GET", Path: "/", Authority: "u"}, nil, true)
			e.Release(c)
		}},
		{"what is discarded", func(t *testing.T, e *Endpoint, c Conn) { use(t, c, "/"); e.Discard(c) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "tcp", "127.0.0.1:0")
			_, e := endpoint(t, registry(t), Config{}, s.address())
			conn, _ := acquire(t, e, false)
			c.end(t, e, conn)
			if idle(e) != 0 || e.Active() != 0 {
				t.Errorf("%d idle, %d active", idle(e), e.Active())
			}
			s.settles(0)
		})
	}
}

// A pooled connection that its peer ends is handed out as any other: whether it
// is still good costs a system call, which is the caller's to spend.
func TestStaleConnections(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	_, e := endpoint(t, registry(t), Config{}, s.address())
	good, _ := acquire(t, e, false)
	use(t, good, "/")
	bad, _ := acquire(t, e, false)
	use(t, bad, "/leaves")
	e.Release(good)
	e.Release(bad)
	s.settles(1)
	for _, want := range []struct {
		conn  Conn
		stale bool
	}{{bad, true}, {good, false}} {
		c, reused := acquire(t, e, false)
		if c != want.conn || !reused {
			t.Fatal("not the connection that was used last")
		}
		// The end of a connection takes a moment to arrive.
		for start := time.Now(); c.(*http1.Client).Stale() != want.stale; time.Sleep(time.Millisecond) {
			if time.Since(start) > 5*time.Second {
				t.Fatalf("stale is %v", !want.stale)
			}
		}
		if err := exchangeOn(c, "/"); (err != nil) != want.stale {
			t.Errorf("stale %v, but the next request on it: %v", want.stale, err)
		}
		e.Discard(c)
	}
	s.settles(0)
	if i := e.info(); i.Active != 0 || i.Idle != 0 || i.Requests != 4 {
		t.Errorf("%+v", i)
	}
}

func TestMaxIdle(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	_, e := endpoint(t, registry(t), Config{MaxIdle: 2}, s.address())
	var conns []Conn
	for range 5 {
		c, _ := acquire(t, e, false)
		use(t, c, "/")
		conns = append(conns, c)
	}
	for _, c := range conns {
		e.Release(c)
	}
	if idle(e) != 2 {
		t.Errorf("%d idle", idle(e))
	}
	s.settles(2)
}

func TestIdleTimeout(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	_, e := endpoint(t, registry(t), Config{IdleTimeout: 50 * time.Millisecond}, s.address())
	c, _ := acquire(t, e, false)
	use(t, c, "/")
	e.Release(c)
	time.Sleep(60 * time.Millisecond)
	// The reaper has most likely not looked; it is over all the same.
	d, reused := acquire(t, e, false)
	if reused {
		t.Error("taken after its time")
	}
	e.Discard(d)
	s.settles(0)
	if idle(e) != 0 {
		t.Errorf("%d idle", idle(e))
	}
}

// What idled too long goes, what did not stays in its order.
func TestReapKeepsTheRest(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	_, e := endpoint(t, registry(t), Config{IdleTimeout: time.Hour}, s.address())
	var conns []Conn
	for range 4 {
		c, _ := acquire(t, e, true)
		use(t, c, "/")
		conns = append(conns, c)
	}
	for _, c := range conns {
		e.Release(c)
	}
	e.mu.Lock()
	e.idle[0].since, e.idle[1].since = -2*time.Hour, -2*time.Hour
	e.mu.Unlock()
	e.reap()
	s.settles(2)
	for _, want := range []Conn{conns[3], conns[2]} {
		c, reused := acquire(t, e, false)
		if c != want || !reused {
			t.Error("not in order")
		}
		defer e.Discard(c)
	}
}

func TestConnectFailures(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := l.Addr().String()
	l.Close()
	left, leave := context.WithCancel(t.Context())
	leave()
	for _, c := range []struct {
		name, address string
		ctx           context.Context
		errors        int64
	}{
		{"refused", refusing, t.Context(), 1},
		{"no such socket", "unix:" + filepath.Join(t.TempDir(), "none.sock"), t.Context(), 1},
		{"no port", "127.0.0.1", t.Context(), 1},
		{"the caller left", refusing, left, 0}, // says nothing of the endpoint
	} {
		t.Run(c.name, func(t *testing.T) {
			_, e := endpoint(t, registry(t), Config{}, c.address)
			conn, reused, err := e.Acquire(c.ctx, false)
			if err == nil || conn != nil || reused {
				t.Fatal("connected", err)
			}
			if i := e.info(); i.Errors.Connect != c.errors || i.Failures != c.errors || i.Active != 0 || i.Requests != 1 {
				t.Errorf("%+v", i)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	dir, err := os.MkdirTemp("", "u") // short: a socket's path is bounded
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, c := range []struct{ name, network, listen, dial string }{
		{"IPv4", "tcp", "127.0.0.1:0", ""},
		{"IPv6", "tcp", "[::1]:0", ""},
		{"Unix", "unix", filepath.Join(dir, "s"), ""},
		{"a name of two addresses, one of which refuses", "tcp4", "127.0.0.1:0", "localhost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.network, c.listen)
			address := s.address()
			if c.dial != "" {
				_, port, _ := net.SplitHostPort(address)
				address = net.JoinHostPort(c.dial, port)
			}
			_, e := endpoint(t, registry(t), Config{}, address)
			if c.dial == "" {
				// An address is no name: nobody is asked for it.
				e.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
					t.Error("the resolver was asked")
					return nil, errors.New("no")
				}}
			}
			if e.Address() != address {
				t.Errorf("address %q", e.Address())
			}
			conn, _ := acquire(t, e, false)
			use(t, conn, "/")
			e.Release(conn)
			s.settles(1)
		})
	}
}

func TestHold(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	_, e := endpoint(t, registry(t), Config{}, s.address())
	c, _ := acquire(t, e, false)
	release := e.Hold()
	e.Discard(c)
	if i := e.info(); i.Active != 1 || i.Requests != 1 {
		t.Errorf("%+v while the tunnel lasts", i)
	}
	release()
	release()
	if e.Active() != 0 {
		t.Errorf("%d active after it", e.Active())
	}
}

func TestLatencyFollows(t *testing.T) {
	_, e := endpoint(t, registry(t), Config{}, "10.0.0.1:1")
	e.Answered(200, 100*time.Millisecond)
	for range 200 {
		e.Answered(200, 10*time.Millisecond)
	}
	if ms := e.info().LatencyMS; ms < 9.9 || ms > 10.1 {
		t.Errorf("%v ms", ms)
	}
}

func TestConfigDefaults(t *testing.T) {
	c := registry(t).Cluster(Config{Name: "u"})
	defer c.Close()
	if g := c.Config(); g.Balance != "least_request" || g.ConnectTimeout != 5*time.Second || g.Timeout != 15*time.Second || c.Timeout() != g.Timeout ||
		g.IdleTimeout != time.Minute || g.MaxIdle != 512 || c.Name() != "u" {
		t.Errorf("%+v", g)
	}
}

// BenchmarkAcquire is what the pool costs a request.
func BenchmarkAcquire(b *testing.B) {
	s := serve(b, "tcp", "127.0.0.1:0")
	_, e := endpoint(b, registry(b), Config{}, s.address())
	for range 8 {
		c, _ := acquire(b, e, true)
		use(b, c, "/")
		defer e.Release(c)
	}
	var conns []Conn
	for range 8 {
		c, _ := acquire(b, e, true)
		use(b, c, "/")
		conns = append(conns, c)
	}
	for _, c := range conns {
		e.Release(c)
	}
	b.ReportAllocs()
	for b.Loop() {
		c, reused, err := e.Acquire(b.Context(), false)
		if err != nil || !reused {
			b.Fatal(err, reused)
		}
		e.Release(c)
	}
}
