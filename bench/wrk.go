//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// wrk loads url with conns connections for d.
func wrk(ctx context.Context, url string, conns int, d time.Duration, more []string) (report, error) {
	ctx, cancel := context.WithTimeout(ctx, d+15*time.Second)
	defer cancel()
	args := append([]string{"-t2", "-c" + strconv.Itoa(conns), fmt.Sprintf("-d%ds", int(d.Seconds())), "--latency", "--timeout", "10s"}, more...)
	out, err := exec.CommandContext(ctx, "wrk", append(args, url)...).CombinedOutput()
	if err != nil {
		return report{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	return parseReport(string(out))
}

func parseReport(out string) (r report, err error) {
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "50%":
			r.p50, err = time.ParseDuration(f[1])
		case len(f) == 2 && f[0] == "99%":
			r.p99, err = time.ParseDuration(f[1])
		case len(f) == 2 && f[0] == "Requests/sec:":
			r.rate, err = strconv.ParseFloat(f[1], 64)
		case len(f) > 2 && f[1] == "requests" && f[2] == "in":
			r.requests, err = strconv.ParseInt(f[0], 10, 64)
		case strings.Contains(line, "Non-2xx"), strings.Contains(line, "Socket errors"):
			err = errors.New("answers that are no success: " + strings.TrimSpace(line))
		}
		if err != nil {
			return r, err
		}
	}
	if r.requests == 0 || r.rate == 0 || r.p50 == 0 || r.p99 == 0 {
		return r, fmt.Errorf("no numbers in the output of wrk:\n%s", out)
	}
	return r, nil
}
