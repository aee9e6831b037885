package config

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestCheckAsksNobody builds a configuration only to check it: no name is looked
// up and no endpoint is asked.
func TestCheckAsksNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	deps := testDeps(t)
	deps.Check = true
	g := checked(t, deps, `
upstream "named" {
  dns {
    name = "headgate.invalid"
    port = 80
  }
}
upstream "asked" {
  endpoint "`+l.Addr().String()+`" {}
  health_check { interval = "10ms" }
}
`)
	defer g.Close()
	if d := deps.Upstreams.Discoveries(); len(d) != 0 {
		t.Errorf("looked up: %+v", d)
	}
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(100 * time.Millisecond))
	if c, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an endpoint was asked: %v, %v", c, err)
	}
}

// TestCheckLogFile finds what a start would fail at, and makes no file.
func TestCheckLogFile(t *testing.T) {
	deps := testDeps(t)
	deps.Check = true
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir + "/a.log":      "",
		dir + "/none/a.log": "there is no directory",
		dir:                 "it is a directory",
	} {
		c, d := Load(Source{Paths: []string{write(t, map[string]string{"x.hcl": `gateway {
  access_log { path = "` + path + `" }
}`})}})
		if d.HasErrors() {
			t.Fatal(d.Text())
		}
		g, d := Build(t.Context(), c, deps)
		if want == "" {
			if d.HasErrors() {
				t.Error(d.Text())
				continue
			}
			g.Close()
		} else if !strings.Contains(d.Text(), want) {
			t.Errorf("%s: no %q in\n%s", path, want, d.Text())
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("a check made %v", left)
	}
}

func checked(t *testing.T, deps Deps, text string) *Generation {
	t.Helper()
	c, d := Load(Source{Paths: []string{write(t, map[string]string{"x.hcl": text})}})
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	g, d := Build(t.Context(), c, deps)
	if d.HasErrors() {
		t.Fatal(d.Text())
	}
	return g
}
