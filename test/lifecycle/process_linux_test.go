package lifecycle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// program builds headgate once for all tests, with the race detector if the
// tests have it.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "headgate-lifecycle-")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "headgate")
	args := []string{"build", "-o", out}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "../../cmd/headgate")...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, msg)
	}
	return out, nil
})

func TestMain(m *testing.M) {
	// Processes that an upgrade leaves without a parent become ours, so that
	// their exit codes can be had.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// bed is a directory with a program and a configuration, and what was logged by
// the processes that run there.
type bed struct {
	testing.TB
	dir, bin string

	mu      sync.Mutex
	changed *sync.Cond
	entries []entry
	raw     bytes.Buffer
}

// entry is one line of the log.
type entry map[string]any

func (e entry) text(key string) string { s, _ := e[key].(string); return s }

const base = `
gateway {
  admin {
    address = "127.0.0.1:0"
  }
  log {
    format = "json"
  }
  shutdown {
    drain = "20s"
  }
}
`

func newBed(t testing.TB, config string) *bed {
	t.Helper()
	from, err := program()
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{TB: t, dir: t.TempDir()}
	b.changed = sync.NewCond(&b.mu)
	b.bin = filepath.Join(b.dir, "headgate")
	b.install(from)
	if err := os.Mkdir(filepath.Join(b.dir, "conf"), 0o755); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(config, "gateway {") {
		config = base + config
	}
	b.configure(config)
	t.Cleanup(func() {
		if t.Failed() {
			b.mu.Lock()
			defer b.mu.Unlock()
			t.Logf("log:\n%s", b.raw.String())
		}
	})
	return b
}

// install puts a copy of the program from in place, as an update would.
func (b *bed) install(from string) {
	b.Helper()
	p, err := os.ReadFile(from)
	if err == nil {
		err = replace(b.bin, p, 0o755)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bed) configure(text string) {
	b.Helper()
	if err := replace(filepath.Join(b.dir, "conf", "gateway.hcl"), []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}

// replace writes a file so that nobody sees half of it.
func replace(path string, p []byte, mode os.FileMode) error {
	// A process started meanwhile would have it open, and nobody could run it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dir, name := filepath.Split(path)
	tmp := filepath.Join(dir, "."+name)
	_ = os.Remove(tmp)
	if err := os.WriteFile(tmp, p, mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// process is one running program.
type process struct {
	*bed
	pid, fd int // fd: a pidfd
	addrs   map[string]string
}

// start runs the program and waits until it serves.
func (b *bed) start(wrap ...string) *process {
	b.Helper()
	p := b.launch(wrap...)
	p.awaitListening()
	return p
}

// launch runs the program, below another command if there is one.
func (b *bed) launch(wrap ...string) *process {
	b.Helper()
	args := append(wrap, b.bin, "run", "-cache=", filepath.Join(b.dir, "conf"))
	return b.run(exec.Command(args[0], args[1:]...))
}

func (b *bed) run(cmd *exec.Cmd) *process {
	b.Helper()
	// A pipe of ours: processes that take over write to it too.
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr, cmd.Dir = w, w, b.dir
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	w.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read(r)
	}()
	p := b.adopt(cmd.Process.Pid)
	b.Cleanup(func() {
		select {
		case <-read:
		case <-time.After(20 * time.Second):
			b.Error("somebody still has the log open")
		}
		r.Close()
	})
	// Ends before the log is waited for.
	b.Cleanup(func() { p.kill() })
	return p
}

func (b *bed) adopt(pid int) *process {
	b.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		b.Fatalf("process %d: %v", pid, err)
	}
	return &process{bed: b, pid: pid, fd: fd, addrs: map[string]string{}}
}

func (b *bed) read(r *os.File) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		e := entry{}
		if json.Unmarshal(in.Bytes(), &e) != nil {
			e = entry{"msg": in.Text()}
		}
		b.mu.Lock()
		fmt.Fprintln(&b.raw, in.Text())
		b.entries = append(b.entries, e)
		b.changed.Broadcast()
		b.mu.Unlock()
	}
}

// mark is a place in the log.
func (b *bed) mark() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.entries)
}

// await returns the first entry from mark on whose message contains msg.
func (b *bed) await(mark int, msg string) entry {
	b.Helper()
	timer := time.AfterFunc(patience, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed.Broadcast()
	})
	defer timer.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for end := time.Now().Add(patience); ; b.changed.Wait() {
		for ; mark < len(b.entries); mark++ {
			if strings.Contains(b.entries[mark].text("msg"), msg) {
				return b.entries[mark]
			}
		}
		if !time.Now().Before(end) {
			b.Fatalf("nothing about %q in the log", msg)
		}
	}
}

// patience bounds every wait for what should come at once.
const patience = 30 * time.Second

// awaitListening takes the addresses from the log.
func (p *process) awaitListening() {
	p.Helper()
	p.await(0, "serving")
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		if e.text("msg") == "listening" {
			p.addrs[e.text("listener")] = e.text("address")
		}
	}
}

func (p *process) signal(s unix.Signal) {
	p.Helper()
	if err := unix.PidfdSendSignal(p.fd, s, nil, 0); err != nil {
		p.Fatalf("signal %v to %d: %v", s, p.pid, err)
	}
}

// upgrade makes the process hand over and returns the one that took over.
func (p *process) upgrade() *process {
	p.Helper()
	mark := p.mark()
	p.signal(unix.SIGUSR2)
	e := p.await(mark, "another process has taken over")
	pid, _ := e["pid"].(float64)
	n := p.adopt(int(pid))
	p.Cleanup(func() { n.kill() })
	n.awaitListening()
	return n
}

// ended waits for the end of the process.
func (p *process) ended() {
	p.Helper()
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	for end := time.Now().Add(patience); ; {
		n, err := unix.Poll(fds, int(max(0, time.Until(end)).Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n == 0 || err != nil {
			p.Fatalf("process %d does not end (%v)", p.pid, err)
		}
		return
	}
}

// wait returns the exit code of a process whose parent is not another one that
// still drains.
func (p *process) wait() int {
	p.Helper()
	p.ended()
	// It may still have a parent that is about to be told, or about to end.
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var status unix.WaitStatus
		_, err := unix.Wait4(p.pid, &status, unix.WNOHANG, nil)
		if err == nil && status.Exited() {
			return status.ExitStatus()
		}
		if err == nil && status.Signaled() {
			return -int(status.Signal())
		}
		if time.Now().After(end) {
			p.Fatalf("no exit code of process %d: %v", p.pid, err)
		}
	}
}

// alive reports whether the process still runs.
func (p *process) alive() bool {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n == 0 && err == nil
}

// kill ends what a test left. What it waited for is gone already.
func (p *process) kill() {
	if p.alive() {
		_ = unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0)
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		_, _ = unix.Poll(fds, 5000)
	}
	var status unix.WaitStatus
	_, _ = unix.Wait4(p.pid, &status, unix.WNOHANG, nil)
	unix.Close(p.fd)
}

// backend runs h and returns its address.
func backend(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}
