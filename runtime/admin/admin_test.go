package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

// source is a gateway that was never started.
type source struct {
	notReady  error
	reloadErr error
	reloads   int
	onReload  func()
	drained   string // the address that was asked for last, and whether it goes
}

func (s *source) Ready() error { return s.notReady }
func (s *source) Status() Status {
	return Status{State: "ok", Generation: 1 + s.reloads, LastError: "<b>"}
}
func (s *source) Reload(context.Context) error {
	s.reloads++
	if s.onReload != nil {
		s.onReload()
	}
	return s.reloadErr
}
func (s *source) Config() any    { return map[string]string{"what": "config"} }
func (s *source) Routes() any    { return []string{"orders"} }
func (s *source) Upstreams() any { return []string{"users"} }
func (s *source) Drain(upstream, address string, on bool) error {
	if upstream != `u["a"]` {
		return errors.New("no such upstream")
	}
	s.drained = fmt.Sprint(address, " ", on)
	return nil
}
func (s *source) Plugins() any  { return []string{"geo"} }
func (s *source) Policies() any { return []string{"authz"} }
func (s *source) Explain(_ context.Context, question []byte) (any, error) {
	if string(question) == "?" {
		return nil, errors.New("what?")
	}
	return map[string]string{"route": string(question)}, nil
}

func start(t *testing.T, src *source, token string) *Server {
	t.Helper()
	opt := goleak.IgnoreCurrent()
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "headgate_test"}))
	s := New(Options{Address: "127.0.0.1:0", Token: token, Gatherer: reg, Source: src})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t, opt)
	})
	return s
}

// do sends a request with headers "name: value"; "Host: x" sets the host.
func do(t *testing.T, s *Server, method, path string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
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
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

func TestPages(t *testing.T) {
	s := start(t, &source{}, "")
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/", 200, "<a href=\"/routes\">"},
		{"GET", "/", 200, "&lt;b&gt;"},
		{"GET", "/healthz", 200, "ok"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/ready", 200, "ready"},
		{"GET", "/metrics", 200, "headgate_test 0"},
		{"GET", "/config", 200, `"what": "config"`},
		{"GET", "/config/status", 200, `"state": "ok"`},
		{"GET", "/routes", 200, "orders"},
		{"GET", "/upstreams", 200, "users"},
		{"GET", "/plugins", 200, "geo"},
		{"GET", "/policies", 200, "authz"},
		{"POST", "/config/reload", 200, `"generation": 2`},
		{"GET", "/config/reload", 405, ""},
		{"POST", "/routes", 405, ""},
		{"POST", "/explain", 200, `"route": ""`},
		{"GET", "/explain", 405, ""},
		{"DELETE", "/config", 405, ""},
		{"GET", "/nothing", 404, ""},
		{"GET", "/routes/x", 404, ""},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			status, h, body := do(t, s, c.method, c.path)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("got %d %q, want %d with %q", status, body, c.status, c.want)
			}
			if status == 405 && h.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", h)
			}
		})
	}
}

func TestNotReady(t *testing.T) {
	s := start(t, &source{notReady: errors.New("stopping")}, "")
	if status, _, body := do(t, s, "GET", "/ready"); status != 503 || !strings.Contains(body, "stopping") {
		t.Errorf("got %d %q", status, body)
	}
	if status, _, _ := do(t, s, "GET", "/healthz"); status != 200 {
		t.Errorf("a process that is not ready is still alive, got %d", status)
	}
}

func TestDrain(t *testing.T) {
	src := &source{}
	s := start(t, src, "")
	for _, c := range []struct {
		method, path string
		status       int
		drained      string
	}{
		{"POST", "/upstreams/u%5B%22a%22%5D/endpoints/10.0.0.1:80/drain", 200, "10.0.0.1:80 true"},
		{"POST", "/upstreams/u%5B%22a%22%5D/endpoints/10.0.0.1:80/undrain", 200, "10.0.0.1:80 false"},
		{"POST", "/upstreams/u%5B%22a%22%5D/endpoints/unix:%2Frun%2Fa.sock/drain", 200, "unix:/run/a.sock true"},
		{"POST", "/upstreams/u%5B%22a%22%5D/endpoints/%5B::1%5D%3A80/drain", 200, "[::1]:80 true"},
		{"POST", "/upstreams/v/endpoints/10.0.0.1:80/drain", 404, ""},
		{"POST", "/upstreams/u%5B%22a%22%5D/endpoints/unix:/run/a.sock/drain", 404, ""},
		{"GET", "/upstreams/u%5B%22a%22%5D/endpoints/10.0.0.1:80/drain", 405, ""},
	} {
		src.drained = ""
		if status, _, body := do(t, s, c.method, c.path); status != c.status || src.drained != c.drained {
			t.Errorf("%s %s: got %d, %q, want %d, %q: %s", c.method, c.path, status, src.drained, c.status, c.drained, body)
		}
	}
}

func TestReloadRefused(t *testing.T) {
	s := start(t, &source{reloadErr: errors.New(`a.hcl:3:1: no "upstrem"`)}, "")
	status, h, body := do(t, s, "POST", "/config/reload")
	var p struct {
		Status int
		Detail string
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatal(err)
	}
	if status != 422 || h.Get("Content-Type") != "application/problem+json" || p.Status != 422 || p.Detail != `a.hcl:3:1: no "upstrem"` {
		t.Errorf("got %d %v %q", status, h, body)
	}
}

// A page that rebinds its own name to this address reads and does nothing.
func TestHost(t *testing.T) {
	src := &source{}
	s := start(t, src, "")
	_, port, _ := net.SplitHostPort(s.Addr().String())
	for host, want := range map[string]int{
		"localhost": 200, "LocalHost:" + port: 200, "localhost.": 200, "127.0.0.1": 200, "127.8.9.1:1": 200, "[::1]:" + port: 200, "[::1]": 200,
		"evil.example": 403, "evil.example:" + port: 403, "localhost.evil.example": 403, "127.0.0.1.nip.io": 403, "10.0.0.1": 403,
		"0.0.0.0": 403, "[::]": 403, "a@localhost": 403, "127.1": 403,
	} {
		t.Run(host, func(t *testing.T) {
			for _, r := range [][2]string{{"GET", "/healthz"}, {"GET", "/"}, {"GET", "/config"}, {"GET", "/metrics"}, {"POST", "/config/reload"}} {
				if status, _, body := do(t, s, r[0], r[1], "Host: "+host); status != want {
					t.Errorf("%s %s: got %d %q, want %d", r[0], r[1], status, body, want)
				}
			}
		})
	}
	before := src.reloads
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST /config/reload HTTP/1.0\r\n\r\n")
	b, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(b), "HTTP/1.0 403") || src.reloads != before {
		t.Errorf("no Host at all: %q", b)
	}
}

func TestOwnName(t *testing.T) {
	s := New(Options{Address: "gw.example.com:9901", Token: "t", Gatherer: prometheus.NewRegistry(), Source: &source{}})
	for host, want := range map[string]bool{"gw.example.com": true, "GW.example.com.:80": true, "x.gw.example.com": false, "localhost": true} {
		if got := s.named(&http.Request{Host: host}); got != want {
			t.Errorf("%s: %t", host, got)
		}
	}
	wild := New(Options{Address: ":9901", Token: "t", Gatherer: prometheus.NewRegistry(), Source: &source{}})
	ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.7"), Port: 9901})
	for host, want := range map[string]bool{"10.0.0.7:9901": true, "10.0.0.8:9901": false, "": false} {
		if got := wild.named((&http.Request{Host: host}).WithContext(ctx)); got != want {
			t.Errorf("wildcard, %q: %t", host, got)
		}
	}
}

// A page at another site can make a browser post, but not without its browser
// saying so.
func TestCrossSite(t *testing.T) {
	src := &source{}
	s := start(t, src, "")
	for _, c := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"curl", nil, 200},
		{"another site", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 403},
		{"an older browser", []string{"Origin: https://evil.example"}, 403},
		{"a sandboxed frame", []string{"Origin: null"}, 403},
		{"another port here", []string{"Origin: http://localhost:8080", "Sec-Fetch-Site: same-site"}, 403},
		{"no origin", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"our own page", []string{"Origin: http://" + s.Addr().String(), "Sec-Fetch-Site: same-origin"}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := src.reloads
			status, _, _ := do(t, s, "POST", "/config/reload", c.headers...)
			if status != c.want || (src.reloads > before) != (c.want == 200) {
				t.Errorf("got %d, %d reloads; want %d", status, src.reloads-before, c.want)
			}
		})
	}
}

func TestToken(t *testing.T) {
	src := &source{}
	s := start(t, src, "secret")
	page := []string{"Origin: https://console.example"}
	for _, c := range []struct {
		name, method, path string
		headers            []string
		want               int
	}{
		{"none", "GET", "/config", nil, 401},
		{"wrong", "GET", "/config", []string{"Authorization: Bearer secreT"}, 401},
		{"a prefix", "GET", "/config", []string{"Authorization: Bearer secre"}, 401},
		{"another scheme", "GET", "/config", []string{"Authorization: Basic secret"}, 401},
		{"right", "GET", "/config", []string{"Authorization: Bearer secret"}, 200},
		{"scheme in lower case", "GET", "/config", []string{"Authorization: bearer secret"}, 200},
		{"probes need none", "GET", "/ready", nil, 200},
		{"post without", "POST", "/config/reload", nil, 401},
		{"page without", "POST", "/config/reload", page, 401},
		{"page with", "POST", "/config/reload", append(page, "Authorization: Bearer secret"), 200},
		{"token does not buy another host", "GET", "/config", []string{"Host: evil.example", "Authorization: Bearer secret"}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, h, body := do(t, s, c.method, c.path, c.headers...)
			if status != c.want {
				t.Errorf("got %d %q, want %d", status, body, c.want)
			}
			if status == 401 && h.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
	s.SetToken("next")
	if status, _, _ := do(t, s, "GET", "/config", "Authorization: Bearer secret"); status != 401 {
		t.Errorf("the old token still works: %d", status)
	}
	s.SetToken("")
	if status, _, _ := do(t, s, "GET", "/config"); status != 200 {
		t.Errorf("without a token: %d", status)
	}
}

func TestStart(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "gw.example.com:0", "10.0.0.1:0"} {
		s := New(Options{Address: address, Gatherer: prometheus.NewRegistry(), Source: &source{}})
		if err := s.Start(); err == nil || !strings.Contains(err.Error(), "token") {
			t.Errorf("%s without a token: %v", address, err)
		}
	}
	s := start(t, &source{}, "")
	again := New(Options{Address: s.Addr().String(), Gatherer: prometheus.NewRegistry(), Source: &source{}})
	if err := again.Start(); err == nil {
		t.Error("two servers at one address")
	}
}

// A reload may move the API to another address: its own answer still arrives.
func TestCloseInReload(t *testing.T) {
	src := &source{}
	s := start(t, src, "")
	src.onReload = s.Close
	if status, _, _ := do(t, s, "POST", "/config/reload"); status != 200 {
		t.Errorf("got %d", status)
	}
	if _, err := net.DialTimeout("tcp", s.Addr().String(), time.Second); err == nil {
		t.Error("the old address still accepts")
	}
}
