package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
)

// named starts endpoints that answer with their names.
func named(t *testing.T, names ...string) (addrs []string) {
	for _, n := range names {
		addrs = append(addrs, backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, n) }))
	}
	return addrs
}

func TestAffinity(t *testing.T) {
	checkLeaks(t)
	addrs := named(t, "one", "two", "three")
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
  endpoint %q {}
  endpoint %q {}
  balance = "round_robin"
  affinity {
    cookie = "at"
    ttl    = "1h"
  }
}
route "all" {
  upstream = upstream.b
}
`, addrs[0], addrs[1], addrs[2])})
	get := func(c *http.Client) (body string, cookie string) {
		t.Helper()
		res, err := c.Get(r.base)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res.StatusCode, err)
		}
		return string(b), strings.Join(res.Header.Values("Set-Cookie"), "|")
	}
	seen := map[string]bool{}
	for range 6 { // clients
		jar, _ := cookiejar.New(nil)
		c := &http.Client{Jar: jar}
		first, cookie := get(c)
		if !strings.HasPrefix(cookie, "at=") || !strings.HasSuffix(cookie, "; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600") {
			t.Errorf("Set-Cookie: %s", cookie)
		}
		for _, a := range addrs {
			if strings.Contains(cookie, a) {
				t.Errorf("the cookie tells the address: %s", cookie)
			}
		}
		seen[first] = true
		for range 5 {
			if again, cookie := get(c); again != first || cookie != "" {
				t.Errorf("sent to %s after %s, Set-Cookie %q", again, first, cookie)
			}
		}
		r.reload()
		if again, _ := get(c); again != first {
			t.Errorf("sent to %s after %s and a reload", again, first)
		}
		c.CloseIdleConnections()
	}
	if len(seen) < 2 { // a reload begins anywhere
		t.Errorf("clients went to %v", seen)
	}
	jar, _ := cookiejar.New(nil)
	c := &http.Client{Jar: jar}
	first, _ := get(c)
	i := map[string]int{"one": 0, "two": 1, "three": 2}[first]
	if status, body := r.post("/upstreams/b/endpoints/" + addrs[i] + "/drain"); status != 200 {
		t.Fatal(status, body)
	}
	second, cookie := get(c)
	if second == first || cookie == "" {
		t.Errorf("a drained endpoint: sent to %s after %s, Set-Cookie %q", second, first, cookie)
	}
	if third, _ := get(c); third != second {
		t.Errorf("then to %s", third)
	}
	c.CloseIdleConnections()
	if status, h, _ := r.get("/", "Cookie: at=x; at=\"y\""); status != 200 || h.Get("Set-Cookie") == "" {
		t.Error("a cookie that nobody gave")
	}
}

// The same value goes to the same endpoint, whoever sends it.
func TestHashOn(t *testing.T) {
	checkLeaks(t)
	addrs := named(t, "one", "two", "three")
	for _, balance := range []string{"ring_hash", "maglev"} {
		t.Run(balance, func(t *testing.T) {
			r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
  endpoint %q {}
  endpoint %q {}
  balance = %q
  hash_on = "${request.header["x-user"]}/${request.host}"
}
route "all" {
  upstream = upstream.b
}
`, addrs[0], addrs[1], addrs[2], balance)})
			seen := map[string]bool{}
			for i := range 100 { // a ring of three is uneven
				user := fmt.Sprint("user", i)
				_, _, first := r.get("/", "X-User: "+user)
				seen[first] = true
				for range 3 {
					if _, _, again := r.get("/a", "X-User: "+user); again != first {
						t.Errorf("%s was sent to %s after %s", user, again, first)
					}
				}
			}
			if len(seen) != 3 {
				t.Errorf("users went to %v", seen)
			}
		})
	}
}
