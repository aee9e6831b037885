package listen_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/listen"
)

// ends answers with the two ends that the connection is said to have.
func ends(x *exchange.Exchange) {
	c := x.Conn
	x.Reply(200, "", []byte(fmt.Sprintf("%s %s %s %s", c.Peer, c.Local, c.PeerIP, c.LocalPort)))
	if x.Front.WriteHead() == nil {
		_ = x.Front.Write(x.Response.Buffered, true)
	}
}

func proxySpec(address string, patience time.Duration) listen.Spec {
	return listen.Spec{
		Name: "p", Address: address, HTTP1: true, ProxyProtocol: true,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		Timeouts:       http1.Timeouts{Header: patience},
	}
}

func TestProxyProtocol(t *testing.T) {
	b := newBed(t)
	b.handler.serve = ends
	b.apply(proxySpec("127.0.0.1:0", 5*time.Second))
	src := &net.TCPAddr{IP: net.ParseIP("203.0.113.9"), Port: 4000}
	dst := &net.TCPAddr{IP: net.ParseIP("198.51.100.1"), Port: 443}
	const want = "203.0.113.9:4000 198.51.100.1:443 203.0.113.9 443"
	for _, version := range []byte{1, 2} {
		c, in := dial(t, b.addr("p"))
		if _, err := proxyproto.HeaderProxyFromAddrs(version, src, dst).WriteTo(c); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := ask(t, c, in); got != want {
				t.Errorf("version %d: %q", version, got)
			}
		}
		c.Close()
	}
	for name, header := range map[string]string{
		"unknown": "PROXY UNKNOWN\r\n", "local": "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
	} {
		c, in := dial(t, b.addr("p"))
		fmt.Fprint(c, header)
		if got := ask(t, c, in); !strings.HasPrefix(got, c.LocalAddr().String()+" ") {
			t.Errorf("%s: %q", name, got)
		}
		c.Close()
	}
	// In pieces, with the request behind it.
	c, in := dial(t, b.addr("p"))
	for _, p := range "PROXY TCP4 203.0.113.9 198.51.100.1 4000 443\r\n" {
		fmt.Fprint(c, string(p))
		time.Sleep(100 * time.Microsecond)
	}
	if got := ask(t, c, in); got != want {
		t.Errorf("in pieces: %q", got)
	}
	c.Close()
}

func TestProxyProtocolRefuses(t *testing.T) {
	b := newBed(t)
	b.handler.serve = ends
	b.apply(proxySpec("127.0.0.1:0", 100*time.Millisecond))
	for name, send := range map[string]string{
		"no header": "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "silence": "", "half": "PROXY TCP4 1.1",
		"malformed": "PROXY TCP4 a b c d\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		c, in := dial(t, b.addr("p"))
		fmt.Fprint(c, send)
		if got, _ := io.ReadAll(in); len(got) > 0 {
			t.Errorf("%s: got %q", name, got)
		}
		c.Close()
	}
	if n := b.Stats()[0].Refused["proxy_header"]; n != 4 {
		t.Errorf("counted %d", n)
	}
}

// TestUntrustedPeer is served as what it is, but can't say that it is another.
func TestUntrustedPeer(t *testing.T) {
	b := newBed(t)
	b.handler.serve = ends
	spec := proxySpec("127.0.0.1:0", 5*time.Second)
	spec.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	b.apply(spec)
	c, in := dial(t, b.addr("p"))
	if got := ask(t, c, in); !strings.HasPrefix(got, c.LocalAddr().String()+" ") {
		t.Errorf("without a header: %q", got)
	}
	c.Close()
	for _, header := range []string{"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"} {
		c, in := dial(t, b.addr("p"))
		fmt.Fprint(c, header+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 400 {
			t.Errorf("%q: %v %v", header, res, err)
		}
		c.Close()
	}
}

func TestProxyProtocolThenTLS(t *testing.T) {
	b := newBed(t)
	b.handler.serve = ends
	spec := proxySpec("127.0.0.1:0", 5*time.Second)
	spec.TLS = tlsSpec(t, "p", "").TLS
	b.apply(spec)
	c, _ := dial(t, b.addr("p"))
	// In one write: not a byte of the hello may be taken with the header.
	w := bufio.NewWriter(c)
	fmt.Fprint(w, "PROXY TCP6 2001:db8::1 2001:db8::2 4000 443\r\n")
	tc := tls.Client(&flushing{c, w}, &tls.Config{InsecureSkipVerify: true})
	if got := ask(t, tc, bufio.NewReader(tc)); got != "[2001:db8::1]:4000 [2001:db8::2]:443 2001:db8::1 443" {
		t.Errorf("got %q", got)
	}
}

// flushing writes what waits in w together with what comes first.
type flushing struct {
	net.Conn
	w *bufio.Writer
}

func (f *flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.w.Flush()
	}
	return n, err
}
