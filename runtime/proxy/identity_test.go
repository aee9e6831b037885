package proxy

import (
	"net"
	"net/netip"
	"regexp"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

func TestIdentify(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		name, peer string
		in         [][2]string
		remote     string
		want       map[string]string
	}{
		{"untrusted, nothing sent", "1.2.3.4", nil, "1.2.3.4",
			map[string]string{"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "http", "x-forwarded-host": "h", "x-forwarded-port": "80"}},
		{"untrusted lies", "1.2.3.4",
			[][2]string{{"X-Forwarded-For", "10.1.1.1"}, {"x-forwarded-for", "9.9.9.9"}, {"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "evil"}, {"X-Forwarded-Port", "1"}, {"Forwarded", "for=9.9.9.9"}, {"X-Forwarded-Client-Cert", "Subject=admin"}},
			"1.2.3.4",
			map[string]string{"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "http", "x-forwarded-host": "h", "x-forwarded-port": "80", "forwarded": "", "x-forwarded-client-cert": ""}},
		{"trusted", "10.0.0.1",
			[][2]string{{"X-Forwarded-For", "5.6.7.8"}, {"X-Forwarded-Proto", "https"}, {"Forwarded", "for=5.6.7.8"}}, "5.6.7.8",
			map[string]string{"x-forwarded-for": "5.6.7.8, 10.0.0.1", "x-forwarded-proto": "https", "x-forwarded-host": "h", "forwarded": `for=5.6.7.8, for=10.0.0.1;host="h";proto=http`}},
		{"a client behind proxies lies", "10.0.0.1", [][2]string{{"X-Forwarded-For", "6.6.6.6, 5.6.7.8, 10.0.0.2"}}, "5.6.7.8",
			map[string]string{"x-forwarded-for": "6.6.6.6, 5.6.7.8, 10.0.0.2, 10.0.0.1"}},
		{"two lines", "10.0.0.1", [][2]string{{"X-Forwarded-For", "5.6.7.8"}, {"X-Forwarded-For", "10.0.0.2"}}, "5.6.7.8", nil},
		{"all trusted", "10.0.0.1", [][2]string{{"X-Forwarded-For", "10.0.0.3"}}, "10.0.0.3", nil},
		{"garbage ends the walk", "10.0.0.1", [][2]string{{"X-Forwarded-For", "5.6.7.8, unknown, 10.0.0.2"}}, "10.0.0.2", nil},
		{"with ports", "10.0.0.1", [][2]string{{"X-Forwarded-For", "[2001:db8::1]:99"}}, "2001:db8::1", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var x exchange.Exchange
			peer := &net.TCPAddr{IP: net.ParseIP(c.peer), Port: 1}
			x.Conn = exchange.NewConn(&exchange.ListenerInfo{}, peer, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, nil, 0)
			x.Request.Scheme, x.Request.Authority = "http", "h"
			for _, f := range c.in {
				x.Request.Head.Add(f[0], f[1])
			}
			identify(&x, &Settings{TrustedProxies: trusted, RequestID: "x-request-id"})
			if x.RemoteIP.String() != c.remote {
				t.Errorf("remote %v, want %s", x.RemoteIP, c.remote)
			}
			for name, want := range c.want {
				got := x.Request.Head.Values(nil, name)
				if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || string(got[0]) != want) {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	var arena exchange.Arena
	now := time.UnixMilli(0x0123456789ab)
	seen := map[string]bool{}
	form := regexp.MustCompile(`^01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for range 1000 {
		id := newID(&arena, now)
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("%q is no fresh UUIDv7 of that time", id)
		}
		seen[id] = true
	}
	for _, c := range []struct {
		peer string
		keep bool
	}{{"10.0.0.1", true}, {"1.2.3.4", false}} {
		var x exchange.Exchange
		x.Conn = exchange.NewConn(&exchange.ListenerInfo{}, &net.TCPAddr{IP: net.ParseIP(c.peer)}, nil, nil, 0)
		x.Request.Head.Add("X-Request-Id", "mine")
		identify(&x, &Settings{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, RequestID: "x-request-id"})
		if (x.ID == "mine") != c.keep {
			t.Errorf("peer %s: id %q", c.peer, x.ID)
		}
	}
}
