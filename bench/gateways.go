//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// gateway is one of what is compared: a program, with the addresses that its
// committed configuration names.
type gateway struct {
	name    string
	plain   string // HTTP/1.1
	tls     string // HTTP/1.1 and h2 over TLS
	files   []string
	built   map[string]string // further files, by name
	command []string
	check   []string // has the program check its configuration; empty: it can't
	env     []string
}

// Whoever counts threads by processors gets two.
func two() []string { return []string{"GOMAXPROCS=2"} }

// backend answers for all of them.
func backend() gateway {
	return gateway{
		name: "backend", plain: "127.0.0.1:18080", files: []string{"backend.conf"},
		command: []string{"nginx", "-p", ".", "-c", "backend.conf"},
		check:   []string{"nginx", "-t", "-p", ".", "-c", "backend.conf"},
	}
}

// gateways lists headgate, and its peers in the order of the tables. Paths of
// files are relative to the directory that each is started in, which has the
// certificate too.
func gateways(headgate string) []gateway {
	return []gateway{
		{
			name: "headgate", plain: "127.0.0.1:18083", tls: "127.0.0.1:18183", files: []string{"headgate.hcl"}, env: two(),
			command: []string{headgate, "run", "headgate.hcl"},
			check:   []string{headgate, "validate", "headgate.hcl"},
		},
		{
			name: "nginx", plain: "127.0.0.1:18081", tls: "127.0.0.1:18181", files: []string{"nginx.conf"},
			command: []string{"nginx", "-p", ".", "-c", "nginx.conf"},
			check:   []string{"nginx", "-t", "-p", ".", "-c", "nginx.conf"},
		},
		{
			name: "haproxy", plain: "127.0.0.1:18082", tls: "127.0.0.1:18182", files: []string{"haproxy.cfg"},
			command: []string{"haproxy", "-db", "-f", "haproxy.cfg"},
			check:   []string{"haproxy", "-c", "-f", "haproxy.cfg"},
		},
		{
			name: "envoy", plain: "127.0.0.1:18084", tls: "127.0.0.1:18184", files: []string{"envoy.yaml"},
			command: []string{"envoy", "-c", "envoy.yaml", "--concurrency", "2", "--disable-hot-restart", "-l", "error"},
			check:   []string{"envoy", "-c", "envoy.yaml", "--mode", "validate"},
		},
		{
			name: "caddy", plain: "127.0.0.1:18085", tls: "127.0.0.1:18185", files: []string{"Caddyfile"}, env: two(),
			command: []string{"caddy", "run", "--config", "Caddyfile"},
			check:   []string{"caddy", "validate", "--config", "Caddyfile"},
		},
		{
			name: "traefik", plain: "127.0.0.1:18086", tls: "127.0.0.1:18186", env: two(),
			files:   []string{"traefik.yaml", "traefik-routes.yaml"},
			command: []string{"traefik", "--configFile=traefik.yaml"},
		},
	}
}

// chosen keeps those that list names, in the order of all; an empty list names
// all.
func chosen(all []gateway, list string) (keep []gateway, unknown []string) {
	if list == "" {
		return all, nil
	}
	names := strings.Split(list, ",")
	for _, g := range all {
		if slices.Contains(names, g.name) {
			keep = append(keep, g)
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(all, func(g gateway) bool { return g.name == n }) {
			unknown = append(unknown, n)
		}
	}
	return keep, unknown
}

// program finds what make bench-peers has made in dir, or else what is
// installed.
func program(name, dir string) (string, error) {
	if built := filepath.Join(dir, name); !strings.ContainsRune(name, '/') {
		if info, err := os.Stat(built); err == nil && info.Mode()&0o111 != 0 {
			return filepath.Abs(built)
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// furnish copies the configuration of g from conf to dir, beside the
// certificate.
func furnish(g gateway, conf, dir string, c certificate) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range g.files {
		b, err := os.ReadFile(filepath.Join(conf, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	for name, path := range g.built {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o644); err != nil {
			return err
		}
	}
	return c.write(dir)
}
