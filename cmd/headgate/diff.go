package main

import (
	"fmt"
	"io"
	"strings"
)

// around is the number of lines shown before and after a difference.
const around = 3

// writeDiff writes a unified diff. Formatting changes lines but neither adds
// nor removes them, so lines are compared one by one; the end of the shorter
// text is the only place where that does not hold.
func writeDiff(w io.Writer, name, before, after string) {
	a, b := lines(before), lines(after)
	n := max(len(a), len(b))
	same := func(i int) bool { return i < len(a) && i < len(b) && a[i] == b[i] }
	fmt.Fprintf(w, "--- %s\n+++ %s (formatted)\n", name, name)
	for i := 0; i < n; i++ {
		if same(i) {
			continue
		}
		last := i // changed line of this hunk
		for j := i + 1; j < n && j <= last+2*around; j++ {
			if !same(j) {
				last = j
			}
		}
		start, end := max(0, i-around), min(n, last+1+around)
		fmt.Fprintf(w, "@@ -%s +%s @@\n", span(start, min(end, len(a))), span(start, min(end, len(b))))
		hunk(w, a, b, start, end)
		i = end - 1
	}
}

func span(from, to int) string { return fmt.Sprintf("%d,%d", from+1, max(0, to-from)) }

// hunk writes lines [start, end), each run of changed ones as what goes and
// what comes.
func hunk(w io.Writer, a, b []string, start, end int) {
	for i := start; i < end; {
		if i < len(a) && i < len(b) && a[i] == b[i] {
			fmt.Fprintf(w, " %s\n", a[i])
			i++
			continue
		}
		j := i
		for j < end && !(j < len(a) && j < len(b) && a[j] == b[j]) {
			j++
		}
		for _, l := range a[min(i, len(a)):min(j, len(a))] {
			fmt.Fprintf(w, "-%s\n", l)
		}
		for _, l := range b[min(i, len(b)):min(j, len(b))] {
			fmt.Fprintf(w, "+%s\n", l)
		}
		i = j
	}
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}
