package lifecycle

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headgate/headgate/test/need"
)

// everywhere has a listener of every kind. What it says of itself is mark.
func everywhere(dir, backend, mark, more string) string {
	return fmt.Sprintf(base+`
listener "main" {
  address   = "127.0.0.1:0"
  protocols = ["http/1.1", "h2"]
}
listener "unix" {
  address = "unix:%s/sock"
}
listener "raw" {
  address = "127.0.0.1:0"
  tcp { upstream = upstream.b }
}
upstream "b" {
  endpoint %q {}
}
route "mark" {
  path = "/mark"
  respond {
    body = %q
  }
}
route "all" {
  path_prefix = "/"
  upstream    = upstream.b
}
%s
`, dir, backend, mark, more)
}

// ticking answers /ticks with a line whenever tick is sent to, and anything else
// at once.
func ticking(tick <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ticks" {
			fmt.Fprint(w, "ok")
			return
		}
		for {
			w.(http.Flusher).Flush()
			select {
			case s, ok := <-tick:
				if !ok {
					return
				}
				fmt.Fprintln(w, s)
			case <-r.Context().Done():
				return
			}
		}
	}
}

func request(path, more string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + more + "\r\n"
}

// stream opens /ticks and gives its lines.
func stream(t testing.TB, dial dialer) *bufio.Reader {
	t.Helper()
	c, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, request("/ticks", "")); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v %v", res, err)
	}
	return bufio.NewReader(res.Body)
}

func line(t testing.TB, in *bufio.Reader) string {
	t.Helper()
	s, err := in.ReadString('\n')
	if err != nil {
		t.Fatalf("%q %v", s, err)
	}
	return strings.TrimSpace(s)
}

// get asks the admin API.
func (p *process) get(path string) (int, string) {
	p.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr, Timeout: patience}).Get("http://" + p.addrs["admin"] + path)
	if err != nil {
		p.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// exe is the program file that the process runs.
func (p *process) exe() os.FileInfo {
	p.Helper()
	info, err := os.Stat(fmt.Sprintf("/proc/%d/exe", p.pid))
	if err != nil {
		p.Fatal(err)
	}
	return info
}

// TestUpgrade replaces the process three times, the program and the
// configuration with it, under clients of every kind, of whose requests not one
// may fail. A stream that began before the first upgrade ends in the process
// that it began in.
func TestUpgrade(t *testing.T) {
	tick := make(chan string)
	addr := backend(t, ticking(tick))
	b := newBed(t, "")
	b.certificate()
	config := func(mark string) string { return everywhere(b.dir, addr, mark, overTLS) }
	b.configure(config("one"))
	first := b.start()
	main, sock := plain("tcp", first.addrs["main"]), filepath.Join(b.dir, "sock")

	l := newLoad(t)
	l.keepAlive("keep-alive", main, request("/mark", ""), 0, 0)
	l.keepAlive("forwarded", main, request("/x", ""), 0, 0)
	l.keepAlive("new connections", main, request("/x", ""), 1, 0)
	l.keepAlive("asked to close", main, request("/mark", "Connection: close\r\n"), 0, 0)
	l.keepAlive("with pauses", main, request("/x", ""), 0, 40*time.Millisecond)
	l.keepAlive("with long pauses", main, request("/x", ""), 0, 333*time.Millisecond)
	l.keepAlive("unix", plain("unix", sock), request("/x", ""), 20, 0)
	l.keepAlive("tls", secure(first.addrs["tls"]), request("/x", ""), 0, 0)
	l.keepAlive("tls handshakes", secure(first.addrs["tls"]), request("/x", ""), 1, 0)
	l.multiplexed("h2", "https://"+first.addrs["tls"]+"/x", 4)
	l.keepAlive("tcp", plain("tcp", first.addrs["raw"]), request("/x", ""), 5, 0)
	l.multiplexed("h2c", "http://"+first.addrs["main"]+"/x", 4)
	l.awaitMore(500)

	old := stream(t, main)
	tick <- "before"
	if got := line(t, old); got != "before" {
		t.Fatal(got)
	}
	held, err := net.Dial("tcp", first.addrs["raw"])
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	tunnel := &talk{held, bufio.NewReader(held)}
	if res, err := tunnel.ask("/x"); err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}

	now := first
	for i, mark := range []string{"two", "three", "four"} {
		b.install(b.bin) // a new file
		b.configure(config(mark))
		next := now.upgrade()
		if info, err := os.Stat(b.bin); err != nil || !os.SameFile(info, next.exe()) {
			t.Errorf("upgrade %d runs another program: %v", i, err)
		}
		l.awaitMore(500)
		for end := time.Now().Add(patience); l.got(mark) == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no answer of the configuration %q", mark)
			}
		}
		if code, body := next.get("/metrics"); code != 200 || !strings.Contains(body, "headgate_connections_active") {
			t.Errorf("metrics after upgrade %d: %d", i, code)
		}
		if code, body := next.get("/ready"); code != 200 {
			t.Errorf("readiness after upgrade %d: %d %s", i, code, body)
		}
		if now == first {
			if !now.alive() {
				t.Error("the first process did not wait for its stream")
			}
		} else {
			now.ended()
		}
		now = next
	}
	tick <- "after"
	if got := line(t, old); got != "after" {
		t.Fatal(got)
	}
	if res, err := tunnel.ask("/x"); err != nil || res.StatusCode != 200 || res.Close {
		t.Errorf("through the old connection of the TCP listener: %v, %v", res, err)
	}
	held.Close()
	close(tick)
	if rest, err := io.ReadAll(old); err != nil || len(rest) > 0 {
		t.Errorf("the old stream ended with %q, %v", rest, err)
	}
	if code := first.wait(); code != 0 {
		t.Errorf("the first process ended with %d", code)
	}
	if _, err := os.Stat(sock); err != nil {
		t.Errorf("the file of the socket: %v", err)
	}
	l.awaitMore(500)
	l.end()
	now.signal(unix.SIGTERM)
	if code := now.wait(); code != 0 {
		t.Errorf("the last process ended with %d", code)
	}
	if _, err := os.Stat(sock); !os.IsNotExist(err) {
		t.Errorf("the file of the socket is left: %v", err)
	}
}

// TestUpgradeFails leaves the old process in place whatever the new one does.
func TestUpgradeFails(t *testing.T) {
	addr := backend(t, ticking(nil))
	b := newBed(t, "")
	good := everywhere(b.dir, addr, "one", "")
	b.configure(good)
	p := b.start()
	l := newLoad(t)
	l.keepAlive("keep-alive", plain("tcp", p.addrs["main"]), request("/mark", ""), 0, 0)
	l.keepAlive("new connections", plain("tcp", p.addrs["main"]), request("/mark", ""), 1, 0)
	l.keepAlive("unix", plain("unix", filepath.Join(b.dir, "sock")), request("/mark", ""), 1, 0)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	script := func(text string) func() {
		return func() {
			if err := replace(b.bin, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"a configuration with errors", func() { b.configure(good + "route \"x\" {}\n") }, "conf/gateway.hcl"},
		{"a port in use", func() {
			b.configure(good + fmt.Sprintf("listener \"y\" {\n address = %q\n}\n", taken.Addr()))
		}, "address already in use"},
		{"a program that ends at once", script("exit 7"), "exit status 7"},
		{"a program that is killed", script("kill -9 $$"), "signal: killed"},
		{"no program", func() { os.Remove(b.bin) }, ""},
		{"no executable", func() { _ = replace(b.bin, []byte("hello"), 0o755) }, "exec format error"},
		{"a program that does something else", script("echo nonsense >&3; exit 0"), "nonsense"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.do()
			defer b.configure(good)
			defer b.install(mustProgram(t))
			mark := b.mark()
			p.signal(unix.SIGUSR2)
			e := b.await(mark, "the upgrade did not happen")
			if got := e.text("error"); !strings.Contains(got, c.want) {
				t.Errorf("error %q, want %q", got, c.want)
			}
			l.awaitMore(100)
			if !p.alive() {
				t.Fatal("the old process is gone")
			}
		})
	}
	// And then one that works.
	next := p.upgrade()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	l.awaitMore(100)
	l.end()
	next.signal(unix.SIGTERM)
	if code := next.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func mustProgram(t testing.TB) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUpgradeUnderWrk has a client of others judge.
func TestUpgradeUnderWrk(t *testing.T) {
	need.Full(t)
	wrk := need.Program(t, "wrk")
	addr := backend(t, ticking(nil))
	b := newBed(t, "")
	b.configure(everywhere(b.dir, addr, "one", ""))
	now := b.start()
	out := make(chan string, 1)
	cmd := exec.Command(wrk, "-c", "20", "-t", "1", "-d", "3s", "http://"+now.addrs["main"]+"/x")
	go func() {
		text, err := cmd.CombinedOutput()
		if err != nil {
			text = append(text, err.Error()...)
		}
		out <- string(text)
	}()
	for range 3 {
		time.Sleep(500 * time.Millisecond) // of load
		next := now.upgrade()
		if code := now.wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		now = next
	}
	text := <-out
	if strings.Contains(text, "Socket errors") || strings.Contains(text, "Non-2xx") || !strings.Contains(text, "requests in") {
		t.Error(text)
	}
	t.Log(strings.TrimSpace(text))
	now.signal(unix.SIGTERM)
	if code := now.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestNotify is what systemd is told, and the PID file.
func TestNotify(t *testing.T) {
	addr := backend(t, ticking(nil))
	b := newBed(t, "")
	b.configure(everywhere(b.dir, addr, "one", ""))
	path := filepath.Join(b.dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pidFile := filepath.Join(b.dir, "pid")
	cmd := exec.Command(b.bin, "run", "-cache=", "-pid-file", pidFile, filepath.Join(b.dir, "conf"))
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path)
	first := b.run(cmd)
	first.awaitListening()
	told := func(want ...string) {
		t.Helper()
		for _, w := range want {
			p := make([]byte, 1<<10)
			_ = c.SetReadDeadline(time.Now().Add(patience))
			n, err := c.Read(p)
			if got := string(p[:n]); err != nil || !strings.HasPrefix(got, w) {
				t.Errorf("systemd was told %q, %v; want %q", got, err, w)
			}
		}
	}
	inFile := func(want int) {
		t.Helper()
		if p, err := os.ReadFile(pidFile); err != nil || strings.TrimSpace(string(p)) != strconv.Itoa(want) {
			t.Errorf("the PID file has %q, %v; want %d", p, err, want)
		}
	}
	told(fmt.Sprintf("READY=1\nMAINPID=%d", first.pid))
	inFile(first.pid)
	first.signal(unix.SIGHUP)
	told("RELOADING=1\nMONOTONIC_USEC=", "READY=1")
	second := first.upgrade()
	inFile(second.pid)
	told(fmt.Sprintf("READY=1\nMAINPID=%d", second.pid), fmt.Sprintf("MAINPID=%d", second.pid))
	if code := first.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	inFile(second.pid)
	second.signal(unix.SIGTERM)
	told("STOPPING=1")
	if code := second.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(pidFile); !os.IsNotExist(err) {
		t.Errorf("the PID file is left: %v", err)
	}
}
