//go:build linux

package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// result is one gateway under one load: medians of its samples.
type result struct {
	scenario, name string
	sample
	spread float64 // of cpu: the largest less the smallest, of the median
}

func summarize(scenario, name string, s []sample) result {
	cpus := by(s, func(s sample) float64 { return s.cpu })
	cpu := median(cpus)
	return result{
		scenario: scenario, name: name,
		spread: (slices.Max(cpus) - slices.Min(cpus)) / cpu,
		sample: sample{
			cpu:    cpu,
			kernel: median(by(s, func(s sample) float64 { return s.kernel })),
			report: report{
				rate: median(by(s, func(s sample) float64 { return s.rate })),
				p50:  median(by(s, func(s sample) time.Duration { return s.p50 })),
				p99:  median(by(s, func(s sample) time.Duration { return s.p99 })),
			},
			memory: slices.Max(by(s, func(s sample) int64 { return s.memory })),
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

// loadTable returns the results as Markdown, which is legible in a terminal too.
func loadTable(results []result) string {
	beside := func(r result, peer string) string {
		i := slices.IndexFunc(results, func(p result) bool { return p.name == peer && p.scenario == r.scenario })
		if i < 0 || results[i].cpu == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2fx", r.cpu/results[i].cpu)
	}
	rows := [][]string{{"load", "gateway", "CPU per request", "beside nginx", "beside haproxy", "in the kernel", "p99", "requests/s", "p50", "memory"}}
	for _, r := range results {
		rows = append(rows, []string{
			r.scenario, r.name, fmt.Sprintf("%.2f us (spread %.0f%%)", r.cpu, 100*r.spread), beside(r, "nginx"), beside(r, "haproxy"),
			fmt.Sprintf("%.0f%%", 100*r.kernel), round(r.p99), fmt.Sprintf("%.0f", r.rate), round(r.p50), mebibytes(r.memory),
		})
	}
	return aligned(rows)
}

// restTable returns what the gateways take without load, with a column for each
// kind of idle connection.
func restTable(idles []idleness, rests []*rest) string {
	head := []string{"gateway", "start to first answer", "memory"}
	for _, s := range idles {
		head = append(head, s.name)
	}
	rows := [][]string{head}
	for _, r := range rests {
		row := []string{r.name, round(median(r.starts)), mebibytes(r.idle)}
		for _, s := range idles {
			cell := "-"
			if per, ok := r.per[s.name]; ok {
				cell = fmt.Sprintf("%.1f KiB", per/(1<<10))
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return aligned(rows)
}

// aligned lays rows out as a table of Markdown; the first is the head.
func aligned(rows [][]string) string {
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
	return b.String()
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// round keeps three digits or so.
func round(d time.Duration) string {
	if d >= 10*time.Millisecond {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// publish prints the tables and keeps them as a file.
func (b *bench) publish(results []result, rests []*rest, slow []slowResult) error {
	var text strings.Builder
	if len(results) > 0 {
		fmt.Fprintf(&text, "%s\nMedians of %d interleaved runs of %s with %d connections (h2: %d); two workers each, upstream keep-alive on, logs off.\n"+
			"CPU is user and system time of all processes of a gateway. Load, backend and gateway share %d cores.\n\n",
			loadTable(results), b.rounds, b.duration, b.conns, sessions, runtime.NumCPU())
	}
	if len(rests) > 0 {
		fmt.Fprintf(&text, "%s\nEach in a process that has done nothing else. Memory is the proportional set of all processes of a gateway, without the\n"+
			"kernel's; what an idle connection takes is the growth of it after one answered request on each, shared among them.\n\n", restTable(b.idles, rests))
	}
	if len(slow) > 0 {
		fmt.Fprintf(&text, "%s\n%d connections; an endpoint takes %s for an answer, the slow one %s. Measured for %s from 3 s after it turned slow.\n\n",
			slowTable(slow), slowConns, quickTime, slowTime, b.duration)
	}
	fmt.Fprintf(b.stdout, "\n%s", text.String())
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	name := filepath.Join(b.out, time.Now().UTC().Format("2006-01-02T15-04-05Z")+".md")
	if err := os.WriteFile(name, []byte("# Benchmark\n\n"+text.String()), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(b.stdout, "written to %s\n", name)
	return nil
}
