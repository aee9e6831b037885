//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// slowName is what -scenario calls the contest in which one of five endpoints
// turns slow.
const slowName = "slow endpoint"

const (
	slowAddress = "127.0.0.1:18087" // of every gateway, one after the other
	quickTime   = 5 * time.Millisecond
	slowTime    = 20 * quickTime
	slowConns   = 64
)

// slowContestants lists the gateways with the way that each chooses.
func slowContestants(headgate string) []gateway {
	ours := func(name string, vars ...string) gateway {
		g := gateway{name: name, plain: slowAddress, files: []string{"slow.hcl"}, env: two(), command: []string{headgate, "run"}}
		for _, v := range vars {
			g.command = append(g.command, "-var", v)
		}
		g.command = append(g.command, "slow.hcl")
		return g
	}
	return []gateway{
		ours("headgate, least_request"),
		ours("headgate, ewma", "balance=ewma"),
		ours("headgate, least_request and outlier_detection", "factor=3"),
		{name: "haproxy, leastconn", plain: slowAddress, files: []string{"slow.cfg"}, command: []string{"haproxy", "-db", "-f", "slow.cfg"}},
		{name: "nginx, round robin", plain: slowAddress, files: []string{"slow.conf"}, command: []string{"nginx", "-p", ".", "-c", "slow.conf"}},
	}
}

// slowResult is what clients saw before and after.
type slowResult struct {
	name          string
	before, after report
}

// serveSlow starts the five endpoints. The first one is slow while slow is set.
func serveSlow(slow *atomic.Bool) (stop func(), err error) {
	var servers []*http.Server
	stop = func() {
		for _, s := range servers {
			s.Close()
		}
	}
	for i := range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(18091+i))
		if err != nil {
			stop()
			return nil, err
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if i == 0 && slow.Load() {
				time.Sleep(slowTime)
			} else {
				time.Sleep(quickTime)
			}
			_, _ = w.Write(make([]byte, 1024))
		})}
		servers = append(servers, s)
		go func() { _ = s.Serve(l) }()
	}
	return stop, nil
}

// slowly runs the contest: a load on healthy endpoints, then one turns slow, and
// after three seconds the load is measured again.
func (b *bench) slowly(ctx context.Context) ([]slowResult, error) {
	var slow atomic.Bool
	stop, err := serveSlow(&slow)
	if err != nil {
		return nil, err
	}
	defer stop()
	var results []slowResult
	for _, g := range slowContestants(b.headgate) {
		path, err := program(g.command[0], filepath.Join(b.out, "peers"))
		if err != nil {
			fmt.Fprintf(b.stdout, "%s is not installed and passed over\n", g.name)
			continue
		}
		g.command = append([]string{path}, g.command[1:]...)
		r := slowResult{name: g.name}
		slow.Store(false)
		p, err := b.begin(ctx, g)
		if err == nil {
			r.before, r.after, err = b.slowLoad(ctx, &slow)
			b.end(p)
		}
		if err != nil {
			b.failed(slowName, g.name, err)
			continue
		}
		results = append(results, r)
	}
	if len(results) == 0 {
		return nil, errors.New("no gateway could be measured")
	}
	return results, nil
}

func (b *bench) slowLoad(ctx context.Context, slow *atomic.Bool) (before, after report, err error) {
	url := "http://" + slowAddress + "/"
	if _, err = wrk(ctx, url, slowConns, time.Second, nil); err != nil {
		return before, after, err
	}
	if before, err = wrk(ctx, url, slowConns, b.duration, nil); err != nil {
		return before, after, err
	}
	slow.Store(true)
	if _, err = wrk(ctx, url, slowConns, 3*time.Second, nil); err != nil {
		return before, after, err
	}
	after, err = wrk(ctx, url, slowConns, b.duration, nil)
	return before, after, err
}

// slowTable returns the results as Markdown.
func slowTable(results []slowResult) string {
	var t strings.Builder
	t.WriteString("| one of five endpoints turns 20 times slower | p50 | p99 | req/s | p99 before | req/s before |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range results {
		fmt.Fprintf(&t, "| %s | %s | %s | %.0f | %s | %.0f |\n", r.name, shortTime(r.after.p50), shortTime(r.after.p99), r.after.rate, shortTime(r.before.p99), r.before.rate)
	}
	return t.String()
}

func shortTime(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
