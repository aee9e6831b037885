//go:build linux

package main

import (
	"os"
	"slices"
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
	if err != nil || s != (stat{pid: 42, parent: 7, cpu: 1800 * time.Millisecond, kernel: 600 * time.Millisecond, pages: 300}) {
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

func TestPSS(t *testing.T) {
	n, err := parsePSS("5581c7c9d000-7ffd5d5fe000 ---p 00000000 00:00 0    [rollup]\nRss:  1760 kB\nPss:   186 kB\nPss_Dirty:   156 kB\n")
	if err != nil || n != 186<<10 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := parsePSS("Rss: 1 kB\n"); err == nil {
		t.Error("nothing: no error")
	}
}

func TestLogOfH2load(t *testing.T) {
	times, err := parseLog(strings.NewReader("1795445106129538\t200\t1500\n1795445106129540\t200\t900\n"))
	if want := []time.Duration{1500 * time.Microsecond, 900 * time.Microsecond}; err != nil || !slices.Equal(times, want) {
		t.Errorf("%v, %v", times, err)
	}
	for name, log := range map[string]string{"refusal": "1\t503\t10\n", "reset": "1\t-1\t10\n", "columns": "200\n", "number": "1\t200\tx\n"} {
		if _, err := parseLog(strings.NewReader(log)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	const fine = "Application protocol: h2\nrequests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout\n"
	if err := checkH2load(fine); err != nil {
		t.Error(err)
	}
	for name, out := range map[string]string{
		"HTTP/1.1": strings.Replace(fine, ": h2", ": http/1.1", 1),
		"failures": strings.Replace(fine, "0 failed", "2 failed", 1),
	} {
		if err := checkH2load(out); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNewReport(t *testing.T) {
	var times []time.Duration
	for i := range 200 {
		times = append(times, time.Duration(200-i)*time.Millisecond)
	}
	r, err := newReport(times, 2*time.Second)
	if want := (report{requests: 200, rate: 100, p50: 101 * time.Millisecond, p99: 199 * time.Millisecond}); err != nil || r != want {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := newReport(nil, time.Second); err == nil {
		t.Error("nothing: no error")
	}
}

func TestProfile(t *testing.T) {
	event, symbols, err := parseSymbols("# Samples: 1K of event 'cpu-clock'\n#\n#  Samples  Symbol\n# ........  ......\n\n" +
		"     100  [.] main.(*T).Do[...]\n     300  [k] tcp_sendmsg\n\n")
	want := []symbol{{name: "tcp_sendmsg", kernel: true, samples: 300}, {name: "main.(*T).Do[...]", samples: 100}}
	if err != nil || event != "cpu-clock" || !slices.Equal(symbols, want) {
		t.Fatalf("%q, %+v, %v", event, symbols, err)
	}
	text := profileText("headgate", "GET", event, time.Second, symbols)
	for _, want := range []string{"400 samples of cpu-clock", "75.0% in the kernel, 25.0% in the gateway", " 75.00%  tcp_sendmsg", " 25.00%  main.(*T).Do[...]"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, args := range [][]string{{"-duration", "10ms"}, {"-rounds", "0"}, {"-conns", "1"}, {"more"}} {
		if _, err := parseOptions(args); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
	keep, unknown := chosen(gateways("headgate"), "nginx,headgate,ngimx")
	if len(keep) != 2 || keep[0].name != "headgate" || keep[1].name != "nginx" || !slices.Equal(unknown, []string{"ngimx"}) {
		t.Errorf("%v, %v", keep, unknown)
	}
}

func TestTables(t *testing.T) {
	s := func(cpu ...float64) (list []sample) {
		for _, c := range cpu {
			list = append(list, sample{report: report{rate: 1000, p50: time.Millisecond, p99: 2 * time.Millisecond}, cpu: c, kernel: 0.75, memory: 3 << 20})
		}
		return list
	}
	loads := loadTable([]result{
		summarize("GET", "headgate", s(30, 10, 20)), summarize("GET", "nginx", s(16, 16, 16)), summarize("GET", "haproxy", s(10)),
	})
	rests := restTable([]idleness{{name: "idle 1000 plain"}, {name: "idle 1000 TLS"}}, []*rest{
		{name: "headgate", starts: []time.Duration{30 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond}, idle: 5 << 20,
			per: map[string]float64{"idle 1000 plain": 2560}},
	})
	for text, wants := range map[string][]string{
		loads: {"20.00 us (spread 100%)", "1.25x", "2.00x", "1.00x", "75%", "3.0 MiB"},
		rests: {"20ms", "5.0 MiB", "2.5 KiB", "| - "},
	} {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		width := -1
		for line := range strings.Lines(text) {
			if width >= 0 && len(line) != width {
				t.Errorf("ragged table:\n%s", text)
			}
			width = len(line)
		}
	}
}
