package lifecycle

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/headgate/headgate/test/need"
)

// TestSoak reloads and upgrades for a minute under clients of every kind. Not
// one request fails, and the last process is no larger than the first was.
func TestSoak(t *testing.T) {
	need.Full(t)
	addr := backend(t, ticking(nil))
	b := newBed(t, "")
	b.certificate()
	config := func(n int) string { return everywhere(b.dir, addr, fmt.Sprint(n), overTLS) }
	b.configure(config(0))
	now := b.start()
	main, sock := plain("tcp", now.addrs["main"]), filepath.Join(b.dir, "sock")
	l := newLoad(t)
	l.keepAlive("keep-alive", main, request("/mark", ""), 0, 0)
	l.keepAlive("forwarded", main, request("/x", ""), 0, time.Millisecond)
	l.keepAlive("new connections", main, request("/x", ""), 1, 0)
	l.keepAlive("with pauses", main, request("/x", ""), 0, 30*time.Millisecond)
	l.keepAlive("unix", plain("unix", sock), request("/x", ""), 5, 0)
	l.keepAlive("tcp", plain("tcp", now.addrs["raw"]), request("/x", ""), 3, 0)
	l.keepAlive("tls", secure(now.addrs["tls"]), request("/x", ""), 10, 0)
	l.multiplexed("h2", "https://"+now.addrs["tls"]+"/x", 2)
	l.multiplexed("h2c", "http://"+now.addrs["main"]+"/x", 3)
	l.awaitMore(1000)
	fds, goroutines := now.descriptors(), now.metric("go_goroutines", "")
	upgrades, reloads := 0, 0
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		for range 5 {
			reloads++
			mark := b.mark()
			b.configure(config(reloads)) // seen by itself
			b.await(mark, "configuration reloaded")
			l.awaitMore(100)
		}
		upgrades++
		next := now.upgrade()
		now.ended()
		now = next
		l.awaitMore(100)
	}
	t.Logf("%d reloads, %d upgrades", reloads, upgrades)
	l.awaitMore(1000)
	if n := now.descriptors(); n > fds+10 {
		t.Errorf("%d descriptors, %d in the first process", n, fds)
	}
	now.awaitMetric("go_goroutines", "", func(v float64) bool { return v <= goroutines+10 })
	l.end()
	now.stop()
}
