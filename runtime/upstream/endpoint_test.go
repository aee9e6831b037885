package upstream

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers requests and knows its connections.
type server struct {
	t    testing.TB
	l    net.Listener
	wg   sync.WaitGroup
	open atomic.Int64
	made atomic.Int64
	// answer is what a request to a path gets; "" is an empty 200.
	answer map[string]string
}

func serve(t testing.TB, network, address string) *server {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skip(err)
	}
	s := &server{t: t, l: l, answer: map[string]string{
		"/last": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	}}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.made.Add(1)
			s.open.Add(1)
			s.wg.Go(func() {
				defer s.open.Add(-1)
				defer c.Close()
				s.serve(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); s.wg.Wait() })
	return s
}

func (s *server) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		answer := s.answer[req.URL.Path]
		if answer == "" {
			answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func (s *server) address() string {
	if s.l.Addr().Network() == "unix" {
		return "unix:" + s.l.Addr().String()
	}
	return s.l.Addr().String()
}

// settles waits until the server has n open connections.
func (s *server) settles(n int64) {
	s.t.Helper()
	for start := time.Now(); s.open.Load() != n; time.Sleep(time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			s.t.Fatalf("%d open connections, want %d", s.open.Load(), n)
		}
	}
}

func registry(t testing.TB) *Registry {
	r := NewRegistry(nil)
	t.Cleanup(r.Close)
	return r
}

// endpoint returns the only endpoint of a new cluster.
func endpoint(t testing.TB, r *Registry, c Config, address string) (*Cluster, *Endpoint) {
	t.Helper()
	c.Endpoints = append(c.Endpoints, EndpointConfig{Address: address})
	if c.Name == "" {
		c.Name = "u"
	}
	cluster := r.Cluster(c)
	t.Cleanup(cluster.Close)
	e, err := cluster.Pick(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cluster, e
}

func acquire(t testing.TB, e *Endpoint, fresh bool) (*Conn, bool) {
	t.Helper()
	c, reused, err := e.Acquire(t.Context(), fresh)
	if err != nil {
		t.Fatal(err)
	}
	return c, reused
}

// exchangeOn sends a request and reads the answer to its end.
func exchangeOn(c *Conn, path string) error {
	if err := c.WriteRequest(&exchange.Request{Method: "GET", Path: path, Authority: "u"}, nil, true); err != nil {
		return err
	}
	var r exchange.Response
	if err := c.ReadResponse("GET", &r); err != nil {
		return err
	}
	for r.Body != nil {
		if _, err := r.Body.Next(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	return nil
}

func use(t testing.TB, c *Conn, path string) {
	t.Helper()
	if err := exchangeOn(c, path); err != nil {
		t.Fatal(err)
	}
}

func idle(e *Endpoint) int { return e.info().Idle }

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
	for _, want := range []*Conn{b, a} {
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
		end  func(t *testing.T, e *Endpoint, c *Conn)
	}{
		{"a connection that its peer ends", func(t *testing.T, e *Endpoint, c *Conn) { use(t, c, "/last"); e.Release(c) }},
		{"a request without its answer", func(t *testing.T, e *Endpoint, c *Conn) {
			_ = c.WriteRequest(&exchange.Request{Method: "GET", Path: "/", Authority: "u"}, nil, true)
			e.Release(c)
		}},
		{"what is discarded", func(t *testing.T, e *Endpoint, c *Conn) { use(t, c, "/"); e.Discard(c) }},
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

func TestMaxIdle(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	_, e := endpoint(t, registry(t), Config{MaxIdle: 2}, s.address())
	var conns []*Conn
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
	var conns []*Conn
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
	for _, want := range []*Conn{conns[3], conns[2]} {
		c, reused := acquire(t, e, false)
		if c != want || !reused {
			t.Error("not in order")
		}
		defer e.Discard(c)
	}
}

func TestReloads(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	r := registry(t)
	base := Config{Name: "u", Endpoints: []EndpointConfig{{Address: s.address()}}}
	pick := func(c *Cluster) *Endpoint {
		e, err := c.Pick(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := r.Cluster(base)
	e := pick(first)
	kept, _ := acquire(t, e, false)
	use(t, kept, "/")
	e.Release(kept)

	for _, c := range []struct {
		name   string
		change func(*Config)
		same   bool
	}{
		{"nothing", func(*Config) {}, true},
		{"weights, labels, balance and timeout", func(c *Config) {
			c.Endpoints = []EndpointConfig{{Address: s.address(), Weight: 5, Labels: map[string]string{"a": "b"}}}
			c.Balance, c.Timeout = "round_robin", time.Minute
		}, true},
		{"another endpoint beside it", func(c *Config) {
			c.Endpoints = []EndpointConfig{{Address: s.address()}, {Address: s.address()}}
		}, true},
		{"defaults written out", func(c *Config) { c.ConnectTimeout, c.IdleTimeout, c.MaxIdle = 5*time.Second, time.Minute, 512 }, true},
		{"name", func(c *Config) { c.Name = "v" }, false},
		{"connect timeout", func(c *Config) { c.ConnectTimeout = time.Second }, false},
		{"idle timeout", func(c *Config) { c.IdleTimeout = time.Second }, false},
		{"max idle", func(c *Config) { c.MaxIdle = 1 }, false},
	} {
		config := base
		c.change(&config)
		next := r.Cluster(config)
		if (pick(next) == e) != c.same {
			t.Errorf("%s changed: endpoint shared %v", c.name, !c.same)
		}
		next.Close()
	}

	second := r.Cluster(base)
	first.Close()
	first.Close() // gives back only what it has
	c, reused := acquire(t, pick(second), false)
	if c != kept || !reused {
		t.Error("the pooled connection did not survive the reload")
	}
	use(t, c, "/")
	pooled, _ := acquire(t, e, true)
	use(t, pooled, "/")
	e.Release(pooled)
	s.settles(2)

	// The last reference: idle ones go now, busy ones when they are done.
	second.Close()
	s.settles(1)
	use(t, c, "/")
	e.Release(c)
	s.settles(0)
	if list := r.Snapshot(); len(list) != 0 {
		t.Errorf("still known: %v", list)
	}
	// One who picked it before it was closed is served, and leaves nothing.
	late, _ := acquire(t, e, false)
	use(t, late, "/")
	e.Release(late)
	s.settles(0)
}

func TestRegistryClose(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	r := NewRegistry(nil)
	cluster, e := endpoint(t, r, Config{}, s.address())
	a, _ := acquire(t, e, false)
	b, _ := acquire(t, e, false)
	use(t, a, "/")
	use(t, b, "/")
	e.Release(a)
	r.Close()
	r.Close()
	s.settles(1)
	use(t, b, "/")
	e.Release(b)
	s.settles(0)
	cluster.Close()
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

func TestSnapshot(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	r := registry(t)
	_, e := endpoint(t, r, Config{Name: "orders"}, s.address())
	endpoint(t, r, Config{Name: "orders", MaxIdle: 1}, s.address()) // a generation on its way out
	endpoint(t, r, Config{Name: "billing"}, "10.0.0.1:1")
	c, _ := acquire(t, e, false)
	use(t, c, "/")
	e.Release(c)
	acquireAgain, _ := acquire(t, e, true)
	defer e.Discard(acquireAgain)
	e.Answered(200, 20*time.Millisecond)
	for range 2 {
		e.Failed("timeout")
	}
	e.Failed("reset")
	got, err := json.Marshal(r.Snapshot())
	want := fmt.Sprintf(`[{"name":"billing","endpoints":[{"address":"10.0.0.1:1","active":0,"idle":0,"requests":0,"failures":0,"errors":{"connect":0,"reset":0,"timeout":0},"latency_ms":0}]},`+
		`{"name":"orders","endpoints":[{"address":%q,"active":1,"idle":1,"requests":2,"failures":3,"errors":{"connect":0,"reset":1,"timeout":2},"latency_ms":20}]}]`, s.address())
	if string(got) != want || err != nil {
		t.Errorf("got\n%s\nwant\n%s\n%v", got, want, err)
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

// Requests go on while generations come and go, and in the end nothing is left.
func TestReloadsUnderLoad(t *testing.T) {
	a, b := serve(t, "tcp", "127.0.0.1:0"), serve(t, "tcp", "127.0.0.1:0")
	r := NewRegistry(nil)
	configs := []Config{
		{Name: "u", Endpoints: []EndpointConfig{{Address: a.address()}}},
		{Name: "u", Endpoints: []EndpointConfig{{Address: a.address(), Weight: 3}, {Address: b.address()}}, Balance: "round_robin"},
		{Name: "u", Endpoints: []EndpointConfig{{Address: b.address()}}, MaxIdle: 3},
	}
	// A generation is closed when the last who took it has left.
	type generation struct {
		*Cluster
		users sync.WaitGroup
	}
	var mu sync.Mutex
	current := &generation{Cluster: r.Cluster(configs[0])}
	take := func() *generation {
		mu.Lock()
		defer mu.Unlock()
		current.users.Add(1)
		return current
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var served atomic.Int64
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				g := take()
				e, err := g.Pick(nil, nil)
				if err != nil {
					t.Error(err)
				}
				c, _, err := e.Acquire(t.Context(), false)
				if err != nil {
					t.Error(err)
					g.users.Done()
					return
				}
				if err := exchangeOn(c, "/"); err != nil {
					t.Error(err)
				}
				served.Add(1)
				if n%16 == i {
					e.Discard(c)
				} else {
					e.Release(c)
				}
				g.users.Done()
			}
		})
	}
	for i := range 100 {
		next := &generation{Cluster: r.Cluster(configs[i%len(configs)])}
		mu.Lock()
		old := current
		current = next
		mu.Unlock()
		wg.Go(func() {
			old.users.Wait()
			old.Close()
		})
		time.Sleep(2 * time.Millisecond)
		_ = r.Snapshot()
	}
	close(stop)
	wg.Wait()
	for _, c := range r.Snapshot() {
		for _, e := range c.Endpoints {
			if e.Active != 0 {
				t.Errorf("%+v", e)
			}
		}
	}
	current.Close()
	if list := r.Snapshot(); len(list) > 0 {
		t.Errorf("still known: %+v", list)
	}
	a.settles(0)
	b.settles(0)
	r.Close()
	if served.Load() < 100 {
		t.Errorf("%d requests", served.Load())
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
	var conns []*Conn
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

func TestMetricsNames(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0")
	r, gather := measured(t)
	config := Config{Name: "u", Endpoints: []EndpointConfig{{Address: s.address()}}}
	cluster, e := endpoint(t, r, Config{}, s.address())
	c, _ := acquire(t, e, false)
	text := gather()
	if !strings.Contains(text, `headgate_upstream_requests_active{endpoint="`+s.address()+`",upstream="u"} 1`) {
		t.Error(text)
	}
	use(t, c, "/")
	e.Answered(200, time.Millisecond)
	e.Failed("reset")
	e.Release(c)
	label := `{endpoint="` + s.address() + `",`
	for _, want := range []string{
		`headgate_upstream_requests_active` + label + `upstream="u"} 0`,
		`headgate_upstream_requests_total` + label + `status="200",upstream="u"} 1`,
		`headgate_upstream_errors_total` + label + `kind="reset",upstream="u"} 1`,
	} {
		if text := gather(); !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	// The upstream leaves the configuration while a request holds the old one,
	// and comes back.
	busy, _ := acquire(t, e, false)
	r.metrics.Retain(nothing())
	again := r.Cluster(config)
	defer again.Close()
	f, _ := again.Pick(nil, nil)
	if f == e {
		t.Error("an endpoint whose series are gone is shared")
	}
	c, _ = acquire(t, f, false)
	use(t, c, "/")
	f.Answered(204, time.Millisecond)
	f.Release(c)
	use(t, busy, "/")
	e.Release(busy)
	cluster.Close()
	text = gather()
	for _, want := range []string{
		`headgate_upstream_requests_active` + label + `upstream="u"} 0`,
		`headgate_upstream_requests_total` + label + `status="204",upstream="u"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	s.settles(1)
	if third := r.Cluster(config); third.members[0].Endpoint != f {
		t.Error("the end of the old endpoint took the new one with it")
	} else {
		third.Close()
	}
}
