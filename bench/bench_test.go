//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

const wrkOutput = `Running 1s test @ http://127.0.0.1:18081/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.97ms    1.00ms  16.39ms   79.39%
    Req/Sec    16.27k     1.18k   19.65k    75.00%
  Latency Distribution
     50%  890.00us
     75%    2.37ms
     90%    3.10ms
     99%    1.20s
  32475 requests in 1.01s, 38.62MB read
Requests/sec:  32310.97
Transfer/sec:     38.42MB
`

func TestReport(t *testing.T) {
	r, err := parseReport(wrkOutput)
	want := report{requests: 32475, rate: 32310.97, p50: 890 * time.Microsecond, p99: 1200 * time.Millisecond}
	if err != nil || r != want {
		t.Errorf("%+v, %v", r, err)
	}
	for name, out := range map[string]string{
		"nothing":  "",
		"refusals": wrkOutput + "  Non-2xx or 3xx responses: 12\n",
		"errors":   wrkOutput + "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
	} {
		if _, err := parseReport(out); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestStat(t *testing.T) {
	s, err := parseStat("42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 100 50 20 10 20 0 1 0 5 1000 300 18446744073709551615 0\n")
	if err != nil || s != (stat{pid: 42, parent: 7, cpu: 1800 * time.Millisecond, pages: 300}) {
		t.Errorf("%+v, %v", s, err)
	}
	for _, line := range []string{"", "1 (x", "1 (x) S 2"} {
		if _, err := parseStat(line); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := parseStat(string(b)); err != nil || s.pid != os.Getpid() || s.parent != os.Getppid() || s.pages == 0 {
		t.Errorf("self: %+v, %v", s, err)
	}
}

func TestTable(t *testing.T) {
	g := func(name string) *subject { return &subject{gateway: gateway{name: name}, idle: 1 << 20} }
	s := func(cpu ...float64) (list []sample) {
		for _, c := range cpu {
			list = append(list, sample{rate: 1000, cpu: c, p50: time.Millisecond, p99: 2 * time.Millisecond, rss: 3 << 20})
		}
		return list
	}
	text := table(options{rounds: 3, duration: time.Second, conns: 64}, []result{
		summarize("GET", g("headgate"), s(30, 10, 20)), summarize("GET", g("nginx"), s(16, 16, 16)),
	})
	for _, want := range []string{"20.00 us (spread 100%)", "1.25x", "1.00x", "3.0 MiB", "1.0 MiB"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	width := -1
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if width >= 0 && len(line) != width {
			t.Error(fmt.Sprint("ragged table:\n", text))
		}
		width = len(line)
	}
}
