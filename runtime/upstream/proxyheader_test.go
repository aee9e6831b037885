package upstream

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/pires/go-proxyproto"
)

// proxied is net/http behind a reader of PROXY headers; seen tells the addresses
// of each connection.
func proxied(t *testing.T, secure bool) (address string, seen <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 10)
	var front net.Listener = &proxyproto.Listener{Listener: l, ConnPolicy: func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
		return proxyproto.REQUIRE, nil
	}, ValidateHeader: func(h *proxyproto.Header) error {
		if h.Command.IsLocal() || h.TransportProtocol == proxyproto.UNSPEC {
			told <- "unknown"
			return nil
		}
		told <- h.SourceAddr.String() + " " + h.DestinationAddr.String()
		return nil
	}}
	if secure {
		front = tls.NewListener(front, &tls.Config{Certificates: serveSecure(t, false, nil).TLS.Certificates})
	}
	s := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(front) })
	t.Cleanup(func() { s.Close(); served.Wait() })
	return l.Addr().String(), told
}

func TestProxyHeader(t *testing.T) {
	conn := func(peer, local string) *exchange.Conn {
		return &exchange.Conn{Peer: netip.MustParseAddrPort(peer), Local: netip.MustParseAddrPort(local)}
	}
	for name, c := range map[string]struct {
		client *exchange.Conn
		want   string
	}{
		"IPv4":               {conn("203.0.113.7:1234", "10.0.0.1:443"), "203.0.113.7:1234 10.0.0.1:443"},
		"IPv6":               {conn("[2001:db8::7]:1234", "[2001:db8::1]:443"), "[2001:db8::7]:1234 [2001:db8::1]:443"},
		"both":               {conn("[2001:db8::7]:1234", "10.0.0.1:443"), "unknown"},
		"Unix socket":        {&exchange.Conn{}, "unknown"},
		"the gateway itself": {nil, "unknown"},
	} {
		for _, version := range []string{"v1", "v2"} {
			for suffix, secure := range map[string]bool{"": false, " TLS": true} {
				t.Run(name+" "+version+suffix, func(t *testing.T) {
					address, seen := proxied(t, secure)
					config := Config{ProxyProtocol: version}
					if secure {
						config.TLS = &TLS{Insecure: true}
					}
					_, e := endpoint(t, registry(t), config, address)
					for range 2 { // which don't share a connection
						up, reused, err := e.AcquireFor(t.Context(), c.client, false)
						if err != nil || reused {
							t.Fatal(reused, err)
						}
						use(t, up, "/")
						e.Release(up)
						if got := <-seen; got != c.want {
							t.Errorf("the endpoint saw %s, want %s", got, c.want)
						}
					}
					if idle(e) != 0 {
						t.Error("a connection was kept")
					}
					nc, err := e.Dial(t.Context(), c.client)
					if err != nil {
						t.Fatal(err)
					}
					defer nc.Close()
					if _, err := io.WriteString(nc, "GET / HTTP/1.0\r\n\r\n"); err != nil {
						t.Fatal(err)
					}
					if got := <-seen; got != c.want {
						t.Errorf("the endpoint of a stream saw %s, want %s", got, c.want)
					}
				})
			}
		}
	}
}
