package gateway_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// greeter is a backend that says its name first, then echoes until its client
// ends, and says how much it was.
func greeter(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				fmt.Fprintf(c, "%s\n", name)
				n, _ := io.Copy(c, c)
				fmt.Fprintf(c, "\n%d bytes\n", n)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

func (r *rig) raw(listener string) (*net.TCPConn, *bufio.Reader) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.g.Addrs()[listener].String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c.(*net.TCPConn), bufio.NewReader(c)
}

func (r *rig) line(in *bufio.Reader) string {
	r.t.Helper()
	s, err := in.ReadString('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(s)
}

const rawListener = `
listener "raw" {
  address = "127.0.0.1:0"
  tcp { upstream = upstream.db }
}
upstream "db" {
  balance = "round_robin"
  %s
}
`

func endpoints(addresses ...string) string {
	var b strings.Builder
	for _, a := range addresses {
		fmt.Fprintf(&b, "endpoint %q {}\n", a)
	}
	return b.String()
}

// TestTCPListener passes bytes on both ways, with the server speaking first, a
// half-close, and a reload under a live connection.
func TestTCPListener(t *testing.T) {
	one, two := greeter(t, "one"), greeter(t, "two")
	r := start(t, map[string]string{"raw.hcl": fmt.Sprintf(rawListener, endpoints(one))})
	c, in := r.raw("raw")
	if got := r.line(in); got != "one" {
		t.Fatalf("got %q", got)
	}
	r.write("raw.hcl", fmt.Sprintf(rawListener, endpoints(two)))
	r.reload()
	d, din := r.raw("raw")
	if got := r.line(din); got != "two" {
		t.Errorf("after the reload: %q", got)
	}
	d.Close()
	const size = 3 << 20
	go func() {
		_, _ = io.Copy(c, io.LimitReader(zeros{}, size))
		_ = c.CloseWrite()
	}()
	p, err := io.ReadAll(in)
	if want := fmt.Sprintf("\n%d bytes\n", size); err != nil || len(p) != size+len(want) || !strings.HasSuffix(string(p), want) {
		t.Errorf("got %d bytes, %v", len(p), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestTCPConnectFails tries another endpoint, and closes when there is none.
func TestTCPConnectFails(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	live := greeter(t, "live")
	r := start(t, map[string]string{"raw.hcl": fmt.Sprintf(rawListener, endpoints(dead.Addr().String(), live))})
	for range 4 {
		_, in := r.raw("raw")
		if got := r.line(in); got != "live" {
			t.Errorf("got %q", got)
		}
	}
	r.write("raw.hcl", fmt.Sprintf(rawListener, endpoints(dead.Addr().String())))
	r.reload()
	_, in := r.raw("raw")
	if p, err := io.ReadAll(in); len(p) > 0 || err != nil {
		t.Errorf("with no endpoint: %q, %v", p, err)
	}
}

func TestTCPStreamIdle(t *testing.T) {
	r := start(t, map[string]string{"raw.hcl": strings.Replace(fmt.Sprintf(rawListener, endpoints(greeter(t, "x"))),
		"tcp {", "timeouts { stream_idle = \"100ms\" }\n  tcp {", 1)})
	_, in := r.raw("raw")
	r.line(in)
	if _, err := io.ReadAll(in); err != nil {
		t.Errorf("the idle connection ended with %v", err)
	}
}

// TestTCPDrain cuts what did not end within the drain.
func TestTCPDrain(t *testing.T) {
	r := start(t, map[string]string{"raw.hcl": fmt.Sprintf(rawListener, endpoints(greeter(t, "x")))})
	c, in := r.raw("raw")
	r.line(in)
	r.write("raw.hcl", "") // drops the listener: the connection goes on
	r.reload()
	fmt.Fprintln(c, "hello")
	if got := r.line(in); got != "hello" {
		t.Errorf("got %q", got)
	}
	_ = c.CloseWrite()
	if p, err := io.ReadAll(in); err != nil || string(p) != "\n6 bytes\n" {
		t.Errorf("%q %v", p, err)
	}
}

// TestSNI sends TLS handshakes to the backend of their server name.
func TestSNI(t *testing.T) {
	backend := func(name string) string {
		s := httptest.NewTLSServer(nil)
		s.Close() // for its certificate
		l, err := tls.Listen("tcp", "127.0.0.1:0", s.TLS)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		all.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				all.Go(func() {
					fmt.Fprintf(c, "%s\n", name)
					c.Close()
				})
			}
		})
		t.Cleanup(func() {
			l.Close()
			all.Wait()
		})
		return l.Addr().String()
	}
	sni := `
listener "raw" {
  address = "127.0.0.1:0"
  tcp {
    %s
    sni "db.example.com" { upstream = upstream.db }
    sni "*.example.com" { upstream = upstream.any }
    sni "*.b.example.com" { upstream = upstream.b }
  }
}
`
	var upstreams strings.Builder
	for _, n := range []string{"db", "any", "b", "rest"} {
		fmt.Fprintf(&upstreams, "upstream %q {\n %s }\n", n, endpoints(backend(n)))
	}
	r := start(t, map[string]string{"raw.hcl": fmt.Sprintf(sni, "upstream = upstream.rest"), "up.hcl": upstreams.String()})
	ask := func(server string) string {
		c, _ := r.raw("raw")
		tc := tls.Client(c, &tls.Config{ServerName: server, InsecureSkipVerify: true})
		p, _ := io.ReadAll(tc)
		return strings.TrimSpace(string(p))
	}
	for server, want := range map[string]string{
		"db.example.com": "db", "DB.Example.com": "db", "x.example.com": "any", "x.y.example.com": "any",
		"b.example.com": "any", "x.b.example.com": "b", "example.com": "rest", "other.org": "rest", "": "rest",
	} {
		if got := ask(server); got != want {
			t.Errorf("%q went to %q, want %q", server, got, want)
		}
	}
	r.write("raw.hcl", fmt.Sprintf(sni, ""))
	r.reload()
	for server, want := range map[string]string{"db.example.com": "db", "other.org": "", "": ""} {
		if got := ask(server); got != want {
			t.Errorf("without a default, %q went to %q, want %q", server, got, want)
		}
	}
	c, in := r.raw("raw")
	fmt.Fprint(c, "GET / HTTP/1.1\r\n\r\n")
	if p, _ := io.ReadAll(in); len(p) > 0 {
		t.Errorf("what is no TLS got %q", p)
	}
}

// TestTCPProxyHeader refuses headers of a peer that is not trusted, which the
// backend might believe, and takes them from one that is.
func TestTCPProxyHeader(t *testing.T) {
	for trusted, taken := range map[string]bool{"192.0.2.1": false, "127.0.0.1": true} {
		raw := strings.Replace(fmt.Sprintf(rawListener, endpoints(greeter(t, "x"))), "tcp {", "proxy_protocol = true\n  tcp {", 1)
		r := start(t, map[string]string{"raw.hcl": raw,
			"preamble.hcl": strings.Replace(preamble, "gateway {", fmt.Sprintf("gateway {\n  trusted_proxies = [%q]\n", trusted), 1)})
		c, in := r.raw("raw")
		fmt.Fprint(c, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nPROXY")
		_ = c.CloseWrite()
		p, _ := io.ReadAll(in)
		// The backend may greet before the gateway sees the header.
		if got := strings.TrimPrefix(string(p), "x\n"); taken != (got == "PROXY\n5 bytes\n") || !taken && got != "" {
			t.Errorf("trusting %s: %q", trusted, p)
		}
	}
}
