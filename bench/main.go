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
	"runtime"
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
	dir      string // of the configurations
	headgate string
	out      string
}

// The addresses of the committed configurations.
const backendAddress = "127.0.0.1:18080"

// gateway is one of what is compared.
type gateway struct {
	name    string
	address string
	command []string
	env     []string
}

// scenario is one kind of load.
type scenario struct {
	name, path string
	wrk        []string // further arguments of wrk
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.DurationVar(&o.duration, "duration", 5*time.Second, "of one run")
	f.IntVar(&o.rounds, "rounds", 5, "runs of each gateway; the table shows medians")
	f.IntVar(&o.conns, "conns", 64, "connections that the load keeps open")
	f.StringVar(&o.dir, "dir", "bench", "`directory` of the configurations")
	f.StringVar(&o.headgate, "headgate", "bin/headgate", "the `program` to measure")
	f.StringVar(&o.out, "out", "bench/out", "`directory` for the table as Markdown")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.duration < time.Second || o.rounds < 1 || o.conns < 2 || f.NArg() > 0 {
		return errors.New("want -duration of 1s or more, -rounds of 1 or more, -conns of 2 or more, and no arguments")
	}
	if _, err := exec.LookPath("wrk"); err != nil {
		return errors.New("wrk makes the load and is not installed (Debian: apt install wrk)")
	}
	tmp, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	var procs []*process
	defer func() {
		for _, p := range procs {
			p.stop()
		}
	}()
	begin := func(g gateway) (*process, error) {
		p, err := start(ctx, g, filepath.Join(tmp, g.name))
		if err == nil {
			procs = append(procs, p)
		}
		return p, err
	}

	conf, err := filepath.Abs(o.dir)
	if err != nil {
		return err
	}
	if _, err := begin(backend(conf)); err != nil {
		return err
	}
	var all []*subject
	for _, g := range gateways(conf, o.headgate) {
		if _, err := exec.LookPath(g.command[0]); err != nil {
			if os.Getenv("CI") != "" || g.name == "headgate" {
				return fmt.Errorf("%s is not there", g.command[0])
			}
			fmt.Fprintf(stdout, "%s is not installed and passed over\n", g.name)
			continue
		}
		p, err := begin(g)
		if err != nil {
			return err
		}
		all = append(all, &subject{gateway: g, process: p, idle: p.rss()})
	}
	results, err := measure(ctx, o, all, stdout)
	if err != nil {
		return err
	}
	return publish(o, results, stdout)
}

// backend answers every request with 1 KiB.
func backend(conf string) gateway {
	return gateway{name: "backend", address: backendAddress, command: nginx(filepath.Join(conf, "backend.conf"))}
}

// nginx runs in the foreground below the directory that it is started in.
func nginx(conf string) []string { return []string{"nginx", "-p", ".", "-c", conf} }

func gateways(conf, headgate string) []gateway {
	return []gateway{
		{name: "headgate", address: "127.0.0.1:18083", command: []string{absolute(headgate), "run", filepath.Join(conf, "headgate")}, env: []string{"GOMAXPROCS=2"}},
		{name: "nginx", address: "127.0.0.1:18081", command: nginx(filepath.Join(conf, "nginx.conf"))},
		{name: "haproxy", address: "127.0.0.1:18082", command: []string{"haproxy", "-db", "-f", filepath.Join(conf, "haproxy.cfg")}},
	}
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func scenarios(conf string) []scenario {
	return []scenario{
		{name: "GET 1 KiB", path: "/"},
		{name: "POST 4 KiB", path: "/body", wrk: []string{"-s", filepath.Join(conf, "post.lua")}},
	}
}

// measure loads the gateways in turns, so that what else the machine does falls
// on all of them.
func measure(ctx context.Context, o options, all []*subject, stdout io.Writer) ([]result, error) {
	var results []result
	for _, s := range scenarios(o.dir) {
		samples := map[string][]sample{}
		for round := range o.rounds + 1 { // the first warms up and is not counted
			d := o.duration
			if round == 0 {
				d = time.Second
			}
			for _, g := range all {
				m, err := g.load(ctx, o, s, d)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", s.name, g.name, err)
				}
				if round == 0 {
					continue
				}
				samples[g.name] = append(samples[g.name], m)
				fmt.Fprintf(stdout, "%-10s  round %d of %d  %-8s  %8.0f req/s  %6.2f us CPU per request\n", s.name, round, o.rounds, g.name, m.rate, m.cpu)
			}
		}
		for _, g := range all {
			results = append(results, summarize(s.name, g, samples[g.name]))
		}
	}
	return results, nil
}

// subject is a gateway that runs.
type subject struct {
	gateway
	process *process
	idle    int64 // resident bytes before the first request
}

// load runs one load and takes what it cost.
func (g *subject) load(ctx context.Context, o options, s scenario, d time.Duration) (sample, error) {
	before := g.process.cpu()
	w, err := wrk(ctx, "http://"+g.address+s.path, o.conns, d, s.wrk)
	if err != nil {
		return sample{}, err
	}
	used := g.process.cpu() - before
	return sample{
		rate: w.rate, p50: w.p50, p99: w.p99, rss: g.process.rss(),
		cpu: float64(used.Microseconds()) / float64(w.requests),
	}, nil
}
