package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/host/hosttest"
)

// told answers with what arrived: the first line, the fields that begin with "x-",
// the trailers and the body.
func told(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var lines []string
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-") && name != "X-Request-Id" && !strings.HasPrefix(name, "X-Forwarded") && name != "X-Real-Ip" {
			lines = append(lines, name+": "+strings.Join(values, " | "))
		}
	}
	for name, values := range r.Trailer {
		lines = append(lines, "trailer "+name+": "+strings.Join(values, " | "))
	}
	slices.Sort(lines)
	w.Header().Set("X-Backend", "yes")
	if strings.HasSuffix(r.URL.Path, "trailers") {
		w.Header().Set("Trailer", "X-Trailer")
		defer w.Header().Set("X-Trailer", "down")
	}
	fmt.Fprintf(w, "%s %s %s %d\n%s\n%s", r.Method, r.Host, r.RequestURI, r.ContentLength, strings.Join(lines, "\n"), body)
}

// authService is whom plugins call.
func authService(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Host != "auth.test" || r.Header.Get("X-Sent") != "yes" || r.Method != "POST" {
		w.WriteHeader(400)
		return
	}
	w.Header().Set("X-User", "ada")
	fmt.Fprintf(w, "%s said %s", r.URL.Path, body)
}

// guests starts a gateway with a route, and a plugin, for each mode of the guest
// of package proxywasm.
func guests(t *testing.T, modes ...string) *rig {
	t.Helper()
	wasm := hosttest.BuildGo(t, filepath.Join("..", "..", "host", "abi", "proxywasm"), "./testdata/guest")
	var b strings.Builder
	fmt.Fprintf(&b, "upstream \"app\" {\n endpoint %q {}\n}\nupstream \"auth\" {\n endpoint %q {}\n timeout = \"2s\"\n}\n", backend(t, told), backend(t, authService))
	fmt.Fprintf(&b, "upstream \"gone\" {\n endpoint \"127.0.0.1:1\" {}\n}\n")
	for _, mode := range modes {
		name := strings.ReplaceAll(mode, " ", "-")
		fmt.Fprintf(&b, `
plugin "p-%s" {
  source = %q
  filter = "root"
  allow { 
    fetch = [upstream.auth]
  }
  limits { deadline = "1s" }
}
route %q {
  path_prefix = "/%s"
  filter "p-%s" { config = %q }
  upstream = upstream.app
}
`, name, wasm, name, name, name, mode)
	}
	return start(t, map[string]string{"routes.hcl": b.String()})
}

func TestProxyWasm(t *testing.T) {
	checkLeaks(t)
	modes := []string{
		"headers", "pairs", "reply", "late reply", "grpc reply", "call", "ungranted", "tick", "forever", "close", "properties", "shared", "queue",
		"metrics", "misc", "wild", "buffer", "chunks", "scan", "bodycall", "drop", "trailers", "response reply", "response call", "log", "quiet",
	}
	r := guests(t, modes...)
	long := strings.Repeat("0123456789", 10_000)
	for _, c := range []struct {
		path, body string
		headers    []string
		status     int
		want       []string // in the body
		fields     []string // of the response
	}{
		{"/headers/a?b=c", "", []string{"x-gone: 1", "x-two: zero"}, 299, []string{
			"GET other.test /changed?q=1 ", "X-Count: ", " true 1\n", "X-Path: /headers/a?b=c\n", "X-Was: a.test\n", "X-Two: zero | one | two\n", "X-Both: zero,one,two\n", "X-Bad: 2 2 2 2 0\n", "!X-Gone",
		}, []string{"x-status: 200", "x-sent-path: /changed?q=1", "x-code: 8"}},
		{"/pairs/", "", []string{"x-gone: 1", "x-kept: 2"}, 200, []string{"X-New: 1\n", "X-Kept: 2", "!X-Gone", "a.test /pairs/"}, nil},
		{"/reply/", "", nil, 403, []string{"no entry\n"}, []string{"x-why: because", "content-type: text/plain", "x-backend: "}},
		{"/late-reply/", "", nil, 418, []string{"tea"}, nil},
		{"/grpc-reply/", "", []string{"content-type: application/grpc"}, 200, nil, []string{"grpc-status: 7", "grpc-message: no 100%25", "content-type: application/grpc"}},
		{"/call/", "hello", nil, 200, []string{"X-User: ada /check said ping 0\n", "hello"}, nil},
		{"/ungranted/", "", nil, 200, []string{"2"}, nil},
		{"/tick/", "", nil, 200, []string{"X-Tick: yes"}, nil},
		{"/forever/", "", nil, 500, nil, nil},
		{"/close/", "", nil, 500, nil, nil},
		{"/properties/p?q=1", "", []string{"x-a: b", "user-agent: me"}, 200, []string{
			`request.path="/properties/p?q=1" true`, `request.url_path="/properties/p" true`, `request.query="q=1" true`, `request.host="a.test" true`,
			`request.method="GET" true`, `request.protocol="HTTP/1.1" true`, `request.headers.x-a="b" true`, `request.useragent="me" true`,
			`plugin_name="p-properties" true`, `plugin_root_id="root" true`, `route_name="properties" true`, `xds.route_name="properties" true`,
			`connection.mtls="\x00" true`, `response.code="" false`, `nothing="" false`, `connection.tls_version="" false`, "mine=value value",
		}, nil},
		{"/shared/", "", nil, 200, []string{"1 0v18 0v2true"}, nil},
		{"/queue/", "", nil, 200, []string{"X-Queue: 0 0 true 1"}, nil},
		{"/metrics/", "", nil, 200, []string{"true -4 0 0 1"}, nil},
		{"/misc/", "", nil, 200, []string{"true 2 0 true true 1 1 2"}, nil},
		{"/wild/", "", nil, 200, []string{"6 6 1 6 6 6 6 6 6 6 6 1 1 1 2 2 2 2 12 6 2"}, nil},
		{"/buffer/", "hello", nil, 200, []string{"POST A.TEST /BUFFER/ 5\n", "\nHELLO"}, []string{"x-backend: yes"}},
		{"/buffer/", long, nil, 200, []string{"POST A.TEST /BUFFER/ 100000\n", long}, nil},
		{"/chunks/", "hello", nil, 200, []string{"<POST a.test /chunks/ 7\n", "\n<hello>>"}, nil},
		{"/scan/", "hello", nil, 200, []string{"hello"}, nil},
		{"/scan/", "an attack", nil, 403, []string{"found\n"}, []string{"x-side: 0", "x-backend: "}},
		{"/scan/attack", "hello", nil, 403, []string{"found\n"}, []string{"x-side: 1"}},
		{"/scan/", long + "attack", nil, 403, []string{"found\n"}, []string{"x-side: 0"}},
		{"/bodycall/", long, nil, 200, []string{long}, nil},
		{"/drop/", long, nil, 200, []string{"dropped"}, nil},
		{"/response-reply/", "", nil, 502, []string{"replaced\n"}, []string{"x-backend: "}},
		{"/response-call/", "", nil, 200, []string{"GET a.test /response-call/"}, []string{"x-backend: yes"}},
		{"/log/", "", nil, 200, nil, nil},
		{"/quiet/", "", nil, 200, nil, nil},
	} {
		t.Run(strings.Trim(c.path, "/")+fmt.Sprint(len(c.body)), func(t *testing.T) {
			method := "GET"
			if c.body != "" {
				method = "POST"
			}
			status, h, body := r.do(method, c.path, c.body, append([]string{"Host: a.test"}, c.headers...)...)
			if status != c.status {
				t.Errorf("status %d, want %d: %.2000s", status, c.status, body)
			}
			for _, want := range c.want {
				if not, ok := strings.CutPrefix(want, "!"); strings.Contains(body, strings.TrimPrefix(want, "!")) == ok {
					t.Errorf("%q %t in\n%.2000s", want, not == want, body)
				}
			}
			for _, f := range c.fields {
				name, value, _ := strings.Cut(f, ": ")
				if h.Get(name) != value {
					t.Errorf("%s is %q, want %q", name, h.Get(name), value)
				}
			}
		})
	}
	for _, want := range []string{"logged /log/ 200", "msg=done", "msg=deleted"} {
		eventually(t, "a line that says "+want, func() bool { return strings.Contains(r.log.String(), want) })
	}
	text := r.admin("/metrics")
	if strings.Contains(text, "headgate_plugin_traps_total{") {
		t.Error("something cost an instance")
	}
	for _, want := range []string{
		`headgate_plugin_metric_total{name="requests_total",plugin="p-metrics"} 2`, `headgate_plugin_metric{name="level",plugin="p-metrics"} -4`,
		`headgate_plugin_metric_observed_sum{name="size.bytes",plugin="p-metrics"} 100`, `headgate_plugin_denials_total{plugin="p-ungranted"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// TestProxyWasmGRPC has a guest ask a gRPC service, and one change trailers.
func TestProxyWasmGRPC(t *testing.T) {
	checkLeaks(t)
	wasm := hosttest.BuildGo(t, filepath.Join("..", "..", "host", "abi", "proxywasm"), "./testdata/guest")
	var code atomic.Value
	code.Store("0")
	service, _ := h2cBackend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/test.Service/Check" || r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Te") != "trailers" ||
			r.Header.Get("X-Meta") != "1" || string(body) != "\x00\x00\x00\x00\x05hello" {
			w.WriteHeader(400)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "grpc-status, grpc-message")
		if code.Load() == "0" {
			w.Write([]byte("\x00\x00\x00\x00\x02ok"))
		}
		w.Header().Set("grpc-status", code.Load().(string))
		w.Header().Set("grpc-message", "said so")
	})
	app, _ := h2cBackend(t, told)
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "auth" {
  endpoint %q {}
  protocol = "h2c"
}
upstream "app" {
  endpoint %q {}
  protocol = "h2c"
}
plugin "guest" {
  source = %q
  allow {
    fetch = [upstream.auth]
  }
}
route "grpc" {
  path_prefix = "/grpc"
  filter "guest" { config = "grpc" }
  upstream = upstream.app
}
route "trailers" {
  path_prefix = "/trailers"
  filter "guest" { config = "trailers" }
  upstream = upstream.app
}
`, service, app, wasm)})
	if status, _, body := r.get("/grpc"); status != 200 || !strings.Contains(body, "X-Grpc: ok") {
		t.Errorf("%d %q", status, body)
	}
	code.Store("7")
	if status, _, body := r.get("/grpc"); status != 502 || body != "grpc 7 7 said so" {
		t.Errorf("%d %q", status, body)
	}

	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	q, err := http.NewRequest("POST", r.base+"/trailers", io.MultiReader(strings.NewReader("some"), strings.NewReader("thing")))
	if err != nil {
		t.Fatal(err)
	}
	q.Trailer = http.Header{"X-Trailer": {"up"}}
	res, err := tr.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || !strings.HasSuffix(string(body), "something") {
		t.Errorf("%q %v", body, err)
	}
	if !strings.Contains(r.log.String(), "trailer: up seen 1") {
		t.Error("the plugin did not see the trailer of the request")
	}
	if got := res.Trailer.Get("X-Trailer"); got != "down seen 1" {
		t.Errorf("the trailer of the response is %q", got)
	}
}

// TestProxyWasmTogether has many streams in one instance, whose calls overlap.
func TestProxyWasmTogether(t *testing.T) {
	checkLeaks(t)
	r := guests(t, "call", "buffer", "scan", "tick")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 25 {
				text := fmt.Sprintf("text %d of %d", n, i)
				for path, want := range map[string]string{"/call/": text, "/buffer/": strings.ToUpper(text), "/scan/": text, "/tick/": "X-Tick: yes"} {
					if status, _, body := r.do("POST", path, text, "Host: a.test"); status != 200 || !strings.Contains(body, want) {
						t.Errorf("%s: %d %q", path, status, body)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestProxyWasmTrap: a stream that traps takes those of its instance with it, and
// the next one finds another.
func TestProxyWasmTrap(t *testing.T) {
	checkLeaks(t)
	r := guests(t, "trap", "loop", "forever", "flood", "headers")
	for _, path := range []string{"/trap/", "/loop/", "/forever/", "/flood/"} {
		start := time.Now()
		if status, _, _ := r.get(path); status != 500 {
			t.Errorf("%s: %d", path, status)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%s took %v", path, d)
		}
		if status, _, _ := r.get("/headers/"); status != 299 {
			t.Errorf("a neighbour got %d after %s", status, path)
		}
	}
	text := r.admin("/metrics")
	for _, want := range []string{`headgate_plugin_traps_total{plugin="p-trap",reason="trap"} 1`, `headgate_plugin_traps_total{plugin="p-loop",reason="cpu"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// TestProxyWasmSwap changes configuration and module under load: no request is
// lost, and each sees one of them from its beginning to its end. A change that
// does not start leaves the old one in place.
func TestProxyWasmSwap(t *testing.T) {
	checkLeaks(t)
	wasm, err := os.ReadFile(hosttest.BuildGo(t, filepath.Join("..", "..", "host", "abi", "proxywasm"), "./testdata/guest"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "a.wasm"), filepath.Join(dir, "b.wasm")}
	for i, f := range files { // the second has one more custom section, so another digest
		if err := os.WriteFile(f, append(wasm[:len(wasm):len(wasm)], []byte("\x00\x02\x01x")[:4*i]...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	app := backend(t, told)
	routes := func(file, mode string) string {
		return fmt.Sprintf("upstream \"app\" {\n endpoint %q {}\n}\nplugin \"guest\" {\n source = %q\n}\nroute \"r\" {\n path = \"/\"\n filter \"guest\" { config = %q }\n upstream = upstream.app\n}\n", app, file, mode)
	}
	r := start(t, map[string]string{"routes.hcl": routes(files[0], "swap 0")})
	var wg sync.WaitGroup
	var over atomic.Bool
	var mu sync.Mutex
	versions := map[string]int{}
	for range 4 {
		wg.Go(func() {
			for !over.Load() {
				status, h, body := r.get("/")
				v := h.Get("X-Swap")
				if status != 200 || v == "" || !strings.Contains(body, "X-Swap: "+v+"\n") {
					t.Errorf("%d: the response says %q, the request %q", status, v, body)
					return
				}
				mu.Lock()
				versions[v]++
				mu.Unlock()
			}
		})
	}
	for i := range 12 {
		mode := fmt.Sprint("swap ", i)
		if i%4 == 3 {
			mode = "refuse"
		}
		r.write("routes.hcl", routes(files[i/2%2], mode))
		if err := r.g.Reload(t.Context()); (err != nil) != (mode == "refuse") {
			t.Errorf("reload %d: %v", i, err)
		}
		for deadline := time.Now().Add(50 * time.Millisecond); time.Now().Before(deadline); {
			if _, h, _ := r.get("/"); mode != "refuse" && h.Get("X-Swap") != mode {
				t.Errorf("after reload %d: %q", i, h.Get("X-Swap"))
			}
		}
	}
	over.Store(true)
	wg.Wait()
	if len(versions) < 9 {
		t.Errorf("clients saw %v", versions)
	}
}

func TestProxyWasmRefused(t *testing.T) {
	wasm := hosttest.BuildGo(t, filepath.Join("..", "..", "host", "abi", "proxywasm"), "./testdata/guest")
	r := start(t, map[string]string{"routes.hcl": respond("old")})
	for name, c := range map[string]struct{ plugin, filter, want string }{
		"configuration": {"", `config = "refuse"`, "proxy_on_configure returned false"},
		"machine":       {`vm_config = "refuse"`, "", "proxy_on_vm_start returned false"},
	} {
		r.write("routes.hcl", fmt.Sprintf("plugin \"p\" {\n source = %q\n %s\n}\nroute \"r\" {\n path = \"/\"\n filter \"p\" { %s }\n respond { body = \"new\" }\n}\n", wasm, c.plugin, c.filter))
		if err := r.g.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, body := r.get("/"); body != "old" {
			t.Errorf("%s: got %q", name, body)
		}
	}
}
