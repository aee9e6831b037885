package hosttest

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

// Exchange makes an exchange as the engine hands it to the first filter.
// Headers are "name: value" lines.
func Exchange(method, uri string, headers ...string) *exchange.Exchange {
	x := &exchange.Exchange{}
	peer := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.7:1234"))
	local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:80"))
	x.Reset(context.Background(), exchange.NewConn(&exchange.ListenerInfo{Name: "test"}, peer, local, nil, 0), nil)
	r := &x.Request
	r.Proto, r.Method, r.Scheme, r.Authority, r.Target = exchange.HTTP11, method, "http", "example.com", uri
	r.Path, r.RawQuery, _ = strings.Cut(uri, "?")
	x.ID, x.Host, x.RemoteIP = "request-1", "example.com", x.Conn.Peer.Addr()
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Head.Add(name, value)
	}
	x.Enter(0, 1)
	return x
}

// Respond gives x a response as a backend would have made it.
func Respond(x *exchange.Exchange, status int, body string, headers ...string) {
	x.Response.Status = status
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		x.Response.Head.Add(name, value)
	}
	x.Response.SetBytes([]byte(body))
}

// Fields returns a head as lines.
func Fields(h *exchange.Head) string {
	var b strings.Builder
	for i := range h.Len() {
		_, n, v := h.At(i)
		b.WriteString(string(n) + ": " + string(v) + "\n")
	}
	return b.String()
}

// BuildGo compiles the package in dir, which may be of another module, to a
// reactor module and returns its path.
func BuildGo(t testing.TB, dir, pkg string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-buildmode=c-shared", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, text)
	}
	return out
}
