//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"time"
)

// sample is one run.
type sample struct {
	report
	cpu    float64 // microseconds per request
	kernel float64 // the share of it in the kernel, 0 to 1
	memory int64
}

// measure loads gateways in turns, so that what else the machine does falls on all
// of them.
func (b *bench) measure(ctx context.Context, gateways []gateway, loads []scenario) ([]result, error) {
	if len(loads) == 0 {
		return nil, nil
	}
	processes := map[string]*process{}
	for _, g := range gateways {
		p, err := b.begin(ctx, g)
		if err != nil {
			return nil, err
		}
		defer b.end(p) // the next contest may want its address
		processes[g.name] = p
	}
	var results []result
	for _, s := range loads {
		samples := map[string][]sample{}
		warm := 0 // a single round only shows that everything works
		if b.rounds == 1 {
			warm = 1
		}
		for round := warm; round <= b.rounds; round++ { // round 0 warms up and is not counted
			d := b.duration
			if round == 0 {
				d = time.Second
			}
			for _, g := range gateways {
				if s.tls && g.tls == "" {
					continue
				}
				m, err := load(ctx, s, g, processes[g.name], d)
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if err != nil {
					b.failed(s.name, g.name, err)
					continue
				}
				if round == 0 {
					continue
				}
				samples[g.name] = append(samples[g.name], m)
				fmt.Fprintf(b.stdout, "%-16s %d/%d  %-9s %8.0f requests/s  %7.2f us of CPU per request\n", s.name, round, b.rounds, g.name, m.rate, m.cpu)
			}
		}
		for _, g := range gateways {
			if list := samples[g.name]; len(list) > 0 {
				results = append(results, summarize(s.name, g.name, list))
			}
		}
	}
	return results, nil
}

// failed notes what one gateway could not do under one load. The rest is measured
// all the same, since that may have taken long already.
func (b *bench) failed(scenario, gateway string, err error) {
	err = fmt.Errorf("%s, %s: %w", scenario, gateway, err)
	fmt.Fprintln(b.stdout, err)
	b.failures = append(b.failures, err)
}

// load runs one load and takes what it cost.
func load(ctx context.Context, s scenario, g gateway, p *process, d time.Duration) (sample, error) {
	all, kernel := p.cpu()
	r, err := s.load(ctx, g, d)
	if err != nil {
		return sample{}, err
	}
	allNow, kernelNow := p.cpu()
	used := max(allNow-all, 1)
	return sample{
		report: r, memory: p.memory(),
		cpu:    float64(used.Microseconds()) / float64(r.requests),
		kernel: float64(kernelNow-kernel) / float64(used),
	}, nil
}

// rest is what a gateway takes without load.
type rest struct {
	name   string
	starts []time.Duration // to the first answer
	idle   int64           // bytes of memory without a connection
	per    map[string]float64
}

// rest measures starts, and memory of connections that do nothing, each in a
// process that has done nothing else.
func (b *bench) rest(ctx context.Context) ([]*rest, error) {
	if !b.starts && len(b.idles) == 0 {
		return nil, nil
	}
	var all []*rest
	for _, g := range b.gateways {
		all = append(all, &rest{name: g.name, per: map[string]float64{}})
	}
	for range b.rounds {
		for i, g := range b.gateways {
			p, err := b.begin(ctx, g)
			if err != nil {
				return nil, err
			}
			all[i].starts = append(all[i].starts, p.took)
			all[i].idle = settled(p)
			b.end(p)
		}
	}
	for _, s := range b.idles {
		for i, g := range b.gateways {
			if s.tls && g.tls == "" {
				continue
			}
			per, err := b.sit(ctx, s, g)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				b.failed(s.name, g.name, err)
				continue
			}
			all[i].per[s.name] = per
			fmt.Fprintf(b.stdout, "%-16s      %-9s %8.1f KiB for each connection\n", s.name, g.name, per/(1<<10))
		}
	}
	return all, nil
}

// sit holds connections open and returns the bytes that each of them takes.
func (b *bench) sit(ctx context.Context, s idleness, g gateway) (float64, error) {
	p, err := b.begin(ctx, g)
	if err != nil {
		return 0, err
	}
	defer b.end(p)
	before := settled(p)
	conns, err := b.dial.idle(ctx, s.count, func(ctx context.Context) (net.Conn, error) { return s.open(ctx, g) })
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	if err != nil {
		return 0, err
	}
	return float64(settled(p)-before) / float64(s.count), nil
}

// settled returns the memory of p when it no longer changes much.
func settled(p *process) int64 {
	last := p.memory()
	for range 10 {
		time.Sleep(200 * time.Millisecond)
		now := p.memory()
		if max(now-last, last-now) < last/200 {
			return now
		}
		last = now
	}
	return last
}
