package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// eventBackend sends the event "data: N" at /events for each number that the
// test puts into next, ends the stream when next is closed, and tells when its
// client is gone. /poll answers with the next number. /plain is a stream of
// unknown length that is no event stream.
type eventBackend struct {
	next chan int
	gone chan struct{}
}

func (b *eventBackend) serve(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/poll" {
		select {
		case n := <-b.next:
			fmt.Fprint(w, n)
		case <-req.Context().Done():
			b.gone <- struct{}{}
		}
		return
	}
	if req.URL.Path == "/events" {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	out := http.NewResponseController(w)
	_ = out.Flush() // the head is sent before there is an event
	for {
		select {
		case n, ok := <-b.next:
			if !ok {
				return
			}
			fmt.Fprintf(w, "data: %d\n\n", n)
			_ = out.Flush()
		case <-req.Context().Done():
			b.gone <- struct{}{}
			return
		}
	}
}

// filtered is a configuration with a plugin and a policy in front of addr.
func filtered(addr string) map[string]string {
	files := to(addr, `
  filter "mark" {}
  filter "policy" {
    policy = policy.role
  }
  response_headers {
    set = { x-edited = "yes" }
  }
`)
	files["routes.hcl"] += `
plugin "mark" {
  source = "good.wasm"
  limits {
    cpu = "4s" # machines that test are busy
  }
}
policy "role" {
  rego     = ["role.rego"]
  decide   = "data.role.decision"
  deadline = "10s"
}
`
	files["good.wasm"], files["role.rego"] = guest("good", goOn), roleRego
	return files
}

// streamClients are clients of both protocols.
func streamClients(t testing.TB) map[string]*http.Client {
	all := map[string]*http.Client{}
	for _, name := range []string{"HTTP/1.1", "h2c"} {
		tr := &http.Transport{Protocols: &http.Protocols{}}
		tr.Protocols.SetHTTP1(name == "HTTP/1.1")
		tr.Protocols.SetUnencryptedHTTP2(name == "h2c")
		t.Cleanup(tr.CloseIdleConnections)
		all[name] = &http.Client{Transport: tr}
	}
	return all
}

// overStreams runs f for each protocol, with filters and without.
func overStreams(t *testing.T, f func(t *testing.T, b *eventBackend, get func(context.Context, string) *http.Response)) {
	for _, withFilters := range []bool{false, true} {
		for _, protocol := range []string{"HTTP/1.1", "h2c"} {
			t.Run(fmt.Sprintf("%s filters %v", protocol, withFilters), func(t *testing.T) {
				checkResources(t)
				b := &eventBackend{make(chan int), make(chan struct{}, 1)}
				addr := backend(t, b.serve)
				files := to(addr, "")
				if withFilters {
					files = filtered(addr)
				}
				r := start(t, files)
				client := streamClients(t)[protocol]
				var bodies []io.Closer
				f(t, b, func(ctx context.Context, path string) *http.Response {
					t.Helper()
					req, err := http.NewRequestWithContext(ctx, "GET", r.base+path, nil)
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("X-Role", "reader")
					res, err := client.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					bodies = append(bodies, res.Body)
					if res.StatusCode != 200 || withFilters != (res.Header.Get("X-Plugin") == "good") || withFilters != (res.Header.Get("X-Edited") == "yes") {
						t.Fatalf("got %d %v", res.StatusCode, res.Header)
					}
					return res
				})
				for _, body := range bodies {
					body.Close()
				}
				client.CloseIdleConnections()
				r.settled()
			})
		}
	}
}

// Each event arrives before the next one exists.
func TestEventsAreNotBuffered(t *testing.T) {
	overStreams(t, func(t *testing.T, b *eventBackend, get func(context.Context, string) *http.Response) {
		for _, path := range []string{"/events", "/plain"} {
			b.next = make(chan int)
			res := get(deadline(t, 10*time.Second), path)
			in := bufio.NewReader(res.Body)
			for n := range 50 {
				b.next <- n
				if line, err := in.ReadString('\n'); err != nil || strings.TrimSpace(line) != fmt.Sprintf("data: %d", n) {
					t.Fatalf("event %d: %q %v", n, line, err)
				}
				_, _ = in.ReadString('\n')
			}
			close(b.next)
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				t.Errorf("behind the last event: %q %v", rest, err)
			}
		}
	})
}

func TestLongPolls(t *testing.T) {
	overStreams(t, func(t *testing.T, b *eventBackend, get func(context.Context, string) *http.Response) {
		for n := range 3 {
			go func() {
				if n == 1 && !strings.HasSuffix(t.Name(), "true") { // longer than the engine waits at a time
					time.Sleep(1200 * time.Millisecond)
				}
				b.next <- n
			}()
			res := get(deadline(t, 10*time.Second), "/poll")
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != fmt.Sprint(n) {
				t.Errorf("poll %d: %q %v", n, body, err)
			}
		}
	})
}

// A backend learns that its client left, whether or not it has anything to send.
func TestClientLeavesEvents(t *testing.T) {
	overStreams(t, func(t *testing.T, b *eventBackend, get func(context.Context, string) *http.Response) {
		ctx, leave := context.WithCancel(deadline(t, 10*time.Second))
		res := get(ctx, "/events")
		in := bufio.NewReader(res.Body)
		b.next <- 1
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		leave()
		b.awaitGone(t)
	})
}

func (b *eventBackend) awaitGone(t *testing.T) {
	t.Helper()
	select {
	case <-b.gone:
	case <-time.After(5 * time.Second):
		t.Error("the backend still works for a client that left")
	}
}
