//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	// Children end with the thread that started them: it must be one that lasts.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	duration time.Duration
	rounds   int
	conns    int
	scenario string
	peers    string
	profile  string
	dir      string // of the configurations
	headgate string
	out      string
}

func parseOptions(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.DurationVar(&o.duration, "duration", 5*time.Second, "of one run")
	f.IntVar(&o.rounds, "rounds", 5, "runs of each gateway; the tables show medians")
	f.IntVar(&o.conns, "conns", 64, "connections that the load keeps open")
	f.StringVar(&o.scenario, "scenario", "", "only those whose name matches this regular `expression`")
	f.StringVar(&o.peers, "peers", "", "only these gateways: a `list` such as headgate,nginx")
	f.StringVar(&o.profile, "profile", "", "no tables, but where the `gateway` of this name spends its time during GET 1 KiB (or the first that -scenario names)")
	f.StringVar(&o.dir, "dir", "bench", "`directory` of the configurations")
	f.StringVar(&o.headgate, "headgate", "bin/headgate", "the `program` to measure")
	f.StringVar(&o.out, "out", "bench/out", "`directory` for the tables as Markdown; the peers of make bench-peers are in its folder peers")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.duration < time.Second || o.rounds < 1 || o.conns < 2 || f.NArg() > 0 {
		return o, errors.New("want -duration of 1s or more, -rounds of 1 or more, -conns of 2 or more, and no arguments")
	}
	return o, nil
}

// bench is one run of this program.
type bench struct {
	options
	stdout      io.Writer
	tmp         string
	certificate certificate
	dial        *dialer
	gateways    []gateway
	loads       []scenario
	idles       []idleness
	starts      bool
	slow        bool
	filters     bool
	running     []*process
	failures    []error
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	b := &bench{options: o, stdout: stdout}
	if b.tmp, err = os.MkdirTemp("", "bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.tmp)
	if err := os.Chmod(b.tmp, 0o755); err != nil { // workers that give root up read below it
		return err
	}
	if b.certificate, err = newCertificate(); err != nil {
		return err
	}
	b.dial = &dialer{certificate: b.certificate}
	defer func() {
		for _, p := range b.running {
			p.stop()
		}
	}()
	descriptors, err := raiseDescriptors()
	if err != nil {
		return err
	}
	if err := b.choose(descriptors); err != nil {
		return err
	}
	if err := b.startBackend(ctx); err != nil {
		return err
	}
	if b.profile != "" {
		return b.profiled(ctx)
	}
	rests, err := b.rest(ctx)
	if err != nil {
		return err
	}
	results, err := b.measure(ctx, b.gateways, b.loads)
	if err != nil {
		return err
	}
	filtered, err := b.filtered(ctx)
	if err != nil {
		return err
	}
	results = append(results, filtered...)
	var slow []slowResult
	if b.slow {
		if slow, err = b.slowly(ctx); err != nil {
			return err
		}
	}
	return errors.Join(append(b.failures, b.publish(results, rests, slow))...)
}

// raiseDescriptors lets this program and its children open as many files as the
// system allows, and returns how many.
func raiseDescriptors() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	limit.Cur = limit.Max
	return limit.Cur, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// choose keeps what the flags name and the machine can do, and says what it
// passes over. In CI what .ci/setup installs must be there.
func (b *bench) choose(descriptors uint64) error {
	named, unknown := chosen(gateways(b.headgate), b.peers)
	if len(unknown) > 0 {
		return fmt.Errorf("-peers: there is no %s", strings.Join(unknown, ", "))
	}
	ci := os.Getenv("CI") != ""
	for _, g := range named {
		path, err := program(g.command[0], filepath.Join(b.out, "peers"))
		if err != nil {
			if g.name == "headgate" || ci && slices.Contains([]string{"nginx", "haproxy"}, g.name) {
				return fmt.Errorf("%s is not there", g.command[0])
			}
			fmt.Fprintf(b.stdout, "%s is not installed and passed over\n", g.name)
			continue
		}
		g.command = append([]string{path}, g.command[1:]...)
		b.gateways = append(b.gateways, g)
	}
	match, err := regexp.Compile(b.scenario)
	if err != nil {
		return fmt.Errorf("-scenario: %w", err)
	}
	for _, s := range scenarios(b.dir, b.conns, b.dial) {
		if !match.MatchString(s.name) {
			continue
		}
		if s.needs != "" {
			if _, err := exec.LookPath(s.needs); err != nil {
				if ci {
					return fmt.Errorf("%s makes the load and is not there", s.needs)
				}
				fmt.Fprintf(b.stdout, "%s: %s is not installed; passed over\n", s.name, s.needs)
				continue
			}
		}
		b.loads = append(b.loads, s)
	}
	for _, s := range idlenesses(b.dial) {
		if !match.MatchString(s.name) {
			continue
		}
		if uint64(s.count)+1000 > descriptors {
			fmt.Fprintf(b.stdout, "%s: only %d files may be open; passed over\n", s.name, descriptors)
			continue
		}
		b.idles = append(b.idles, s)
	}
	b.starts = match.MatchString("start")
	b.slow, b.filters = match.MatchString(slowName), match.MatchString(filterName)
	if len(b.loads) == 0 && len(b.idles) == 0 && !b.starts && !b.slow && !b.filters {
		return fmt.Errorf("-scenario: nothing to do for %q", b.scenario)
	}
	return nil
}

// begin starts g in a directory of its own.
func (b *bench) begin(ctx context.Context, g gateway) (*process, error) {
	dir := filepath.Join(b.tmp, g.name)
	if err := furnish(g, b.dir, dir, b.certificate); err != nil {
		return nil, err
	}
	p, err := start(ctx, g, dir)
	if err == nil {
		b.running = append(b.running, p)
	}
	return p, err
}

// end stops what begin has started.
func (b *bench) end(p *process) {
	p.stop()
	b.running = slices.DeleteFunc(b.running, func(q *process) bool { return q == p })
}

// startBackend puts down the files that the backend serves, and starts it.
func (b *bench) startBackend(ctx context.Context) error {
	g := backend()
	dir := filepath.Join(b.tmp, g.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, size := range map[string]int{"4k": 4 << 10, "64k": 64 << 10, "1m": 1 << 20} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("0123456789abcdef", size/16)), 0o644); err != nil {
			return err
		}
	}
	_, err := b.begin(ctx, g)
	return err
}
