package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/test/need"
)

// outpost is an endpoint that fails in a way, and returns at the same address.
type outpost struct {
	t      testing.TB
	addr   string
	fault  atomic.Value // string; "" is none
	lifted chan struct{}
	asked  atomic.Int64 // but checks
	served atomic.Int64 // of these
	server *http.Server
	done   chan struct{}
}

func newOutpost(t testing.TB) *outpost {
	o := &outpost{t: t, addr: "127.0.0.1:0"}
	o.fault.Store("")
	o.open()
	t.Cleanup(func() {
		if o.fault.Load() != "" {
			o.heal()
		}
		o.close()
	})
	return o
}

func (o *outpost) open() {
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		o.t.Fatal(err)
	}
	o.addr, o.done = l.Addr().String(), make(chan struct{})
	o.server = &http.Server{Handler: o}
	go func() {
		defer close(o.done)
		_ = o.server.Serve(l)
	}()
}

func (o *outpost) close() {
	o.server.Close()
	<-o.done
}

func (o *outpost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.URL.Path != "/healthz" {
		o.asked.Add(1)
	}
	switch o.fault.Load() {
	case "hang":
		select {
		case <-o.lifted:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case "reset":
		nc, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = nc.(*net.TCPConn).SetLinger(0)
			nc.Close()
		}
		return
	case "500":
		w.WriteHeader(500)
		return
	}
	if r.URL.Path != "/healthz" {
		o.served.Add(1)
	}
	io.WriteString(w, "ok")
}

// fail begins a fault, and heal ends it.
func (o *outpost) fail(fault string) {
	o.lifted = make(chan struct{})
	o.fault.Store(fault)
	if fault == "kill" {
		o.close()
	}
}

func (o *outpost) heal() {
	fault := o.fault.Swap("")
	close(o.lifted)
	if fault == "kill" {
		o.open()
	}
}

// load is requests that don't stop.
type load struct {
	gets, posts, badGets, badPosts atomic.Int64
	last                           atomic.Value // string
	stop                           chan struct{}
	wg                             sync.WaitGroup
}

func (l *load) begin(base string, workers int) {
	l.stop = make(chan struct{})
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * workers}}
	for range workers {
		l.wg.Go(func() { l.send(c, "GET", base, &l.gets, &l.badGets) })
		l.wg.Go(func() { l.send(c, "POST", base, &l.posts, &l.badPosts) })
	}
}

func (l *load) send(c *http.Client, method, url string, sent, bad *atomic.Int64) {
	defer c.CloseIdleConnections()
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		req, _ := http.NewRequest(method, url, strings.NewReader("x"))
		res, err := c.Do(req)
		sent.Add(1)
		if err != nil {
			l.last.Store(err.Error())
			bad.Add(1)
			continue
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || string(b) != "ok" {
			l.last.Store(fmt.Sprint(method, " ", res.Status, " ", string(b)))
			bad.Add(1)
		}
	}
}

func (l *load) end() {
	close(l.stop)
	l.wg.Wait()
}

// barred tells why the admin API says that an endpoint gets nothing.
func (r *rig) barred(addr string) map[string]string {
	var list []struct {
		Endpoints []struct {
			Address string
			Barred  map[string]string
		}
	}
	if err := json.Unmarshal([]byte(r.admin("/upstreams")), &list); err != nil {
		r.t.Fatal(err)
	}
	for _, u := range list {
		for _, e := range u.Endpoints {
			if e.Address == addr {
				return e.Barred
			}
		}
	}
	return nil
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 15*time.Second {
			t.Fatalf("never: %s", what)
		}
	}
}

// One of five endpoints fails under load and returns. No request that may be sent
// twice fails; of the others, no more than those that were in flight, or that it
// takes to eject it.
func TestEndpointFails(t *testing.T) {
	checkLeaks(t)
	for _, fault := range []string{"kill", "hang", "reset", "500"} {
		t.Run(fault, func(t *testing.T) { endpointFails(t, fault, 4, 500) })
	}
}

func TestEndpointFailsUnderFullLoad(t *testing.T) {
	need.Full(t)
	checkLeaks(t)
	for _, fault := range []string{"kill", "hang", "reset", "500"} {
		t.Run(fault, func(t *testing.T) { endpointFails(t, fault, 32, 20_000) })
	}
}

// All endpoints fail under load, for all that checks and detectors see, and return.
// They see no storm, neither when they are down nor when they are back.
func TestOutage(t *testing.T) {
	checkLeaks(t)
	for _, fault := range []string{"reset", "500"} {
		t.Run(fault, func(t *testing.T) { outage(t, fault) })
	}
}

func outage(t *testing.T, fault string) {
	var endpoints strings.Builder
	var posts []*outpost
	for range 5 {
		o := newOutpost(t)
		posts = append(posts, o)
		fmt.Fprintf(&endpoints, "  endpoint %q {}\n", o.addr)
	}
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "u" {
%s
  health_check {
    path     = "/healthz"
    interval = "50ms"
  }
  outlier_detection {
    consecutive_errors = 3
    interval           = "1s"
    eject              = "100ms"
  }
  retry {
    attempts = 3
    on       = ["connect", "reset", "500"]
    methods  = ["GET", "POST"]
    backoff  = "1ms"
  }
}
route "all" {
  upstream = upstream.u
}
`, endpoints.String())})
	var l load
	l.begin(r.base, 8)
	ended := sync.OnceFunc(l.end)
	defer ended()
	sent := func() int64 { return l.gets.Load() + l.posts.Load() }
	asked := func() (n int64) {
		for _, o := range posts {
			n += o.asked.Load()
		}
		return n
	}
	// calm sends more requests, and wants no more of them to arrive than may.
	calm := func(when string) {
		t.Helper()
		wasAsked, was := asked(), sent()
		soon(t, "more requests", func() bool { return sent() > was+2000 })
		// Those in flight count on one side only, and the budget may be full.
		if n, of := asked()-wasAsked, sent()-was; n > of*12/10+50 {
			t.Errorf("%s: the endpoints saw %d requests of %d", when, n, of)
		}
	}
	calm("before")
	if n := l.badGets.Load() + l.badPosts.Load(); n > 0 {
		t.Fatalf("%d requests failed before: %v", n, l.last.Load())
	}
	for _, o := range posts {
		o.fail(fault)
	}
	calm("when it begins")
	for _, o := range posts {
		soon(t, "all are out", func() bool { return r.barred(o.addr)["unhealthy"] != "" })
	}
	calm("while all are out")
	if !strings.Contains(r.log.String(), "too few endpoints are usable") {
		t.Error("the log does not tell that all are used")
	}
	for _, o := range posts {
		o.heal()
	}
	calm("when it ends")
	for _, o := range posts {
		soon(t, "all are back", func() bool { return len(r.barred(o.addr)) == 0 })
	}
	bad := l.badGets.Load() + l.badPosts.Load()
	calm("afterwards")
	ended()
	if n := l.badGets.Load() + l.badPosts.Load() - bad; n > 0 {
		t.Errorf("%d requests failed afterwards: %v", n, l.last.Load())
	}
}

func endpointFails(t *testing.T, fault string, workers int, requests int64) {
	const streak = 3
	var endpoints strings.Builder
	var posts []*outpost
	for range 5 {
		o := newOutpost(t)
		posts = append(posts, o)
		fmt.Fprintf(&endpoints, "  endpoint %q {}\n", o.addr)
	}
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "u" {
%s
  timeout = "2s"
  health_check {
    path      = "/healthz"
    interval  = "50ms"
    timeout   = "500ms"
    unhealthy = 2
    healthy   = 2
  }
  outlier_detection {
    consecutive_errors = %d
    interval           = "1s"
    eject              = "200ms"
  }
  retry {
    attempts       = 2
    on             = ["connect", "reset", "timeout", "500"]
    per_try        = "500ms"
    budget_percent = 100
  }
}
route "all" {
  upstream = upstream.u
}
`, endpoints.String(), streak)})
	bad := posts[2]
	var l load
	l.begin(r.base, workers)
	ended := sync.OnceFunc(l.end)
	defer ended()
	more := func() {
		t.Helper()
		n := l.gets.Load() + l.posts.Load()
		soon(t, "more requests", func() bool { return l.gets.Load()+l.posts.Load() >= n+requests })
	}
	more()
	if n := l.badGets.Load() + l.badPosts.Load(); n > 0 || bad.served.Load() == 0 {
		t.Fatalf("%d requests failed before: %v", n, l.last.Load())
	}
	bad.fail(fault)
	soon(t, "it is found unhealthy", func() bool { return r.barred(bad.addr)["unhealthy"] != "" })
	soon(t, "none is left there", func() bool {
		return strings.Contains(r.admin("/metrics"), `requests_active{endpoint="`+bad.addr+`",upstream="u"} 0`)
	})
	failed := l.badPosts.Load()
	if failed > int64(workers)+streak {
		t.Errorf("%d POSTs failed, of %d in flight: %v", failed, workers, l.last.Load())
	}
	more()
	if n := l.badPosts.Load(); n > failed {
		t.Errorf("%d POSTs failed once it was out: %v", n-failed, l.last.Load())
	}
	bad.heal()
	n := bad.served.Load()
	soon(t, "it serves again", func() bool { return bad.served.Load() > n+20 })
	failed = l.badPosts.Load()
	more()
	ended()
	if l.badGets.Load() > 0 || l.badPosts.Load() > failed {
		t.Errorf("%d GETs and %d late POSTs failed: %v", l.badGets.Load(), l.badPosts.Load()-failed, l.last.Load())
	}
	t.Logf("%d requests, %d POSTs failed", l.gets.Load()+l.posts.Load(), l.badPosts.Load())
}
