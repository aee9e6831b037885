//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// sessions is how many connections share the streams of h2load: with 100 streams
// on each they need fewer connections to the backend than are kept.
const sessions = 4

// h2load loads url over HTTP/2 with the given number of streams on each
// connection.
func h2load(ctx context.Context, url string, streams int, d time.Duration) (report, error) {
	ctx, cancel := context.WithTimeout(ctx, d+15*time.Second)
	defer cancel()
	dir, err := os.MkdirTemp("", "bench-h2load-")
	if err != nil {
		return report{}, err
	}
	defer os.RemoveAll(dir)
	log := filepath.Join(dir, "requests")
	out, err := exec.CommandContext(ctx, "h2load", "-t2", "-c"+strconv.Itoa(sessions), "-m"+strconv.Itoa(streams),
		fmt.Sprintf("-D%ds", int(d.Seconds())), "--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--npn-list=h2", "--log-file="+log, url).CombinedOutput()
	if err != nil {
		return report{}, fmt.Errorf("h2load: %w: %s", err, out)
	}
	if err := checkH2load(string(out)); err != nil {
		return report{}, err
	}
	f, err := os.Open(log)
	if err != nil {
		return report{}, err
	}
	defer f.Close()
	times, err := parseLog(f)
	if err != nil {
		return report{}, err
	}
	return newReport(times, d)
}

// checkH2load looks for failures in what h2load prints. The figures come from
// its log, for it prints no percentiles.
func checkH2load(out string) error {
	if !strings.Contains(out, "Application protocol: h2") {
		return errors.New("no HTTP/2: " + out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "requests:") && !strings.Contains(line, " 0 failed, 0 errored, 0 timeout") {
			return errors.New("answers that are no success: " + strings.TrimSpace(line))
		}
	}
	return nil
}

// parseLog reads a line for each request: when it began and what it was answered,
// and how many microseconds it took.
func parseLog(r io.Reader) (times []time.Duration, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 3 {
			return nil, fmt.Errorf("no request in the log of h2load: %q", lines.Text())
		}
		us, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil || f[1] != "200" {
			return nil, fmt.Errorf("no success in the log of h2load: %q", lines.Text())
		}
		times = append(times, time.Duration(us)*time.Microsecond)
	}
	return times, lines.Err()
}
