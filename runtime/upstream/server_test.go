package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
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
	// answer is what a request to a path gets; others get "ok". After /leaves it
	// closes the connection without a word.
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
		if _, err := io.WriteString(c, answer); err != nil || req.URL.Path == "/leaves" {
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

func acquire(t testing.TB, e *Endpoint, fresh bool) (Conn, bool) {
	t.Helper()
	c, reused, err := e.Acquire(t.Context(), fresh)
	if err != nil {
		t.Fatal(err)
	}
	return c, reused
}

// exchangeOn sends a request and reads the answer to its end.
func exchangeOn(c Conn, path string) error {
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

func use(t testing.TB, c Conn, path string) {
	t.Helper()
	if err := exchangeOn(c, path); err != nil {
		t.Fatal(err)
	}
}

func idle(e *Endpoint) int { return e.info().Idle }
