package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// h2cBackend runs h over HTTP/2 in the clear and counts its connections.
func h2cBackend(t testing.TB, h http.HandlerFunc) (addr string, conns *atomic.Int64) {
	t.Helper()
	conns = &atomic.Int64{}
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), conns
}

// startH2C runs a gateway in front of an HTTP/2 backend, and returns a client
// for each protocol that clients may speak.
func startH2C(t testing.TB, addr string) (*rig, map[string]*http.Client) {
	t.Helper()
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  protocol = "h2c"
  timeout  = "5s"
  endpoint %q {}
}
route "all" {
  upstream = upstream.b
}`, addr)})
	return r, streamClients(t)
}

func TestH2CUpstream(t *testing.T) {
	checkLeaks(t)
	addr, conns := h2cBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("the backend is spoken to in %s", r.Proto)
		}
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Seen", r.RequestURI+" "+r.Host+" "+r.Header.Get("X-In")+" "+r.Header.Get("Connection"))
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n))
	})
	r, clients := startH2C(t, addr)
	for protocol, client := range clients {
		t.Run(protocol, func(t *testing.T) {
			var wg sync.WaitGroup
			for _, size := range []int{0, 1, 20_000, 300_000, 3 << 20} {
				for _, length := range []bool{true, false} {
					wg.Go(func() {
						data := make([]byte, size)
						_, _ = rand.Read(data)
						var body io.Reader = bytes.NewReader(data)
						if !length {
							body = struct{ io.Reader }{body}
						}
						req, _ := http.NewRequest("POST", r.base+"/a%2Fb//c?q=%20", body)
						req.Header.Set("X-In", "yes")
						res, err := client.Do(req)
						if err != nil {
							t.Error(err)
							return
						}
						defer res.Body.Close()
						got, err := io.ReadAll(res.Body)
						if err != nil || !bytes.Equal(got, data) {
							t.Errorf("%d bytes of %d came back: %v", len(got), size, err)
						}
						// HTTP/1.1 has no trailers behind a body with a length.
						if sum, want := res.Trailer.Get("X-Sum"), fmt.Sprint(size); sum != want && (res.ProtoMajor == 2 || res.ContentLength < 0) {
							t.Errorf("trailer %q, want %q", sum, want)
						}
						if seen, want := strings.TrimSpace(res.Header.Get("X-Seen")), "/a%2Fb/c?q=%20 "+strings.TrimPrefix(r.base, "http://")+" yes"; seen != want {
							t.Errorf("seen %q, want %q", seen, want)
						}
					})
				}
			}
			wg.Wait()
			client.CloseIdleConnections()
		})
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections to the backend, want one", n)
	}
}

func TestH2CUpstreamEnds(t *testing.T) {
	checkLeaks(t)
	gone := make(chan struct{}, 8)
	addr, _ := h2cBackend(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/reset":
			panic(http.ErrAbortHandler)
		case "/late":
			w.Write([]byte("a part"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/hints":
			w.Header().Set("Link", "</a>; rel=preload")
			w.WriteHeader(103)
			w.Header().Del("Link")
			fmt.Fprint(w, "hinted")
		case "/early":
			w.WriteHeader(403)
			fmt.Fprint(w, "no")
		case "/wait":
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			gone <- struct{}{}
		case "/head":
			w.Header().Set("Content-Length", "1234")
		case "/none":
			w.WriteHeader(204)
		}
	})
	r, clients := startH2C(t, addr)
	for protocol, client := range clients {
		t.Run(protocol, func(t *testing.T) {
			defer client.CloseIdleConnections()
			get := func(ctx context.Context, method, path string, body io.Reader) (*http.Response, string, error) {
				t.Helper()
				req, _ := http.NewRequestWithContext(ctx, method, r.base+path, body)
				res, err := client.Do(req)
				if err != nil {
					t.Fatal(path, err)
				}
				defer res.Body.Close()
				p, err := io.ReadAll(res.Body)
				return res, string(p), err
			}
			ctx := deadline(t, 10*time.Second)
			if res, _, err := get(ctx, "GET", "/reset", nil); res.StatusCode != 502 || err != nil {
				t.Errorf("reset before the head: %d %v", res.StatusCode, err)
			}
			if res, body, err := get(ctx, "GET", "/late", nil); res.StatusCode != 200 || err == nil {
				t.Errorf("reset in the body: %d %q %v", res.StatusCode, body, err)
			}
			hints := 0
			traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				if code == 103 && h.Get("Link") != "" {
					hints++
				}
				return nil
			}})
			if res, body, err := get(traced, "GET", "/hints", nil); res.StatusCode != 200 || body != "hinted" || err != nil || hints != 1 || res.Header.Get("Link") != "" {
				t.Errorf("hints: %d %q %v, %d hints", res.StatusCode, body, err, hints)
			}
			in, out := io.Pipe()
			if res, body, err := get(ctx, "POST", "/early", in); res.StatusCode != 403 || body != "no" || err != nil {
				t.Errorf("an early answer: %d %q %v", res.StatusCode, body, err)
			}
			out.Close()
			if res, _, err := get(ctx, "HEAD", "/head", nil); res.StatusCode != 200 || res.ContentLength != 1234 || err != nil {
				t.Errorf("HEAD: %d %d %v", res.StatusCode, res.ContentLength, err)
			}
			if res, body, err := get(ctx, "GET", "/none", nil); res.StatusCode != 204 || body != "" || err != nil {
				t.Errorf("no content: %d %q %v", res.StatusCode, body, err)
			}
			leaving, leave := context.WithCancel(ctx)
			req, _ := http.NewRequestWithContext(leaving, "GET", r.base+"/wait", nil)
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			leave()
			res.Body.Close()
			select {
			case <-gone:
			case <-ctx.Done():
				t.Error("the backend was not told that the client left")
			}
		})
	}
}

// Backends that restart close their connections while gateways are about to use
// them: nothing of that reaches a client.
func TestH2CUpstreamLeaves(t *testing.T) {
	checkLeaks(t)
	addr, conns := h2cBackend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // GOAWAY
		fmt.Fprint(w, "fine")
	})
	r, _ := startH2C(t, addr)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				res, err := http.Get(r.base + "/")
				if err != nil {
					t.Error(err)
					return
				}
				p, err := io.ReadAll(res.Body)
				res.Body.Close()
				if res.StatusCode != 200 || string(p) != "fine" || err != nil {
					t.Errorf("got %d %q %v", res.StatusCode, p, err)
				}
			}
		})
	}
	wg.Wait()
	if n := conns.Load(); n < 2 {
		t.Errorf("%d connections", n)
	}
}

// A client that does not read holds its own stream up and no other of the same
// connection to the backend, and what waits for it is bounded.
func TestH2CUpstreamBackpressure(t *testing.T) {
	checkLeaks(t)
	var sent atomic.Int64
	addr, conns := h2cBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			fmt.Fprint(w, "quick")
			return
		}
		p := make([]byte, 64<<10)
		for range 1 << 14 { // 1 GiB
			n, err := w.Write(p)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	r, _ := startH2C(t, addr)
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "GET /bulk HTTP/1.1\r\nHost: a\r\n\r\n")
	for last := int64(-1); ; time.Sleep(300 * time.Millisecond) {
		if n := sent.Load(); n > 0 && n == last {
			break
		} else if n > 64<<20 {
			t.Fatalf("%d bytes were taken for a client that reads nothing", n)
		} else {
			last = n
		}
	}
	for range 5 {
		if _, _, body := r.get("/quick"); body != "quick" {
			t.Errorf("beside a stuck stream: %q", body)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
