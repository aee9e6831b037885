package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/gateway"
)

// Who a request is from, as the backend is told and as the gateway believes, over
// real sockets from addresses of the loopback network: 127.0.0.9 is a trusted
// proxy, all others are anybody.
func TestForwardingHeaders(t *testing.T) {
	checkLeaks(t)
	b := &scriptedBackend{}
	addr := b.listen(t)
	r := &rig{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	r.write("main.hcl", fmt.Sprintf(`
gateway {
  trusted_proxies = ["127.0.0.9/32", "10.0.0.0/8", "fd00::/8"]
  admin {
    address = "off"
  }
}
listener "main" {
  address   = "127.0.0.1:0"
  protocols = ["http/1.1", "h2"]
}
upstream "b" {
  endpoint %q {}
}
route "all" {
  upstream = upstream.b
  response_headers {
    set = { x-remote = request.remote_ip, x-scheme = request.scheme }
  }
}
`, addr))
	g, err := gateway.Start(context.Background(), r.options())
	if err != nil {
		t.Fatal(err)
	}
	port := g.Addrs()["main"].(*net.TCPAddr).Port
	const anybody, proxy = "127.0.0.5", "127.0.0.9"
	// What the backend gets of an untrusted client whatever it sends.
	honest := "X-Forwarded-For: 127.0.0.5|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"
	id := "0a1b2c3d-trusted"
	for _, c := range []struct {
		name, from, fields string // fields with | between them
		remote, scheme     string
		want               string
	}{
		{"anybody says nothing", anybody, "", anybody, "http", honest},
		{"anybody claims an address", anybody, "X-Forwarded-For: 10.0.0.1", anybody, "http", honest},
		{"anybody claims to be a proxy", anybody, "X-Forwarded-For: 127.0.0.9", anybody, "http", honest},
		{"anybody claims many", anybody, "X-Forwarded-For: 1.1.1.1|x-forwarded-for: 2.2.2.2, 3.3.3.3|X-FORWARDED-FOR: 4.4.4.4", anybody, "http", honest},
		{"anybody claims TLS", anybody, "X-Forwarded-Proto: https|X-Forwarded-Port: 443", anybody, "http", honest},
		{"anybody claims a host", anybody, "X-Forwarded-Host: evil", anybody, "http", honest},
		{"anybody sends Forwarded", anybody, "Forwarded: for=10.0.0.1;proto=https;host=evil;by=x", anybody, "http", honest},
		{"anybody sends Forwarded twice", anybody, "Forwarded: for=10.0.0.1|forwarded: for=10.0.0.2", anybody, "http", honest},
		{"anybody sends a certificate", anybody, "X-Forwarded-Client-Cert: Subject=\"CN=admin\"", anybody, "http", honest},
		{"anybody sends an id", anybody, "X-Request-Id: " + id, anybody, "http",
			"x-request-id: new|X-Forwarded-For: 127.0.0.5|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT"},
		{"anybody uses underscores", anybody, "X_Forwarded_For: 10.0.0.1|x_forwarded_proto: https|X-Forwarded_Host: evil|X_Forwarded-Port: 1|X_Forwarded_Client_Cert: x", anybody, "http", honest},
		{"anybody hides what is added", anybody, "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Port, X-Request-Id", anybody, "http", honest},
		{"what is not ours passes", anybody, "X-Real-IP: 10.0.0.1|Via: 1.1 x", anybody, "http", "X-Real-IP: 10.0.0.1|Via: 1.1 x|" + honest},

		{"a proxy says nothing", proxy, "", proxy, "http",
			"X-Forwarded-For: 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"},
		{"a proxy tells the client", proxy, "X-Forwarded-For: 203.0.113.1", "203.0.113.1", "http",
			"X-Forwarded-For: 203.0.113.1, 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"},
		{"a proxy behind proxies", proxy, "X-Forwarded-For: 203.0.113.1, 10.0.0.7", "203.0.113.1", "http",
			"X-Forwarded-For: 203.0.113.1, 10.0.0.7, 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"},
		{"a client lies to a proxy", proxy, "X-Forwarded-For: 10.0.0.66, 203.0.113.1", "203.0.113.1", "http",
			"X-Forwarded-For: 10.0.0.66, 203.0.113.1, 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"},
		{"a client lies to a proxy, in a line of its own", proxy, "X-Forwarded-For: 10.0.0.66|X-Forwarded-For: 203.0.113.1", "203.0.113.1", "http",
			"X-Forwarded-For: 10.0.0.66|X-Forwarded-For: 203.0.113.1, 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"},
		{"IPv6 with a port", proxy, "X-Forwarded-For: [2001:db8::1]:5", "2001:db8::1", "http",
			"X-Forwarded-For: [2001:db8::1]:5, 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"},
		{"IPv4 in IPv6", proxy, "X-Forwarded-For: ::ffff:203.0.113.1", "203.0.113.1", "http",
			"X-Forwarded-For: ::ffff:203.0.113.1, 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"},
		{"no address", proxy, "X-Forwarded-For: unknown", proxy, "http",
			"X-Forwarded-For: unknown, 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"},
		{"a proxy ends TLS", proxy, "X-Forwarded-Proto: https|X-Forwarded-Host: shop.example|X-Forwarded-Port: 443", proxy, "https",
			"X-Forwarded-Proto: https|X-Forwarded-Host: shop.example|X-Forwarded-Port: 443|X-Forwarded-For: 127.0.0.9|x-request-id: new"},
		{"a scheme that is none", proxy, "X-Forwarded-Proto: gopher", proxy, "http",
			"X-Forwarded-Proto: gopher|X-Forwarded-For: 127.0.0.9|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"},
		{"a proxy sends Forwarded", proxy, `Forwarded: for=203.0.113.1;proto=https`, "203.0.113.1", "https",
			`Forwarded: for=203.0.113.1;proto=https, for=127.0.0.9;host="a";proto=http|X-Forwarded-For: 203.0.113.1, 127.0.0.9|X-Forwarded-Proto: https|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new`},
		{"Forwarded with IPv6 and a port", proxy, `Forwarded: By=x;For="[2001:db8::1]:99";host=h`, "2001:db8::1", "http",
			`Forwarded: By=x;For="[2001:db8::1]:99";host=h, for=127.0.0.9;host="a";proto=http|X-Forwarded-For: 2001:db8::1, 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new`},
		{"a client lies in Forwarded", proxy, `Forwarded: for=10.0.0.66;proto=https, for=203.0.113.1, for=10.0.0.7;proto=https`, "203.0.113.1", "http",
			`Forwarded: for=10.0.0.66;proto=https, for=203.0.113.1, for=10.0.0.7;proto=https, for=127.0.0.9;host="a";proto=http|X-Forwarded-For: 203.0.113.1, 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new`},
		{"Forwarded in two lines", proxy, `Forwarded: for=10.0.0.66|Forwarded: for=203.0.113.1;proto=https`, "203.0.113.1", "https",
			`Forwarded: for=10.0.0.66|Forwarded: for=203.0.113.1;proto=https, for=127.0.0.9;host="a";proto=http|X-Forwarded-For: 203.0.113.1, 127.0.0.9|X-Forwarded-Proto: https|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new`},
		{"a comma in quotes in Forwarded", proxy, `Forwarded: for=203.0.113.1;host="a, for=10.0.0.1"`, "203.0.113.1", "http",
			`Forwarded: for=203.0.113.1;host="a, for=10.0.0.1", for=127.0.0.9;host="a";proto=http|X-Forwarded-For: 203.0.113.1, 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new`},
		{"a hidden name in Forwarded", proxy, `Forwarded: for=_hidden;proto=https`, "127.0.0.9", "http",
			`Forwarded: for=_hidden;proto=https, for=127.0.0.9;host="a";proto=http|X-Forwarded-For: 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new`},
		{"a quote without end in Forwarded", proxy, `Forwarded: for=203.0.113.1;host="a`, "127.0.0.9", "http",
			`Forwarded: for=203.0.113.1;host="a, for=127.0.0.9;host="a";proto=http|X-Forwarded-For: 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new`},
		{"two clients in one element", proxy, `Forwarded: for=203.0.113.1;for=10.0.0.1`, "127.0.0.9", "http",
			`Forwarded: for=203.0.113.1;for=10.0.0.1, for=127.0.0.9;host="a";proto=http|X-Forwarded-For: 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new`},
		{"no client in Forwarded", proxy, `Forwarded: proto=https`, "127.0.0.9", "http",
			`Forwarded: proto=https, for=127.0.0.9;host="a";proto=http|X-Forwarded-For: 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new`},
		{"no pair in Forwarded", proxy, `Forwarded: 203.0.113.1`, "127.0.0.9", "http",
			`Forwarded: 203.0.113.1, for=127.0.0.9;host="a";proto=http|X-Forwarded-For: 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new`},
		{"X-Forwarded-For before Forwarded", proxy, "Forwarded: for=6.6.6.6;proto=https|X-Forwarded-For: 203.0.113.1", "203.0.113.1", "http",
			`Forwarded: for=6.6.6.6;proto=https, for=127.0.0.9;host="a";proto=http|X-Forwarded-For: 203.0.113.1, 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new`},
		{"a proxy sends a certificate", proxy, "X-Forwarded-Client-Cert: Hash=1", proxy, "http",
			"X-Forwarded-Client-Cert: Hash=1|X-Forwarded-For: 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"},
		{"a proxy sends an id", proxy, "X-Request-Id: " + id, proxy, "http",
			"X-Request-Id: " + id + "|X-Forwarded-For: 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT"},
		{"a proxy sends an endless id", proxy, "X-Request-Id: " + strings.Repeat("x", 200), proxy, "http",
			"x-request-id: new|X-Forwarded-For: 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT"},
		{"a proxy uses underscores", proxy, "X_Forwarded_For: 203.0.113.1", proxy, "http",
			"X-Forwarded-For: 127.0.0.9|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Forwarded-Port: PORT|x-request-id: new"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, seen := b.ask(t, c.from, port, c.fields)
			if got := res.Header.Get("X-Remote") + " " + res.Header.Get("X-Scheme"); got != c.remote+" "+c.scheme {
				t.Errorf("the gateway takes it for %s, want %s %s", got, c.remote, c.scheme)
			}
			seen = strings.ReplaceAll(seen, fmt.Sprint("X-Forwarded-Port: ", port), "X-Forwarded-Port: PORT")
			if given := res.Header.Get("X-Request-Id"); strings.Contains(seen, given) && uuid.MatchString(given) {
				seen = regexp.MustCompile(`(?i)x-request-id: `+given).ReplaceAllString(seen, "x-request-id: new")
			}
			seen, ours := strings.CutSuffix(seen, "|Via: 1.1 headgate")
			if !ours {
				t.Errorf("no Via of ours in %s", seen)
			}
			if seen != c.want {
				t.Errorf("the backend sees\n%s\nwant\n%s", seen, c.want)
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := g.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	b.seen(t)
}

// ask sends a request with these fields from an address, and returns what fields
// the backend got of it behind Host.
func (b *scriptedBackend) ask(t *testing.T, from string, port int, fields string) (*http.Response, string) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	nc, err := d.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	if fields != "" {
		fields = strings.ReplaceAll(fields, "|", "\r\n") + "\r\n"
	}
	fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n", fields)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	return res, b.last
}
