//go:build unix

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// upgradeSignal asks for a new process in place of this one.
const upgradeSignal = syscall.SIGUSR2

// upgradeTime bounds the start of the new process: it may compile plugins.
const upgradeTime = 5 * time.Minute

// descriptor makes a file of one that was inherited.
func descriptor(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}

// successor starts a process like this one, of the program that is on disk now,
// with copies of all sockets, and waits until it serves. Both serve then. After
// an error, or when ctx ends, the new process is gone and nothing has changed.
func (g *Gateway) successor(ctx context.Context) (pid int, err error) {
	if os.Getpid() == 1 {
		return 0, errors.New("this is process 1 of a container, which ends with it: start another container instead")
	}
	// No reload until it is over: both processes would bind what a new
	// configuration adds.
	g.reloading.Lock()
	defer g.reloading.Unlock()
	files, err := g.files()
	if err != nil {
		return 0, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		closeAll(files)
		return 0, err
	}
	defer r.Close()
	p, err := spawn(files, w)
	closeAll(files)
	w.Close()
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })
	defer stop()
	_ = r.SetReadDeadline(time.Now().Add(upgradeTime))
	if ctx.Err() != nil {
		_ = r.SetReadDeadline(time.Now())
	}
	said, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err == nil && string(said) == readyWord {
		g.handedOver.Store(true)
		go func() { _, _ = p.Wait() }() // so that it leaves no zombie if it ends before us
		return p.Pid, nil
	}
	_ = p.Kill()
	state, _ := p.Wait()
	switch text := strings.TrimSpace(string(said)); {
	case text != "":
		return 0, errors.New(text)
	case err != nil:
		return 0, fmt.Errorf("the new process did not get ready: %w", err)
	default:
		return 0, fmt.Errorf("the new process ended before it was ready: %s", state)
	}
}

// files are copies of all sockets by key. reloading is held.
func (g *Gateway) files() (map[string]*os.File, error) {
	files, err := g.listeners.Files()
	if err != nil || g.admin == nil {
		return files, err
	}
	f, err := g.admin.File()
	if err != nil {
		closeAll(files)
		return nil, err
	}
	files[adminKey(g.admin.Address())] = f
	return files, nil
}

func closeAll(files map[string]*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// spawn starts the program with files and the pipe ready. It goes around
// os/exec, which would make all copies of a socket blocking, ours included.
func spawn(files map[string]*os.File, ready *os.File) (*os.Process, error) {
	h := handover{Ready: firstInherited, Sockets: map[string]int{}}
	pass := []*os.File{os.Stdin, os.Stdout, os.Stderr, ready}
	for key, f := range files {
		h.Sockets[key] = len(pass)
		pass = append(pass, f)
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	fds := make([]uintptr, len(pass))
	for i, f := range pass {
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds[i] = fd })
		}
		if err != nil {
			if i < firstInherited { // closed standard streams stay closed
				fds[i] = ^uintptr(0)
				continue
			}
			return nil, err
		}
	}
	path, err := program()
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), handoverVariable+"="+string(text))
	pid, err := syscall.ForkExec(path, os.Args, &syscall.ProcAttr{Env: env, Files: fds})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return os.FindProcess(pid)
}

// program is the path by which this process was called, so that a link which
// leads to another version by now is followed.
func program() (string, error) {
	if path, err := exec.LookPath(os.Args[0]); err == nil {
		return path, nil
	}
	return os.Executable()
}

// monotonic is the time as systemd wants it with RELOADING=1.
func monotonic() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return ""
	}
	return "MONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10)
}
