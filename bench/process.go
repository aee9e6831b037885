//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a started program with the processes that it makes.
type process struct {
	cmd  *exec.Cmd
	out  *bytes.Buffer
	done chan struct{} // closed when it has ended
	took time.Duration // from the start to the first answer
}

// start runs g in dir and waits until it answers: some accept before they have
// read their routes.
func start(ctx context.Context, g gateway, dir string) (*process, error) {
	if c, err := net.DialTimeout("tcp", g.plain, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("something listens on %s already, where %s is meant to", g.plain, g.name)
	}
	p := &process{cmd: exec.Command(g.command[0], g.command[1:]...), out: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.out, p.out
	p.cmd.Env = append(os.Environ(), g.env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	for time.Since(begin) < 15*time.Second {
		if answers(g.plain) {
			p.took = time.Since(begin)
			return p, nil
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("%s ended: %s", g.name, strings.TrimSpace(p.out.String()))
		case <-ctx.Done():
			p.stop()
			return nil, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s does not answer: %s", g.name, strings.TrimSpace(p.out.String()))
}

// answers reports whether a GET on address succeeds.
func answers(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	return c.SetDeadline(time.Now().Add(time.Second)) == nil && get(c, "close") == nil
}

// stop ends the program, with its group if it does not go by itself.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(3 * time.Second):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // its own group; gone as a rule
	<-p.done
}

// pids returns the process and its descendants.
func (p *process) pids() []int {
	parents := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		if b, err := os.ReadFile(name); err == nil {
			if s, err := parseStat(string(b)); err == nil {
				parents[s.pid] = s.parent
			}
		}
	}
	list := []int{p.cmd.Process.Pid}
	for i := 0; i < len(list); i++ {
		for pid, parent := range parents {
			if parent == list[i] {
				list = append(list, pid)
			}
		}
	}
	return list
}

// cpu returns the time that all processes of p have used, and the part of it
// that was in the kernel.
func (p *process) cpu() (all, kernel time.Duration) {
	for _, pid := range p.pids() {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
			if s, err := parseStat(string(b)); err == nil {
				all += s.cpu
				kernel += s.kernel
			}
		}
	}
	return all, kernel
}

// memory returns the proportional set of all processes of p: pages that several
// map count as a part for each. Where the kernel does not tell, it is the
// resident set.
func (p *process) memory() int64 {
	var sum int64
	for _, pid := range p.pids() {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err == nil {
			if n, err := parsePSS(string(b)); err == nil {
				sum += n
				continue
			}
		}
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
			if s, err := parseStat(string(b)); err == nil {
				sum += s.pages * int64(os.Getpagesize())
			}
		}
	}
	return sum
}

// parsePSS reads the proportional set, in bytes, of what smaps_rollup tells.
func parsePSS(text string) (int64, error) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no Pss in smaps_rollup")
}

// stat is what we read of /proc/PID/stat.
type stat struct {
	pid, parent int
	cpu, kernel time.Duration // kernel is a part of cpu
	pages       int64         // resident
}

// tick is the unit of times in /proc: USER_HZ, 100 on every architecture that
// Go runs on.
const tick = 10 * time.Millisecond

// parseStat parses a line of proc(5). The name, in parentheses, may hold
// anything, so fields are counted from the last one.
func parseStat(line string) (stat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return stat{}, errors.New("no name in stat")
	}
	f := strings.Fields(line[end+1:])
	if len(f) < 22 {
		return stat{}, errors.New("too few fields in stat")
	}
	n := func(s string) int64 {
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0
		}
		return v
	}
	// utime, stime, and those of children that were waited for: fields 14 to 17.
	user, kernel := n(f[11])+n(f[13]), n(f[12])+n(f[14])
	return stat{
		pid: int(n(strings.TrimSpace(line[:open]))), parent: int(n(f[1])),
		cpu: time.Duration(user+kernel) * tick, kernel: time.Duration(kernel) * tick, pages: n(f[21]),
	}, nil
}
