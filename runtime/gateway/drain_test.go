package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// post sends an order to the admin API.
func (r *rig) post(path string) (status int, body string) {
	r.t.Helper()
	res, err := http.Post("http://"+r.g.Addrs()["admin"].String()+path, "", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestDrainEndpoint(t *testing.T) {
	checkLeaks(t)
	name := func(n string) string {
		return backend(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, n) })
	}
	a, b := name("a"), name("b")
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "u" {
  for_each = { x = "" }
  endpoint %q {}
  endpoint %q {}
}
route "all" {
  upstream = upstream.u["x"]
}
`, a, b)})
	answers := func(want string) {
		t.Helper()
		got := map[string]bool{}
		for range 20 {
			_, _, body := r.get("/")
			got[body] = true
		}
		for _, n := range strings.Fields(want) {
			if !got[n] {
				t.Errorf("no answer of %s", n)
			}
			delete(got, n)
		}
		if len(got) > 0 {
			t.Errorf("answers of %v", got)
		}
	}
	at := func(address, what string) string {
		return "/upstreams/" + url.PathEscape(`u["x"]`) + "/endpoints/" + url.PathEscape(address) + "/" + what
	}
	answers("a b")
	if status, body := r.post(at(a, "drain")); status != 200 || !strings.Contains(body, `"drained"`) {
		t.Errorf("got %d %s", status, body)
	}
	answers("b")
	r.reload()
	answers("b")
	if status, body := r.post(at("10.0.0.9:1", "drain")); status != 404 || !strings.Contains(body, a) {
		t.Errorf("got %d %s", status, body)
	}
	if status, body := r.post(at(a, "undrain")); status != 200 || strings.Contains(body, `"drained"`) {
		t.Errorf("got %d %s", status, body)
	}
	answers("a b")
	if !strings.Contains(r.log.String(), "endpoint is out") {
		t.Error("nothing in the log")
	}
}
