package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// streaming configures a route for each way in which the test plugin changes bodies
// that pass it, with limits for the instances.
func streaming(t *testing.T, addr string, ways ...string) string {
	t.Helper()
	text := fmt.Sprintf("upstream \"echo\" {\n  endpoint %q {}\n}\n", addr) +
		strings.Replace(probePlugin(t, "stream", "stream", ""), "allow {", "concurrency = 4\n  limits {\n    memory = \"16MiB\"\n    instances = 4\n    cpu = \"500ms\"\n  }\n  allow {", 1)
	for _, way := range ways {
		text += fmt.Sprintf("route %[1]q {\n  path = \"/%[1]s\"\n  filter \"stream\" {\n    what = %[1]q\n  }\n  upstream = upstream.echo\n}\n", way)
	}
	return text
}

func TestChunks(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Late", r.Header.Get("X-Late"))
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		_, _ = w.Write(body)
	})
	r := start(t, map[string]string{"routes.hcl": streaming(t, addr, "nothing", "upper", "lines", "hold", "first", "fail", "panic", "edit")})
	long := strings.Repeat("A line of text.\n", 40_000)
	for _, c := range []struct {
		way, body string
		status    int
		want      string
	}{
		{"nothing", "", 200, ""}, {"nothing", "abc", 200, "abc"}, {"nothing", long, 200, long},
		{"upper", "", 200, ""}, {"upper", "abc", 200, "ABC"}, {"upper", long, 200, strings.ToUpper(long)},
		{"lines", "abc\nde", 200, "ABC\nDE"}, {"lines", long, 200, strings.ToUpper(long)},
		{"hold", long, 200, long},
		{"first", "abc", 200, "abc"}, {"first", "0123456789abc", 200, "0123456789"}, {"first", long, 200, long[:10]},
		{"fail", "abc", 500, ""}, {"panic", "abc", 500, ""}, {"edit", "abc", 500, ""},
	} {
		status, h, body := r.do("POST", "/"+c.way, c.body)
		if status != c.status || c.status == 200 && body != c.want || h.Get("X-Late") != "" {
			t.Errorf("%s of %d bytes: got %d and %d bytes %.40q", c.way, len(c.body), status, len(body), body)
		}
	}
	if n := strings.Count(r.admin("/metrics"), `headgate_plugin_busy_instances{plugin="stream"} 0`); n != 1 {
		t.Error("instances stay busy")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if status, _, body := r.do("POST", "/lines", long); status != 200 || body != strings.ToUpper(long) {
					t.Errorf("at once: got %d and %d bytes", status, len(body))
				}
			}
		})
	}
	wg.Wait()
	// The connection may end with this one.
	if status, _, _ := r.do("POST", "/hold", strings.Repeat("x", 17<<20)); status != 413 {
		t.Errorf("more than the memory: got %d", status)
	}
}

// What an upstream sends passes while it is at it.
func TestChunksAreNotBuffered(t *testing.T) {
	checkLeaks(t)
	seen := make(chan struct{})
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, "event\n")
			w.(http.Flusher).Flush()
			select {
			case <-seen:
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Second):
				t.Error("it did not arrive")
				return
			}
		}
	})
	r := start(t, map[string]string{"routes.hcl": streaming(t, addr, "upper")})
	res, err := http.Get(r.base + "/upper")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for range 3 {
		p := make([]byte, 6)
		if _, err := io.ReadFull(res.Body, p); err != nil || string(p) != "EVENT\n" {
			t.Fatalf("%q %v", p, err)
		}
		seen <- struct{}{}
	}
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
}
