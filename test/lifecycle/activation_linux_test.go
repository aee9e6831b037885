package lifecycle

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/headgate/headgate/test/need"
)

const activated = base + `
listener "web" {
  address = "fd:web"
}
%s
route "all" {
  path_prefix = "/"
  respond {
    body = %q
  }
}
`

const activatedUnix = `
listener "local" {
  address = "fd:local"
}
`

// TestSocketActivation hands sockets over as systemd does, with systemd's own
// program for it, and goes on to an upgrade and to reloads that leave a socket
// and come back to it.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	activate := need.Program(t, "systemd-socket-activate")
	b := newBed(t, fmt.Sprintf(activated, "", "one"))
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(activate, "-l", address, "--fdname=web", b.bin, "run", "-cache=", filepath.Join(b.dir, "conf"))
	p := b.run(cmd)
	b.await(0, "Listening on")
	b.serves("tcp", address, "one") // the first client is who starts it
	p.awaitListening()
	if p.addrs["web"] != address {
		t.Errorf("it listens on %q", p.addrs["web"])
	}
	next := p.upgrade()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	b.serves("tcp", address, "one")
	next.signal(unix.SIGTERM)
	if code := next.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// serves checks that a new connection gets the answer.
func (b *bed) serves(network, address, answer string) {
	b.Helper()
	l := newLoad(b.TB)
	l.keepAlive(network, plain(network, address), request("/", ""), 1, 0)
	l.awaitMore(1)
	l.end()
	if l.got(answer) == 0 {
		b.Errorf("nobody answers %q at %s", answer, address)
	}
}

// TestInheritedSockets has two sockets, one of them a Unix socket, which the
// configuration names, forgets and names again, in this process and the next.
func TestInheritedSockets(t *testing.T) {
	b := newBed(t, fmt.Sprintf(activated, activatedUnix, "one"))
	path := filepath.Join(b.dir, "sock")
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	local.(*net.UnixListener).SetUnlinkOnClose(false)
	defer local.Close()
	var files []*os.File
	for _, l := range []interface{ File() (*os.File, error) }{web.(*net.TCPListener), local.(*net.UnixListener)} {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	address := web.Addr().String()
	launch := func(pid, count, names string) *process {
		// Only the process itself knows its number in time.
		cmd := exec.Command("sh", "-c", "LISTEN_PID="+pid+" exec \"$0\" \"$@\"", b.bin, "run", "-cache=", filepath.Join(b.dir, "conf"))
		cmd.Env = append(os.Environ(), "LISTEN_FDS="+count, "LISTEN_FDNAMES="+names)
		cmd.ExtraFiles = files
		return b.run(cmd)
	}
	p := launch("$$", "2", "web:local")
	p.awaitListening()
	for _, f := range files {
		f.Close()
	}
	web.Close()
	local.Close()
	b.serves("tcp", address, "one")
	b.serves("unix", path, "one")

	reload := func(p *process, config, text string) {
		t.Helper()
		mark := b.mark()
		b.configure(fmt.Sprintf(activated, config, text))
		p.signal(unix.SIGHUP)
		b.await(mark, "configuration reloaded")
	}
	reload(p, "", "two")
	b.serves("tcp", address, "two")
	next := p.upgrade() // with a socket that nobody uses
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	reload(next, activatedUnix, "three")
	b.serves("tcp", address, "three")
	b.serves("unix", path, "three")
	last := next.upgrade()
	if code := next.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	b.serves("unix", path, "three")
	last.signal(unix.SIGTERM)
	if code := last.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file of systemd's socket: %v", err)
	}
}

// TestActivationRefused is what can be wrong about sockets handed over.
func TestActivationRefused(t *testing.T) {
	b := newBed(t, fmt.Sprintf(activated, "", "one"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		name, env string
		files     []*os.File
		want      string
	}{
		{"none", "LISTEN_FDS=0", nil, `no socket with the name "web"`},
		{"of another process", "LISTEN_PID=1 LISTEN_FDS=1 LISTEN_FDNAMES=web", []*os.File{socket}, `no socket with the name "web"`},
		{"of another name", "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=other", []*os.File{socket}, `no socket with the name "web"`},
		{"no name", "LISTEN_PID=$$ LISTEN_FDS=1", []*os.File{socket}, `no socket with the name "web"`},
		{"two of a name", "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:web", []*os.File{socket, socket}, "2 sockets"},
		{"no socket", "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web", []*os.File{null}, `"web"`},
		{"no descriptor", "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web", nil, `"web"`},
		{"nonsense", "HEADGATE_HANDOVER=nonsense", nil, "HEADGATE_HANDOVER"},
		{"bad descriptors", `HEADGATE_HANDOVER='{"ready":90,"sockets":{"fd:web#0":91}}'`, nil, `"web"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", c.env+" exec \"$0\" \"$@\"", b.bin, "run", "-cache=", filepath.Join(b.dir, "conf"))
			cmd.ExtraFiles = c.files
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != 3 || !strings.Contains(string(out), c.want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
