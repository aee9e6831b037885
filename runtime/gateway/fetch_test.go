package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/host/hosttest"
)

// keys is the service that the example plugin lookup asks.
func keys(t *testing.T) (addr string, asked *atomic.Int64) {
	asked = &atomic.Int64{}
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch key := strings.TrimPrefix(r.URL.Path, "/keys/"); key {
		case "k1":
			if r.Header.Get("X-Request-Id") == "" || r.Method != "GET" {
				w.WriteHeader(400)
				return
			}
			w.Header().Set("Set-Cookie", "a=b")
			fmt.Fprintf(w, "ada at %s\n", r.Host)
		case "slow":
			select {
			case <-time.After(5 * time.Second):
			case <-r.Context().Done():
			}
		case "broken":
			panic(http.ErrAbortHandler)
		case "large":
			io.WriteString(w, strings.Repeat("x", 40<<20))
		case "error":
			w.WriteHeader(500)
		default:
			w.WriteHeader(404)
		}
	}), asked
}

// lookups starts a gateway with a route for each case, whose plugin may fetch from
// what allow says, and asks from.
func lookups(t *testing.T, keys string, cases map[string]lookupCase) *rig {
	wasm := hosttest.BuildGo(t, filepath.Join("..", "..", "sdk", "go"), "./examples/lookup")
	echo := backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("X-User")) })
	var b strings.Builder
	fmt.Fprintf(&b, `
upstream "keys" {
  endpoint %q {}
  timeout = "300ms"
}
upstream "other" {
  endpoint %q {}
}
upstream "app" {
  endpoint %q {}
}
`, keys, keys, echo)
	for name, c := range cases {
		fmt.Fprintf(&b, `
plugin %q {
  source = %q
  allow {
    fetch = [%s]
    %s
  }
}
route %q {
  path = "/%s"
  filter %q {
    from = %q
    %s
  }
  upstream = upstream.app
}
`, name, wasm, c.allow, c.state, name, name, name, c.from, c.more)
	}
	return start(t, map[string]string{"routes.hcl": b.String()})
}

type lookupCase struct {
	allow, from string
	status      int
	log         string

	state, more string // further grants and settings
}

func TestFetch(t *testing.T) {
	checkLeaks(t)
	addr, asked := keys(t)
	cases := map[string]lookupCase{
		"granted":        {"upstream.keys", "upstream://keys/keys/", 200, "", "", ""},
		"nothing":        {"", "upstream://keys/keys/", 500, "allow.fetch does not name it", "", ""},
		"another":        {"upstream.other", "upstream://keys/keys/", 500, "allow.fetch does not name it", "", ""},
		"origin":         {`"http://` + addr + `"`, "http://" + addr + "/keys/", 200, "", "", ""},
		"another-origin": {`"http://` + addr + `"`, "http://127.0.0.1:1/keys/", 500, "allow.fetch does not name it", "", ""},
		"other-way":      {"upstream.keys", "http://" + addr + "/keys/", 500, "allow.fetch does not name it", "", ""},
		"no-url":         {"upstream.keys", "keys", 500, "not a request that can be sent", "", ""},
	}
	cases["no-state"] = lookupCase{"upstream.keys", "upstream://keys/keys/", 500, "allow.state does not name the namespace", `state = ["others"]`, "cache_seconds = 60"}
	cases["cached"] = lookupCase{"upstream.keys", "upstream://keys/keys/", 200, "", `state = ["lookup"]`, "cache_seconds = 60\n    per_minute = 5"}
	r := lookups(t, addr, cases)
	for name, c := range cases {
		before, logged := asked.Load(), len(r.log.String())
		status, _, _ := r.get("/"+name, "X-Api-Key: k1")
		if status != c.status || !strings.Contains(r.log.String()[logged:], c.log) || (asked.Load() > before) != (status == 200) {
			t.Errorf("%s: got %d, log\n%s", name, status, r.log.String()[logged:])
		}
	}
	for _, c := range []struct {
		key    string
		status int
		body   string
	}{
		{"k1", 200, "ada at keys"}, {"", 401, "who are you?\n"}, {"nobody", 403, "nobody has that key\n"},
		{"slow", 500, ""}, {"broken", 500, ""}, {"large", 500, ""}, {"error", 500, ""}, {"k1", 200, "ada at keys"},
	} {
		status, _, body := r.get("/granted", "X-Api-Key: "+c.key)
		if status != c.status || c.body != "" && body != c.body {
			t.Errorf("%s: got %d %q, want %d %q", c.key, status, body, c.status, c.body)
		}
	}
	for _, want := range []string{"asking for the key: no answer in time", "asking for the key: the answer is too large", "asking for the key: status 500", "asking for the key: no answer; the gateway's log says why"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if text := r.admin("/metrics"); strings.Contains(text, "headgate_plugin_traps_total{") {
		t.Error("a fetch that fails costs an instance")
	}
	text := r.admin("/metrics")
	for _, want := range []string{`headgate_plugin_denials_total{plugin="nothing"} 1`, `headgate_plugin_quarantined{plugin="granted"} 0`, `headgate_plugin_busy_instances{plugin="granted"} 0`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	for _, less := range []string{`headgate_plugin_calls_total{plugin="granted"} 0`, `headgate_plugin_fuel_total{plugin="granted"} 0`, `headgate_plugin_memory_bytes{plugin="granted"} 0`} {
		if strings.Contains(text, less) {
			t.Errorf("it says %s", less)
		}
	}
	if text := r.admin("/plugins"); !strings.Contains(text, `"denials"`) || !strings.Contains(text, `"fuel"`) {
		t.Errorf("plugins: %s", text)
	}
	r.reload()
	asked.Store(0)
	for i, want := range []int{200, 200, 200, 200, 429, 429} { // one of five was before
		status, h, _ := r.get("/cached", "X-Api-Key: k1")
		if status != want || (h.Get("Retry-After") != "") != (want == 429) {
			t.Errorf("request %d: %d, Retry-After %q", i, status, h.Get("Retry-After"))
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("what is remembered is asked for %d times", n)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if status, _, body := r.get("/granted", "X-Api-Key: k1"); status != 200 || body != "ada at keys" {
					t.Errorf("got %d %q", status, body)
				}
			}
		})
	}
	wg.Wait()
}
