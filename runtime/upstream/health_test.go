package upstream

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patient is an endpoint whose answers to checks can be changed.
type patient struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64
	last   atomic.Pointer[http.Request]
}

// admit starts one; h2c speaks HTTP/2 in the clear, secure TLS.
func admit(t testing.TB, h2c, secure bool) *patient {
	p := &patient{}
	p.says(200, "")
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.last.Store(r)
		p.asked.Add(1)
		(*p.answer.Load())(w, r)
	}))
	if h2c {
		p.Config.Protocols = &http.Protocols{}
		p.Config.Protocols.SetUnencryptedHTTP2(true)
	}
	p.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if secure {
		p.EnableHTTP2 = true
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p
}

func (p *patient) address() string { return p.Listener.Addr().String() }

func (p *patient) does(h http.HandlerFunc) { p.answer.Store(&h) }

func (p *patient) says(status int, body string) {
	p.does(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

// hangs makes it answer nothing.
func (p *patient) hangs() {
	p.does(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

// eventually waits for what must become true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("never: %s", what)
		}
	}
}

// often is a check of tests: quick, and by a single answer.
func often() *HealthCheck {
	return &HealthCheck{Type: "http", Path: "/", Expect: []int{200}, Interval: 5 * time.Millisecond, Timeout: 2 * time.Second, Healthy: 1, Unhealthy: 1}
}

func barred(r *Registry, address string) map[string]string {
	for _, c := range r.Snapshot() {
		for _, e := range c.Endpoints {
			if e.Address == address {
				return e.Barred
			}
		}
	}
	return nil
}

func TestHealthHTTP(t *testing.T) {
	for _, c := range []struct {
		name       string
		h2c, tls   bool
		change     func(*Config, *HealthCheck)
		bad        func(*patient)
		reason     string
		host, path string
	}{
		{name: "status", bad: func(p *patient) { p.says(500, "") }, reason: "status 500", path: "/"},
		{name: "another status", change: func(_ *Config, h *HealthCheck) { h.Expect = []int{204, 200} }, bad: func(p *patient) { p.says(201, "") }, reason: "status 201"},
		{name: "path and host", change: func(_ *Config, h *HealthCheck) { h.Path, h.Host = "/a/b?c=d", "x.test" },
			bad: func(p *patient) { p.says(404, "") }, reason: "status 404", host: "x.test", path: "/a/b?c=d"},
		{name: "headers", change: func(_ *Config, h *HealthCheck) { h.Headers = map[string]string{"x-key": "k", "user-agent": "me"} }, bad: func(p *patient) {
			p.does(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Key") == "k" && r.UserAgent() == "me" {
					w.WriteHeader(418)
				}
			})
		}, reason: "status 418"},
		{name: "hangs", change: func(_ *Config, h *HealthCheck) { h.Timeout = 50 * time.Millisecond }, bad: (*patient).hangs, reason: "no answer within 50ms"},
		{name: "no answer", bad: func(p *patient) { p.does(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }) }, reason: "before"},
		{name: "down", bad: func(p *patient) { p.Listener.Close(); p.CloseClientConnections() }, reason: "refused"},
		{name: "HTTP/2", h2c: true, change: func(c *Config, _ *HealthCheck) { c.HTTP2 = true }, bad: func(p *patient) { p.says(503, "") }, reason: "status 503"},
		{name: "HTTP/2 hangs", h2c: true, change: func(c *Config, h *HealthCheck) { c.HTTP2, h.Timeout = true, 50*time.Millisecond }, bad: (*patient).hangs, reason: "no answer within 50ms"},
		{name: "TLS, HTTP/1.1", tls: true, bad: func(p *patient) { p.says(503, "") }, reason: "status 503"},
		{name: "TLS, ALPN", tls: true, change: func(c *Config, _ *HealthCheck) { c.Auto = true }, bad: func(p *patient) { p.says(503, "") }, reason: "status 503"},
		{name: "tcp", change: func(_ *Config, h *HealthCheck) { h.Type = "tcp" }, bad: func(p *patient) { p.Listener.Close() }, reason: "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := admit(t, c.h2c, c.tls)
			r := registry(t)
			config := Config{Name: "u", Endpoints: []EndpointConfig{{Address: p.address()}}, HealthCheck: often()}
			if c.tls {
				ca := filepath.Join(t.TempDir(), "ca.pem")
				if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600); err != nil {
					t.Fatal(err)
				}
				config.TLS = &TLS{CAFile: ca, ServerName: "example.com"}
			}
			if c.change != nil {
				c.change(&config, config.HealthCheck)
			}
			cluster := r.Cluster(config)
			t.Cleanup(cluster.Close)
			if config.HealthCheck.Type != "tcp" {
				eventually(t, "three checks", func() bool { return p.asked.Load() > 2 })
				if last := p.last.Load(); c.host != "" && last.Host != c.host || c.path != "" && last.RequestURI != c.path {
					t.Errorf("asked %s %s", last.Host, last.RequestURI)
				}
			}
			if _, err := cluster.Pick(nil, nil); err != nil {
				t.Error(err)
			}
			c.bad(p)
			eventually(t, "out", func() bool { return strings.Contains(barred(r, p.address())["unhealthy"], c.reason) })
			eventually(t, "not picked", func() bool { _, err := cluster.Pick(nil, nil); return err != nil })
			if c.reason == "refused" {
				return
			}
			p.says(200, "")
			eventually(t, "back", func() bool { _, err := cluster.Pick(nil, nil); return err == nil })
		})
	}
}

func TestHealthBody(t *testing.T) {
	p := admit(t, false, false)
	r := registry(t)
	h := often()
	h.Contains = "all is well"
	defer r.Cluster(Config{Name: "u", Endpoints: []EndpointConfig{{Address: p.address()}}, HealthCheck: h}).Close()
	far := strings.Repeat(" ", maxProbe-11)
	for _, c := range []struct {
		body string
		well bool
	}{{"x", false}, {"so all is well here", true}, {"", false}, {far + "all is well", true}, {far + " all is well", false}, {far + far + far, false}} {
		p.says(200, c.body)
		eventually(t, fmt.Sprintf("%d bytes", len(c.body)), func() bool { return (barred(r, p.address()) == nil) == c.well })
	}
	p.says(200, "all is well")
	eventually(t, "well", func() bool { return barred(r, p.address()) == nil })
	p.does(func(w http.ResponseWriter, r *http.Request) { // it never ends
		io.WriteString(w, "nothing yet")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	h2 := *h
	h2.Timeout = 30 * time.Millisecond
	defer r.Cluster(Config{Name: "u", Endpoints: []EndpointConfig{{Address: p.address()}}, HealthCheck: &h2}).Close()
	eventually(t, "an end", func() bool { return strings.Contains(barred(r, p.address())["unhealthy"], "no answer within") })
}

// Results in a row count, and what is known stays when the settings change.
func TestHealthJudge(t *testing.T) {
	type state struct{ on, changed bool }
	var h checkup
	c := &checker{check: &HealthCheck{Healthy: 2, Unhealthy: 3}}
	h.checker = c
	out := false
	take := func(results string, want string) {
		t.Helper()
		got := ""
		for _, x := range results {
			err := error(nil)
			if x == 'x' {
				err = io.EOF
			}
			on, changed, _ := h.judge(c, err, out)
			if changed {
				out = on
			}
			if out {
				got += "-"
			} else {
				got += "+"
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", results, got, want)
		}
	}
	take("x.x..", "----+") // the first decides alone
	take(".xx.xxx", "++++++-")
	take(".x.x..", "-----+")
	h = checkup{checker: c}
	take(".xxx", "+++-")
	other := &checker{check: &HealthCheck{Healthy: 1, Unhealthy: 1}}
	if on, changed, _ := h.judge(other, nil, true); (state{on, changed}) != (state{}) {
		t.Error("the result of a checker that was stopped counts")
	}
}

// Generations share a checker as long as they ask the same.
func TestHealthReload(t *testing.T) {
	p := admit(t, false, false)
	r := registry(t)
	var log logBuffer
	r.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
	config := Config{Name: "u", Endpoints: []EndpointConfig{{Address: p.address()}}, HealthCheck: often()}
	p.says(500, "")
	first := r.Cluster(config)
	eventually(t, "out", func() bool { return barred(r, p.address()) != nil })
	s := first.members.Load().all[0].standing
	running := func() *checker {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.health.checker
	}
	c := running()
	config.HealthCheck = often()
	config.HealthCheck.Panic = 10
	second := r.Cluster(config)
	first.Close()
	if running() != c {
		t.Error("a reload started another checker")
	}
	config.HealthCheck = often()
	config.HealthCheck.Interval = time.Hour
	config.HealthCheck.Type = "tcp"
	config.HealthCheck.Healthy = 5 // one check does not bring it back
	third := r.Cluster(config)     // refused after all
	if barred(r, p.address()) == nil {
		t.Error("other settings made it well")
	}
	if running() == c {
		t.Error("other settings, the same checker")
	}
	third.Close()
	if k := running(); k == nil || k.check.Type != "http" {
		t.Error("the settings of the one that stays are not in force")
	}
	config.HealthCheck = nil
	fourth := r.Cluster(config)
	second.Close()
	if running() != nil || barred(r, p.address()) != nil {
		t.Error("without checks there is no reason to bar it")
	}
	fourth.Close()
	n := p.asked.Load()
	if running() != nil || n == 0 {
		t.Error("nobody is left to ask for")
	}
	if text := log.String(); strings.Count(text, "endpoint is out") != 1 || !strings.Contains(text, `reason="health check: status 500"`) {
		t.Errorf("log:\n%s", text)
	}
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// The end of the registry ends checks, those that hang too.
func TestHealthEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := NewRegistry(nil)
	h := often()
	h.Timeout = time.Hour
	c := r.Cluster(Config{Name: "u", Endpoints: []EndpointConfig{{Address: l.Addr().String()}}, HealthCheck: h})
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r.Close()
	late := r.Cluster(Config{Name: "v", Endpoints: []EndpointConfig{{Address: l.Addr().String()}}, HealthCheck: h})
	late.Close()
	c.Close()
}

func TestPanic(t *testing.T) {
	r, gather := measured(t)
	var log logBuffer
	r.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
	var patients []*patient
	config := Config{Name: "u", HealthCheck: often()}
	for range 4 {
		p := admit(t, false, false)
		patients = append(patients, p)
		config.Endpoints = append(config.Endpoints, EndpointConfig{Address: p.address()})
	}
	picked := func(c *Cluster) int {
		seen := map[*Endpoint]bool{}
		for range 60 {
			if e, err := c.Pick(nil, nil); err == nil {
				seen[e] = true
			}
		}
		return len(seen)
	}
	config.HealthCheck.Panic = 50
	config.Balance = "round_robin"
	c := r.Cluster(config)
	defer func() { c.Close() }()
	for i, want := range []int{3, 2, 4, 4} {
		patients[i].says(500, "")
		eventually(t, "out", func() bool { return barred(r, patients[i].address()) != nil })
		eventually(t, fmt.Sprintf("%d are used with %d out", want, i+1), func() bool { return picked(c) == want })
	}
	if err := r.Drain("u", patients[0].address(), true); err != nil {
		t.Fatal(err)
	}
	if n := picked(c); n != 3 {
		t.Errorf("a drained endpoint is used in panic: %d", n)
	}
	eventually(t, "metric", func() bool { return strings.Contains(gather(), `headgate_upstream_panic{upstream="u"} 1`) })
	zero := config
	zero.HealthCheck = often()
	next := r.Cluster(zero)
	c.Close()
	c = next
	if n := picked(c); n != 0 {
		t.Errorf("with panic = 0, %d are used", n)
	}
	patients[3].says(200, "")
	eventually(t, "back", func() bool { return picked(c) == 1 })
	eventually(t, "metric", func() bool { return strings.Contains(gather(), `headgate_upstream_panic{upstream="u"} 0`) })
	eventually(t, "log", func() bool {
		return strings.Contains(log.String(), "too few endpoints are usable") && strings.Contains(log.String(), "enough endpoints are usable again")
	})
}
