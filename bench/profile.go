//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// profiled writes down where a gateway spends its time during the first load,
// which is GET 1 KiB unless -scenario says otherwise: headgate's there is for the
// repository, all else is beside the tables.
func (b *bench) profiled(ctx context.Context) error {
	if _, err := exec.LookPath("perf"); err != nil {
		return errors.New("perf takes the samples and is not installed (Debian: apt install linux-perf)")
	}
	i := slices.IndexFunc(b.gateways, func(g gateway) bool { return g.name == b.profile })
	if i < 0 {
		return fmt.Errorf("-profile: there is no %s here", b.profile)
	}
	if len(b.loads) == 0 {
		return errors.New("-profile: -scenario names no load")
	}
	g, s := b.gateways[i], b.loads[0]
	name := filepath.Join(b.out, strings.ReplaceAll("profile "+g.name+" "+s.name+".txt", " ", "-"))
	if g.name == "headgate" {
		if s.name == "GET 1 KiB" {
			name = filepath.Join(b.dir, "profile.txt")
		}
		// The one to measure has no symbols.
		named := filepath.Join(b.tmp, "headgate-with-symbols")
		if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", named, "./cmd/headgate").CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w: %s", err, out)
		}
		g.command = append([]string{named}, g.command[1:]...)
	}
	p, err := b.begin(ctx, g)
	if err != nil {
		return err
	}
	if _, err := load(ctx, s, g, p, time.Second); err != nil {
		return err
	}
	for _, dir := range []string{b.out, filepath.Dir(name)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	text, err := b.record(ctx, s, g, p)
	if err != nil {
		return err
	}
	event, symbols, err := parseSymbols(text)
	if err != nil {
		return err
	}
	if len(symbols) == 0 {
		return errors.New("perf took no samples")
	}
	text = profileText(g.name, s.name, event, b.duration, symbols)
	fmt.Fprintf(b.stdout, "%s\nwritten to %s\n", text, name)
	return os.WriteFile(name, []byte(text), 0o644)
}

// record samples p under load and returns what perf reports. Virtual machines
// often have no counters: perf takes a timer then, and says so.
func (b *bench) record(ctx context.Context, s scenario, g gateway, p *process) (string, error) {
	var pids []string
	for _, pid := range p.pids() {
		pids = append(pids, strconv.Itoa(pid))
	}
	data := filepath.Join(b.out, "perf.data") // for a closer look with perf report
	ctx, cancel := context.WithTimeout(ctx, b.duration+60*time.Second)
	defer cancel()
	perf := exec.CommandContext(ctx, "perf", "record", "-q", "-g", "-F", "997", "-e", "cycles", "-o", data,
		"-p", strings.Join(pids, ","), "--", "sleep", strconv.Itoa(int(b.duration.Seconds())))
	var out strings.Builder
	perf.Stdout, perf.Stderr = &out, &out
	if err := perf.Start(); err != nil {
		return "", err
	}
	_, loadErr := load(ctx, s, g, p, b.duration+time.Second)
	if err := perf.Wait(); err != nil {
		return "", fmt.Errorf("perf record: %w: %s", err, out.String())
	}
	if loadErr != nil {
		return "", loadErr
	}
	// Without call graphs: the share of a symbol is of the samples in itself.
	text, err := exec.CommandContext(ctx, "perf", "report", "-i", data, "--stdio", "--no-children", "-g", "none", "-F", "sample,sym", "--sort", "sym").Output()
	if err != nil {
		return "", fmt.Errorf("perf report: %w", err)
	}
	return string(text), nil
}

// symbol is a function with the samples that were taken in it.
type symbol struct {
	name    string
	kernel  bool
	samples int64
}

// parseSymbols reads lines of perf report such as "  120  [k] tcp_sendmsg", and
// what took the samples.
func parseSymbols(text string) (event string, list []symbol, err error) {
	for line := range strings.Lines(text) {
		if _, after, ok := strings.Cut(line, " of event '"); ok {
			event, _, _ = strings.Cut(after, "'")
		}
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "#" || len(f[1]) != 3 || f[1][0] != '[' {
			continue
		}
		n, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			return "", nil, fmt.Errorf("perf report: %q: %w", strings.TrimSpace(line), err)
		}
		list = append(list, symbol{name: strings.Join(f[2:], " "), kernel: f[1] == "[k]", samples: n})
	}
	slices.SortStableFunc(list, func(a, b symbol) int { return int(b.samples - a.samples) })
	return event, list, nil
}

// profileText sums a profile up for people.
func profileText(gateway, scenario, event string, d time.Duration, symbols []symbol) string {
	var all, kernel int64
	for _, s := range symbols {
		all += s.samples
		if s.kernel {
			kernel += s.samples
		}
	}
	share := func(n int64) float64 { return 100 * float64(n) / float64(all) }
	var b strings.Builder
	fmt.Fprintf(&b, "%s during %s for %s: %d samples of %s by perf\n%.1f%% in the kernel, %.1f%% in the gateway\n",
		gateway, scenario, d, all, event, share(kernel), share(all-kernel))
	for _, part := range []struct {
		title  string
		kernel bool
	}{{"kernel", true}, {"gateway", false}} {
		fmt.Fprintf(&b, "\n%s\n", part.title)
		shown := 0
		for _, s := range symbols {
			if s.kernel == part.kernel && shown < 30 {
				fmt.Fprintf(&b, "%6.2f%%  %s\n", share(s.samples), s.name)
				shown++
			}
		}
	}
	return b.String()
}
