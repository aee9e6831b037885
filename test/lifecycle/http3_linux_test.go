package lifecycle

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/sys/unix"
)

// TestUpgradeHTTP3 is what docs/upgrade.md says that HTTP/3 loses: the
// connection. The client is told so at once, and finds the new process at the
// next request; TCP on the same port loses nothing.
func TestUpgradeHTTP3(t *testing.T) {
	addr := backend(t, ticking(nil))
	b := newBed(t, "")
	b.certificate()
	config := func(mark string) string {
		return everywhere(b.dir, addr, mark, strings.Replace(overTLS, `"h2"]`, `"h2", "h3"]`, 1))
	}
	b.configure(config("one"))
	now := b.start()
	address := now.addrs["tls"]
	tr := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.Close()
	client := &http.Client{Transport: tr, Timeout: 5 * time.Second}
	ask := func() (string, error) {
		res, err := client.Get("https://" + address + "/mark")
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err == nil && res.ProtoMajor != 3 {
			err = fmt.Errorf("it came over %s", res.Proto)
		}
		return string(body), err
	}
	l := newLoad(t)
	l.keepAlive("tls", secure(address), request("/mark", ""), 0, 0)
	l.keepAlive("tls handshakes", secure(address), request("/mark", ""), 1, 0)
	l.multiplexed("h2", "https://"+address+"/mark", 2)
	mark := "one"
	for _, next := range []string{"two", "three"} {
		if got, err := ask(); err != nil || got != mark {
			t.Fatalf("before the upgrade: %q, %v", got, err)
		}
		b.configure(config(next))
		p := now.upgrade()
		now.ended() // nothing of HTTP/3 holds it
		now, mark = p, next
		start := time.Now()
		got, err := ask()
		if err != nil { // the one that finds the connection closed
			t.Logf("the first request: %v", err)
			got, err = ask()
		}
		if err != nil || got != next {
			t.Errorf("after the upgrade: %q, %v", got, err)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("the client noticed after %v", d)
		}
		l.awaitMore(100)
	}
	l.end()
	now.signal(unix.SIGTERM)
	if code := now.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
