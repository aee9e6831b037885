package gateway_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What clients get of an endpoint over TLS, by the protocols of both.
func TestUpstreamALPN(t *testing.T) {
	checkLeaks(t)
	for _, c := range []struct {
		protocol string
		h2       bool
		status   int
		want     string // of the body, or of the log
	}{
		{"h2", true, 200, "HTTP/2.0 true"},
		{"auto", true, 200, "HTTP/2.0 true"},
		{"auto", false, 200, "HTTP/1.1 true"},
		{"http/1.1", true, 200, "HTTP/1.1 true"},
		{"h2", false, 502, "no application protocol"},
	} {
		t.Run(fmt.Sprint(c.protocol, " ", c.h2), func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.Proto, " ", r.TLS != nil)
			}))
			s.EnableHTTP2, s.Config.ErrorLog = c.h2, log.New(io.Discard, "", 0)
			s.StartTLS()
			t.Cleanup(s.Close)
			r := start(t, map[string]string{"main.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
  protocol = %q
  tls {
    insecure_skip_verify = true
  }
}
route "all" {
  upstream = upstream.b
}
`, s.Listener.Addr().String(), c.protocol)})
			status, _, body := r.get("/")
			if status != c.status || status == 200 && body != c.want {
				t.Errorf("got %d %q", status, body)
			}
			if status != 200 { // the line follows the answer
				eventually(t, "a line with "+c.want, func() bool { return strings.Contains(r.log.String(), c.want) })
			}
		})
	}
}
