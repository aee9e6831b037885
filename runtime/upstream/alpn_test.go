package upstream

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// secureServer is net/http behind TLS. It counts its connections.
type secureServer struct {
	*httptest.Server
	ca   string
	made atomic.Int64
}

func serveSecure(t testing.TB, h2 bool, edit func(*tls.Config)) *secureServer {
	t.Helper()
	s := &secureServer{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.URL.Path)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.made.Add(1)
		}
	}
	s.EnableHTTP2 = h2
	s.TLS = &tls.Config{}
	if edit != nil {
		edit(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *secureServer) address() string { return s.Listener.Addr().String() }

func TestALPN(t *testing.T) {
	for name, c := range map[string]struct {
		server bool // has HTTP/2
		config Config
		conns  int64 // for two requests at once, and one more
		refuse bool
	}{
		"h2":                      {true, Config{HTTP2: true}, 1, false},
		"h2 without it":           {false, Config{HTTP2: true}, 0, true},
		"auto":                    {true, Config{Auto: true}, 1, false},
		"auto with HTTP/1.1 only": {false, Config{Auto: true}, 2, false},
		"http/1.1":                {true, Config{}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveSecure(t, c.server, nil)
			c.config.TLS = &TLS{CAFile: s.ca}
			_, e := endpoint(t, registry(t), c.config, s.address())
			first, _, err := e.Acquire(t.Context(), false)
			if c.refuse {
				if err == nil || e.Active() != 0 || e.info().Errors.Connect != 1 {
					t.Fatalf("%v, %+v", err, e.info())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			second, _ := acquire(t, e, false)
			use(t, first, "/a")
			use(t, second, "/b")
			e.Release(first)
			e.Release(second)
			third, reused := acquire(t, e, false)
			use(t, third, "/c")
			e.Release(third)
			if s.made.Load() != c.conns || !reused {
				t.Errorf("%d connections, want %d; reused: %v", s.made.Load(), c.conns, reused)
			}
		})
	}
}

// An endpoint that ignores ALPN, as RFC 7301 section 3.2 allows, speaks HTTP/1.1.
func TestNoALPN(t *testing.T) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: serveSecure(t, false, nil).TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Close(); served.Wait() })
	_, e := endpoint(t, registry(t), Config{HTTP2: true, TLS: &TLS{Insecure: true}}, l.Addr().String())
	if _, _, err := e.Acquire(t.Context(), false); !errors.Is(err, errNoHTTP2) {
		t.Errorf("got %v", err)
	}
	_, e = endpoint(t, registry(t), Config{Auto: true, TLS: &TLS{Insecure: true}}, l.Addr().String())
	c, _ := acquire(t, e, false)
	use(t, c, "/")
	e.Release(c)
}

// A first burst makes one connection for HTTP/2, and as many as it needs for
// HTTP/1.1.
func TestAutoBurst(t *testing.T) {
	for name, h2 := range map[string]bool{"h2": true, "http/1.1": false} {
		t.Run(name, func(t *testing.T) {
			s := serveSecure(t, h2, nil)
			_, e := endpoint(t, registry(t), Config{Auto: true, TLS: &TLS{CAFile: s.ca}}, s.address())
			const n = 20
			var all, held sync.WaitGroup
			held.Add(n)
			for range n {
				all.Go(func() {
					c, _, err := e.Acquire(context.Background(), false)
					held.Done()
					if err != nil {
						t.Error(err)
						return
					}
					held.Wait()
					if err := exchangeOn(c, "/"); err != nil {
						t.Error(err)
					}
					e.Release(c)
				})
			}
			all.Wait()
			if made := s.made.Load(); h2 && made != 1 || !h2 && made != n {
				t.Errorf("%d connections", made)
			}
		})
	}
}

// Streams are of a protocol of their own: an endpoint that insists on its ALPN
// takes them.
func TestStreamOffersNothing(t *testing.T) {
	s := serveSecure(t, true, func(c *tls.Config) {
		c.VerifyConnection = func(state tls.ConnectionState) error {
			if state.NegotiatedProtocol != "" {
				return errors.New("a protocol was offered")
			}
			return nil
		}
	})
	_, e := endpoint(t, registry(t), Config{TLS: &TLS{CAFile: s.ca}}, s.address())
	nc, err := e.Dial(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(nc); err != nil || len(got) == 0 {
		t.Errorf("%q, %v", got, err)
	}
}

// Session tickets that come with TLS 1.3 don't take a connection for stale.
func TestSecureReuse(t *testing.T) {
	s := serveSecure(t, false, nil)
	_, e := endpoint(t, registry(t), Config{TLS: &TLS{CAFile: s.ca}}, s.address())
	for range 100 {
		c, _ := acquire(t, e, false)
		use(t, c, "/")
		e.Release(c)
	}
	if s.made.Load() != 1 {
		t.Errorf("%d connections", s.made.Load())
	}
}
