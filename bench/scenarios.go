//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"
)

// scenario is one kind of load.
type scenario struct {
	name  string
	needs string // the program that makes the load; empty: this one
	tls   bool
	load  func(ctx context.Context, g gateway, d time.Duration) (report, error)
}

// scenarios lists the loads in the order of the table.
func scenarios(conf string, conns int, dial *dialer) []scenario {
	script := func(name string) []string { return []string{"-s", filepath.Join(conf, name)} }
	plain := func(name, path string, more ...string) scenario {
		return scenario{name: name, needs: "wrk", load: func(ctx context.Context, g gateway, d time.Duration) (report, error) {
			return wrk(ctx, "http://"+g.plain+path, conns, d, more)
		}}
	}
	h2 := func(name string, streams int) scenario {
		return scenario{name: name, needs: "h2load", tls: true, load: func(ctx context.Context, g gateway, d time.Duration) (report, error) {
			return h2load(ctx, "https://"+g.tls+"/", streams, d)
		}}
	}
	return []scenario{
		plain("GET 1 KiB", "/"),
		plain("GET 64 KiB", "/64k"),
		plain("GET 1 MiB", "/1m"),
		plain("POST 4 KiB", "/body", script("post.lua")...),
		plain("chunked 4 KiB", "/chunked", script("chunked.lua")...),
		{name: "TLS GET 1 KiB", needs: "wrk", tls: true, load: func(ctx context.Context, g gateway, d time.Duration) (report, error) {
			return wrk(ctx, "https://"+g.tls+"/", conns, d, nil)
		}},
		{name: "TLS handshake", tls: true, load: func(ctx context.Context, g gateway, d time.Duration) (report, error) {
			return dial.handshakes(ctx, g.tls, d)
		}},
		h2("h2, 1 stream", 1),
		h2("h2, 10 streams", 10),
		h2("h2, 100 streams", 100),
	}
}

// idleness is a number of connections of one kind that do nothing.
type idleness struct {
	name  string
	tls   bool
	count int
	open  func(ctx context.Context, g gateway) (net.Conn, error)
}

// idlenesses lists the columns of the table of memory.
func idlenesses(dial *dialer) (list []idleness) {
	kinds := []idleness{
		{name: "plain", open: func(ctx context.Context, g gateway) (net.Conn, error) {
			c, err := dial.plain(ctx, g.plain)
			return asked(c, err, func(c net.Conn) error { return get(c, "keep-alive") })
		}},
		{name: "TLS", tls: true, open: func(ctx context.Context, g gateway) (net.Conn, error) {
			c, err := dial.tls(ctx, g.tls, "http/1.1")
			return asked(c, err, func(c net.Conn) error { return get(c, "keep-alive") })
		}},
		{name: "h2", tls: true, open: func(ctx context.Context, g gateway) (net.Conn, error) {
			c, err := dial.tls(ctx, g.tls, "h2")
			return asked(c, err, get2)
		}},
	}
	for _, n := range []int{1000, 10000} {
		for _, k := range kinds {
			k.name, k.count = fmt.Sprintf("idle %d %s", n, k.name), n
			list = append(list, k)
		}
	}
	return list
}

// asked has one request answered on c and closes it if that fails.
func asked(c net.Conn, err error, ask func(net.Conn) error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	if err := ask(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, c.SetDeadline(time.Time{})
}
