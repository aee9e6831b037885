package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/gateway"
)

// rig is a running gateway over a configuration directory of its own.
type rig struct {
	t    testing.TB
	dir  string
	g    *gateway.Gateway
	log  *lockedBuffer
	base string
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const preamble = `
gateway {
  admin {
    address = "127.0.0.1:0"
  }
  shutdown {
    drain = "2s"
  }
}
listener "main" {
  address = "127.0.0.1:0"
  protocols = ["http/1.1", "h2"]
}
`

// start runs a gateway on files, by name; preamble is added.
func start(t testing.TB, files map[string]string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	r.write("preamble.hcl", preamble)
	for name, text := range files {
		r.write(name, text)
	}
	g, err := gateway.Start(context.Background(), r.options())
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	r.g = g
	r.base = "http://" + g.Addrs()["main"].String()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

func (r *rig) options() gateway.Options {
	return gateway.Options{
		Source: config.Source{Paths: []string{r.dir}, Env: os.LookupEnv},
		Stdout: io.Discard, Stderr: r.log,
	}
}

// write puts a file in place atomically, as a careful deployment does.
func (r *rig) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	tmp := filepath.Join(r.dir, ".tmp")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) reload() {
	r.t.Helper()
	if err := r.g.Reload(context.Background()); err != nil {
		r.t.Fatalf("reload: %v", err)
	}
}

// get returns status, header and body of a request with "name: value" headers.
func (r *rig) get(path string, headers ...string) (int, http.Header, string) {
	r.t.Helper()
	return r.do("GET", path, "", headers...)
}

func (r *rig) do(method, path, body string, headers ...string) (int, http.Header, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		if k == "Host" {
			req.Host = v
		}
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, res.Header, string(b)
}

func (r *rig) admin(path string) string {
	r.t.Helper()
	res, err := http.Get("http://" + r.g.Addrs()["admin"].String() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

// backend runs h and returns its address.
func backend(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// seen answers with what the backend saw of the request.
func seen(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("X-Backend", "yes")
	fmt.Fprintf(w, "%s %s host=%s xff=%s proto=%s id=%t body=%s", r.Method, r.RequestURI, r.Host,
		r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Request-Id") != "", b)
}

func checkLeaks(t testing.TB) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	opt := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t, opt)
	})
}

func TestProxy(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, seen)
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
}
route "orders" {
  path     = "/orders/{id}"
  methods  = ["GET", "POST"]
  upstream = upstream.b
  rewrite {
    path = "/v2/orders/${path.id}"
  }
}
route "any" {
  path_prefix = "/any"
  upstream    = upstream.b
}
route "host" {
  hosts    = ["*.example.com"]
  respond {
    body = "host ${request.host}"
  }
}
route "old" {
  path = "/old"
  redirect {
    url = "https://${request.host}/new"
  }
}
`, addr)})
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string
	}{
		{"plain", "GET", "/any/x?a=1", "", nil, 200, "GET /any/x?a=1 host="},
		{"forwarding headers", "GET", "/any", "", []string{"X-Forwarded-For: 6.6.6.6"}, 200, "xff=127.0.0.1 proto=http id=true"},
		{"body", "POST", "/any", "hello", nil, 200, "body=hello"},
		{"rewrite keeps encoding", "GET", "/orders/a%2Fb%20c", "", nil, 200, "GET /v2/orders/a%2Fb%20c "},
		{"normalised", "GET", "/any/../any//b/./c", "", nil, 200, "GET /any/b/c "},
		{"not found", "GET", "/nowhere", "", nil, 404, `"status":404`},
		{"text for those who want it", "GET", "/nowhere", "", []string{"Accept: text/html"}, 404, "Not Found: "},
		{"method", "DELETE", "/orders/1", "", nil, 405, `"status":405`},
		{"wildcard host", "GET", "/", "", []string{"Host: a.B.example.com:80"}, 200, "host a.b.example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, _, body := r.do(c.method, c.path, c.body, c.headers...)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("got %d %q, want %d with %q", status, body, c.status, c.want)
			}
		})
	}
	if _, h, _ := r.do("DELETE", "/orders/1", ""); !strings.Contains(h.Get("Allow"), "POST") {
		t.Errorf("405 without Allow: %v", h)
	}
	if metrics := r.admin("/metrics"); !strings.Contains(metrics, `headgate_requests_total{route="any",status="200"}`) {
		t.Errorf("no count of the route's requests in\n%s", metrics)
	}
}

func TestUpstreamFailures(t *testing.T) {
	checkLeaks(t)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := dead.Addr().String()
	dead.Close()
	garbage := listen(t, func(c net.Conn) {
		_, _ = bufio.NewReader(c).ReadString('\n')
		_, _ = io.WriteString(c, "SSH-2.0-OpenSSH\r\n\r\n")
	})
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	answering := func(answer string) string {
		return listen(t, func(c net.Conn) {
			in := bufio.NewReader(c)
			if _, err := http.ReadRequest(in); err == nil {
				_, _ = io.WriteString(c, answer)
				_, _ = io.Copy(io.Discard, in)
			}
		})
	}
	chunks := answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	upgrade := answering("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n")
	short := listen(t, func(c net.Conn) {
		_, _ = bufio.NewReader(c).ReadString('\n')
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
	})
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "refused" { 
  endpoint %q {}
}
upstream "garbage" { 
  endpoint %q {}
}
upstream "silent" { 
  endpoint %q {}
}
upstream "short" { 
  endpoint %q {}
}
route "refused" { 
  path     = "/refused"
  upstream = upstream.refused
}
route "garbage" { 
  path     = "/garbage"
  upstream = upstream.garbage
}
route "silent" { 
  path     = "/silent"
  upstream = upstream.silent
  timeout  = "100ms"
}
route "short" { 
  path     = "/short"
  upstream = upstream.short
}
upstream "chunks" {
  endpoint %q {}
}
upstream "upgrade" {
  endpoint %q {}
}
route "chunks" {
  path     = "/chunks"
  upstream = upstream.chunks
}
route "upgrade" {
  path     = "/upgrade"
  upstream = upstream.upgrade
}
`, refused, garbage, silent, short, chunks, upgrade)})
	for path, want := range map[string]int{"/refused": 502, "/garbage": 502, "/silent": 504, "/chunks": 502, "/upgrade": 502} {
		status, h, body := r.get(path, "Connection: upgrade", "Upgrade: websocket")
		if status != want || h.Get("Content-Type") != "application/problem+json" || strings.Contains(body, "127.0.0.1") {
			t.Errorf("%s: got %d %s %q, want %d as a problem that tells nothing of our insides", path, status, h.Get("Content-Type"), body, want)
		}
	}
	res, err := http.Get(r.base + "/short")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("a response that the backend cut short looks complete")
	}
}

// listen serves each connection with f.
func listen(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

func TestReloadRefused(t *testing.T) {
	checkLeaks(t)
	r := start(t, map[string]string{"routes.hcl": `
route "a" {
  respond {
    body = "one"
  }
}
`})
	r.write("broken.hcl", `
route "b" {
  upstrem = upstream.nowhere
}
`)
	err := r.g.Reload(context.Background())
	var d *config.Diagnostics
	if !errors.As(err, &d) {
		t.Fatalf("error %v is no diagnostics", err)
	}
	for _, want := range []string{"broken.hcl:3", "upstrem", "upstream"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not show %q:\n%s", want, r.log)
		}
	}
	if status, _, body := r.get("/"); status != 200 || body != "one" {
		t.Errorf("the running configuration answers %d %q", status, body)
	}
	if s := r.admin("/config/status"); !strings.Contains(s, "broken.hcl") {
		t.Errorf("status does not tell the error: %s", s)
	}
	if m := r.admin("/metrics"); !strings.Contains(m, "headgate_config_last_reload_successful 0") {
		t.Error("the metric does not tell the error")
	}
	r.write("broken.hcl", `
route "b" {
  path = "/b"
  respond {
    body = "two"
  }
}
`)
	r.reload()
	if status, _, body := r.get("/b"); status != 200 || body != "two" {
		t.Errorf("after the repair: %d %q", status, body)
	}
}

// quietPeriod is longer than the watcher waits for a burst of changes to end.
const quietPeriod = 120 * time.Millisecond

func TestWatch(t *testing.T) {
	checkLeaks(t)
	r := start(t, map[string]string{"routes.hcl": respond("one")})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.g.Watch(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	await := func(want string) {
		t.Helper()
		deadline := time.Now().Add(3 * time.Second)
		for {
			_, _, body := r.get("/")
			if body == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("still %q, want %q", body, want)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	await("one")
	for i := range 5 {
		want := fmt.Sprintf("edit %d", i)
		if i%2 == 0 {
			r.write("routes.hcl", respond(want))
		} else if err := os.WriteFile(filepath.Join(r.dir, "routes.hcl"), []byte(respond(want)), 0o644); err != nil {
			t.Fatal(err)
		}
		await(want)
	}
	if err := os.MkdirAll(filepath.Join(r.dir, "new/dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if err := os.Remove(filepath.Join(r.dir, "routes.hcl")); err != nil {
		t.Fatal(err)
	}
	r.write("new/dir/routes.hcl", respond("in a new directory"))
	await("in a new directory")
	t.Run("a directory that stays empty for a while", func(t *testing.T) {
		if err := os.Mkdir(filepath.Join(r.dir, "later"), 0o755); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * quietPeriod)
		if err := os.Remove(filepath.Join(r.dir, "new/dir/routes.hcl")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.dir, "later", "a.hcl"), []byte(respond("later")), 0o644); err != nil {
			t.Fatal(err)
		}
		await("later")
	})
	t.Run("the whole directory made anew", func(t *testing.T) {
		if err := os.RemoveAll(r.dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * quietPeriod)
		if err := os.Mkdir(r.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * quietPeriod)
		r.write("preamble.hcl", preamble)
		r.write("routes.hcl", respond("anew"))
		await("anew")
		r.write("routes.hcl", respond("and again"))
		await("and again")
	})
}

func respond(body string) string {
	return fmt.Sprintf(`
route "a" {
  respond {
    body = %q
  }
}
`, body)
}
