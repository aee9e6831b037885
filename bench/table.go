//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// sample is one run.
type sample struct {
	rate     float64 // per second
	cpu      float64 // microseconds per request
	p50, p99 time.Duration
	rss      int64
}

// result is one gateway under one load: medians of its samples.
type result struct {
	scenario, name string
	sample
	spread float64 // of cpu: the largest less the smallest, of the median
	idle   int64
}

func summarize(scenario string, g *subject, s []sample) result {
	cpus := by(s, func(s sample) float64 { return s.cpu })
	cpu := median(cpus)
	return result{
		scenario: scenario, name: g.name, idle: g.idle,
		spread: (slices.Max(cpus) - slices.Min(cpus)) / cpu,
		sample: sample{
			rate: median(by(s, func(s sample) float64 { return s.rate })),
			cpu:  cpu,
			p50:  median(by(s, func(s sample) time.Duration { return s.p50 })),
			p99:  median(by(s, func(s sample) time.Duration { return s.p99 })),
			rss:  slices.Max(by(s, func(s sample) int64 { return s.rss })),
		},
	}
}

func by[T any](s []sample, get func(sample) T) []T {
	var list []T
	for _, x := range s {
		list = append(list, get(x))
	}
	return list
}

func median[T cmp.Ordered](list []T) T {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// table returns the results as Markdown, which is legible in a terminal too.
func table(o options, results []result) string {
	rows := [][]string{{"load", "gateway", "CPU per request", "beside nginx", "requests/s", "p50", "p99", "RSS under load", "RSS idle"}}
	nginx := map[string]float64{}
	for _, r := range results {
		if r.name == "nginx" {
			nginx[r.scenario] = r.cpu
		}
	}
	for _, r := range results {
		beside := "-"
		if base := nginx[r.scenario]; base > 0 {
			beside = fmt.Sprintf("%.2fx", r.cpu/base)
		}
		rows = append(rows, []string{
			r.scenario, r.name, fmt.Sprintf("%.2f us (spread %.0f%%)", r.cpu, 100*r.spread), beside, fmt.Sprintf("%.0f", r.rate),
			r.p50.String(), r.p99.String(), mebibytes(r.rss), mebibytes(r.idle),
		})
	}
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(&b, "| %-*s ", width[i], cell)
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for _, w := range width {
			b.WriteString("| " + strings.Repeat("-", w) + " ")
		}
		b.WriteString("|\n")
	}
	fmt.Fprintf(&b, "\nMedians of %d interleaved runs of %s with %d connections; two workers each, upstream keep-alive on, logs off.\n"+
		"CPU is user and system time of all processes of a gateway. Load, backend and gateway share %d cores.\n",
		o.rounds, o.duration, o.conns, runtime.NumCPU())
	return b.String()
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// publish prints the table and keeps it as a file.
func publish(o options, results []result, stdout io.Writer) error {
	text := table(o, results)
	fmt.Fprintf(stdout, "\n%s", text)
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	name := filepath.Join(o.out, time.Now().UTC().Format("2006-01-02T15-04-05Z")+".md")
	if err := os.WriteFile(name, []byte("# Benchmark\n\n"+text), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nwritten to %s\n", name)
	return nil
}
