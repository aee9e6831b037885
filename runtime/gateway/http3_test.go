package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// secure3 is secure with HTTP/3.
func secure3(t testing.TB, more, rest string) map[string]string {
	files := secure(t, more, rest)
	files["secure.hcl"] = strings.Replace(files["secure.hcl"], "  tls {", "  protocols = [\"http/1.1\", \"h2\", \"h3\"]\n  tls {", 1)
	return files
}

// client3 speaks HTTP/3 to the listener "tls"; dials, unless it is nil, counts its
// connections.
func (r *rig) client3(cfg *tls.Config, dials *atomic.Int64) *http.Client {
	cfg.InsecureSkipVerify = true
	tr := &http3.Transport{
		TLSClientConfig: cfg, DisableCompression: true,
		Dial: func(ctx context.Context, _ string, cfg *tls.Config, q *quic.Config) (*quic.Conn, error) {
			if dials != nil {
				dials.Add(1)
			}
			return quic.DialAddr(ctx, r.g.Addrs()["tls"].String(), cfg, q)
		},
	}
	r.t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// TestHTTP3 sends what a gateway sees of HTTP/3: what the backend gets, who the
// client is, hosts of other certificates, certificates of clients.
func TestHTTP3(t *testing.T) {
	checkLeaks(t)
	ca := newPair(t, nil, "ca")
	ann := newPair(t, ca, "ann.example.com")
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Alt-Svc", `h3=":1"`)
		p, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %d %v for=%s proto=%s cert=%t %d", r.Method, r.RequestURI, r.Host, r.ContentLength, r.TransferEncoding,
			r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Client-Cert") != "", len(p))
	})
	files := secure3(t, "client_auth {\n mode = \"request\"\n ca_file = \"ca.pem\"\n forward = true\n}", fmt.Sprintf(`
upstream "up" {
  endpoint %q {}
}
route "up" {
  upstream = upstream.up
}
route "own" {
  path = "/own"
  respond {
    body = "${request.protocol} ${request.scheme}"
  }
}
`, addr))
	files["ca.pem"] = ca.cert
	r := start(t, files)
	c := r.client3(&tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &ann.Certificate, nil }}, nil)
	const base = "https://a.example.com"
	for _, x := range []struct{ method, body, want string }{
		{"GET", "", "GET /p?q=1 a.example.com 0 [] for=127.0.0.1 proto=https cert=true 0"},
		{"DELETE", "", "DELETE /p?q=1 a.example.com 0 [] for=127.0.0.1 proto=https cert=true 0"},
		{"POST", "hello", "POST /p?q=1 a.example.com 5 [] for=127.0.0.1 proto=https cert=true 5"},
		{"GET", "hello", "GET /p?q=1 a.example.com 5 [] for=127.0.0.1 proto=https cert=true 5"},
	} {
		req, _ := http.NewRequest(x.method, base+"/p?q=1", strings.NewReader(x.body))
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(p) != x.want || res.ProtoMajor != 3 || res.Header.Get("Alt-Svc") != "" {
			t.Errorf("got %q %v, want %q", p, res.Header, x.want)
		}
	}
	if _, body, _ := ask(t, c, base+"/own", ""); body != "HTTP/3 https" {
		t.Errorf("values: %q", body)
	}
	if status, _, _ := ask(t, c, base+"/own", "b.example.com"); status != 421 {
		t.Errorf("another certificate's host: %d", status)
	}
	if _, _, res := ask(t, c, base+"/own", "b.example.com", "Content-Type: application/grpc"); res.Header.Get("Grpc-Status") != "2" {
		t.Errorf("gRPC: %v", res.Header)
	}
	_, port, _ := strings.Cut(r.g.Addrs()["tls"].String(), ":")
	for _, h2 := range []bool{false, true} {
		for _, path := range []string{"/p", "/own", "/p"} {
			if _, _, res := ask(t, r.client(&tls.Config{}, h2), base+path, ""); strings.Join(res.Header["Alt-Svc"], "+") != `h3=":`+port+`"; ma=86400` {
				t.Errorf("h2 %t: Alt-Svc %q", h2, res.Header["Alt-Svc"])
			}
		}
	}
	if _, h, _ := r.get("/p"); h.Get("Alt-Svc") != "" {
		t.Errorf("a listener without HTTP/3 sends Alt-Svc %q", h.Get("Alt-Svc"))
	}
}

// TestHTTP3Bodies streams in both directions, with trailers.
func TestHTTP3Bodies(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_ = http.NewResponseController(w).EnableFullDuplex()
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n, ",", r.Trailer.Get("X-In")))
	})
	r := start(t, secure3(t, "", to(addr, "")["routes.hcl"]))
	c := r.client3(&tls.Config{}, nil)
	var wg sync.WaitGroup
	for _, size := range []int{0, 1, 5000, 70 << 10, 4 << 20} {
		for _, chunked := range []bool{false, true} {
			wg.Go(func() {
				data := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
				var body io.Reader = bytes.NewReader(data)
				if chunked {
					body = struct{ io.Reader }{body}
				}
				req, _ := http.NewRequest("POST", "https://a.example.com/", body)
				want := fmt.Sprint(size, ",")
				if chunked {
					req.Trailer = http.Header{"X-In": {"t"}}
					want += "t"
				}
				res, err := c.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				got, err := io.ReadAll(res.Body)
				if err != nil || !bytes.Equal(got, data) || res.Trailer.Get("X-Sum") != want {
					t.Errorf("%d %t: %d bytes came back, trailer %q, want %q: %v", size, chunked, len(got), res.Trailer.Get("X-Sum"), want, err)
				}
			})
		}
	}
	wg.Wait()
}

// TestHTTP3Backpressure has a client that reads nothing, and a backend that
// reads nothing: what is under way stays bounded.
func TestHTTP3Backpressure(t *testing.T) {
	checkLeaks(t)
	const bound = 24 << 20 // the buffers of four sockets, and QUIC's
	var moved atomic.Int64
	release := make(chan struct{})
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			<-release
			return
		}
		p := make([]byte, 64<<10)
		for {
			n, err := w.Write(p)
			moved.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	r := start(t, secure3(t, "", to(addr, "")["routes.hcl"]))
	// stalls waits until nothing moves for a while.
	stalls := func(what string) {
		t.Helper()
		last, since := moved.Load(), time.Now()
		for time.Since(since) < 400*time.Millisecond {
			time.Sleep(10 * time.Millisecond)
			if n := moved.Load(); n != last {
				last, since = n, time.Now()
			}
			if last > bound {
				break
			}
		}
		if last == 0 || last > bound {
			t.Errorf("%s: %d bytes moved towards somebody who does not read", what, last)
		}
	}
	res, err := r.client3(&tls.Config{}, nil).Get("https://a.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	stalls("down")
	res.Body.Close()

	moved.Store(0)
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "POST", "https://a.example.com/", &endless{n: &moved})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if res, err := r.client3(&tls.Config{}, nil).Do(req); err == nil {
			res.Body.Close()
		}
	}()
	stalls("up")
	cancel()
	close(release)
	<-ended
}

// endless is a body without an end that counts what was taken.
type endless struct{ n *atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.n.Add(int64(len(p)))
	return len(p), nil
}

// TestHTTP3Storm opens and gives up streams on a few connections, with reloads
// meanwhile, which end none of them.
func TestHTTP3Storm(t *testing.T) {
	checkLeaks(t)
	var dials atomic.Int64
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		_, _ = w.Write(make([]byte, 3000))
	})
	r := start(t, secure3(t, "", to(addr, "")["routes.hcl"]))
	const clients, streams, rounds = 3, 60, 8
	var fine, given atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		c := r.client3(&tls.Config{}, &dials)
		for i := range streams {
			wg.Go(func() {
				for round := range rounds {
					ctx, cancel := context.WithCancel(context.Background())
					path := "/fast"
					if (i+round)%3 == 0 {
						path = "/slow"
						time.AfterFunc(time.Duration(i%7)*time.Millisecond, cancel)
					}
					req, _ := http.NewRequestWithContext(ctx, "GET", "https://a.example.com"+path, nil)
					res, err := c.Do(req)
					n := int64(0)
					if err == nil {
						n, err = io.Copy(io.Discard, res.Body)
						res.Body.Close()
					}
					switch {
					case err == nil && n == 3000:
						fine.Add(1)
					case ctx.Err() != nil:
						given.Add(1)
					default:
						t.Errorf("%s: %d bytes, %v", path, n, err)
					}
					cancel()
				}
			})
		}
	}
	for range 5 {
		r.reload()
	}
	wg.Wait()
	if fine.Load()+given.Load() != clients*streams*rounds || given.Load() == 0 {
		t.Errorf("%d were answered, %d given up", fine.Load(), given.Load())
	}
	if n := dials.Load(); n != clients {
		t.Errorf("%d clients came over %d connections", clients, n)
	}
}
