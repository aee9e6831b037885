package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// streams is a backend with an event stream and a WebSocket echo beside plain
// answers.
func streams(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 0; ; n++ {
			fmt.Fprintf(w, "data: %d\n\n", n)
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	case "/ws":
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, p, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, p) != nil {
				return
			}
		}
	default:
		seen(w, r)
	}
}

func stormConfig(addr string, n int) string {
	return fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
}
plugin "mark" {
  source = "mark.wasm"
  limits {
    cpu = "5s" # the machine is busy
  }
}
policy "open" {
  rego   = ["open.rego"]
  decide = "data.open.allow"
  deadline = "10s"
}
route "events" {
  path     = "/events"
  upstream = upstream.b
}
route "ws" {
  path     = "/ws"
  upstream = upstream.b
}
route "work" {
  path_prefix = "/work"
  filter "mark" {}
  filter "policy" {
    policy = policy.open
  }
  upstream = upstream.b
  response_headers {
    set = { x-edit = "%d" }
  }
}
`, addr, n)
}

const openRego = `package open

allow if input.attributes.request.http.method == "GET"
`

// TestReloadStorm reloads a hundred times under load, with a changed plugin
// each time, an event stream and a WebSocket that live through all of it.
func TestReloadStorm(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, streams)
	r := start(t, map[string]string{
		"mark.wasm": guest("v0", goOn), "open.rego": openRego, "routes.hcl": stormConfig(addr, 0),
	})

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	events := openEvents(t, ctx, r, &wg)
	ws := openSocket(t, ctx, r)
	defer ws.CloseNow()

	var requests atomic.Int64
	for range 4 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				res, err := client.Get(r.base + "/work/x")
				if err != nil {
					t.Errorf("request lost: %v", err)
					return
				}
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != 200 || res.Header.Get("X-Plugin") == "" {
					t.Errorf("request harmed: %v %d %v", err, res.StatusCode, res.Header)
					return
				}
				requests.Add(1)
			}
		})
	}

	var early, late measure
	for n := 1; n <= 100; n++ {
		if n%5 == 0 { // with each version twice in a row sometimes, so that sharing is met too
			r.write("mark.wasm", guest(fmt.Sprintf("v%d", n), goOn))
		}
		r.write("routes.hcl", stormConfig(addr, n))
		r.reload()
		_, h, _ := r.get("/work/now")
		if got := h.Get("X-Edit"); got != fmt.Sprint(n) {
			t.Fatalf("after reload %d the route says %q", n, got)
		}
		if got, want := h.Get("X-Plugin"), fmt.Sprintf("v%d", n/5*5); got != want {
			t.Fatalf("after reload %d plugin %q answers, want %q", n, got, want)
		}
		msg := fmt.Sprintf("message %d", n)
		if err := ws.Write(ctx, websocket.MessageText, []byte(msg)); err != nil {
			t.Fatalf("WebSocket after reload %d: %v", n, err)
		}
		if _, p, err := ws.Read(ctx); err != nil || string(p) != msg {
			t.Fatalf("WebSocket after reload %d: %q, %v", n, p, err)
		}
		switch n {
		case 20:
			early = take()
		case 100:
			late = take()
		}
	}
	before := events.Load()
	time.Sleep(100 * time.Millisecond)
	if events.Load() == before {
		t.Error("the event stream stopped")
	}
	if requests.Load() < 100 {
		t.Errorf("only %d requests were made; the test shows nothing", requests.Load())
	}
	t.Logf("%d requests; goroutines %d -> %d, heap %d KiB -> %d KiB", requests.Load(),
		early.goroutines, late.goroutines, early.heap>>10, late.heap>>10)
	if late.goroutines > early.goroutines+10 {
		t.Errorf("goroutines grew from %d to %d", early.goroutines, late.goroutines)
	}
	if late.heap > early.heap+early.heap/2+8<<20 {
		t.Errorf("the heap grew from %d to %d bytes", early.heap, late.heap)
	}
	if m := r.admin("/metrics"); strings.Count(m, "headgate_plugin_instances{") != 1 || strings.Contains(m, `headgate_plugin_instances{plugin="mark"} 0`) {
		t.Errorf("instances: %s", grep(m, "headgate_plugin_instances"))
	}
}

type measure struct {
	goroutines int
	heap       uint64
}

func take() measure {
	time.Sleep(50 * time.Millisecond)
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return measure{runtime.NumGoroutine(), m.HeapAlloc}
}

func grep(text, part string) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.Contains(line, part) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// openEvents reads the event stream until ctx ends and counts events, which
// must come in order.
func openEvents(t *testing.T, ctx context.Context, r *rig, wg *sync.WaitGroup) *atomic.Int64 {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", r.base+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	wg.Go(func() {
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			if lines.Text() == "" {
				continue
			}
			if want := fmt.Sprintf("data: %d", n.Load()); lines.Text() != want {
				t.Errorf("event %q, want %q", lines.Text(), want)
				return
			}
			n.Add(1)
		}
		if ctx.Err() == nil {
			t.Errorf("the event stream was cut after %d events: %v", n.Load(), lines.Err())
		}
	})
	return &n
}

func openSocket(t *testing.T, ctx context.Context, r *rig) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(ctx, strings.Replace(r.base, "http", "ws", 1)+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHostileGuests shows that a guest that spins or traps costs its caller a
// 500 and nobody else anything.
func TestHostileGuests(t *testing.T) {
	checkLeaks(t)
	r := start(t, map[string]string{
		"spin.wasm": guest("spin", forever), "trap.wasm": guest("trap", trap), "good.wasm": guest("good", goOn),
		"routes.hcl": `
plugin "spin" {
  source = "spin.wasm"
}
plugin "trap" {
  source = "trap.wasm"
}
plugin "lenient" {
  source   = "trap.wasm"
  on_error = "allow"
}
plugin "good" {
  source = "good.wasm"
}
` + guarded("spin") + guarded("trap") + guarded("lenient") + guarded("good"),
	})
	for name, want := range map[string]int{"spin": 500, "trap": 500, "lenient": 200, "good": 200} {
		for range 3 {
			start := time.Now()
			status, _, body := r.get("/" + name)
			if status != want {
				t.Errorf("%s: got %d %q, want %d", name, status, body, want)
			}
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("%s: took %v", name, d)
			}
			if strings.Contains(body, "wasm") || strings.Contains(body, "unreachable") {
				t.Errorf("%s: the client sees internals: %q", name, body)
			}
		}
	}

	// Neighbours are served while a guest spins.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { r.get("/spin") })
	}
	for range 50 {
		if status, h, _ := r.get("/good"); status != 200 || h.Get("X-Plugin") != "good" {
			t.Errorf("the neighbour got %d %v", status, h)
		}
	}
	wg.Wait()
	m := r.admin("/metrics")
	for _, want := range []string{`headgate_plugin_traps_total{plugin="spin",reason="cpu"}`, `headgate_plugin_traps_total{plugin="trap",reason="trap"}`} {
		if !strings.Contains(m, want) {
			t.Errorf("no %s in the metrics:\n%s", want, grep(m, "headgate_plugin"))
		}
	}
	for _, want := range []string{"spin", "trap"} {
		if !strings.Contains(r.log.String(), "filter="+want) {
			t.Errorf("the log does not name %s:\n%s", want, r.log)
		}
	}
}

func guarded(name string) string {
	return fmt.Sprintf(`
route %q {
  path = "/%s"
  filter %q {}
  respond {
    body = "ok"
  }
}
`, name, name, name)
}
