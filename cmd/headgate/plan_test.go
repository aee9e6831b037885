package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/gateway"
)

const planned = `gateway {
  admin {
    address = "127.0.0.1:0"
  }
}
variable "key" {
  default   = "hunter2"
  sensitive = true
}
locals {
  version = "v1"
}
upstream "orders" {
  endpoint "127.0.0.1:1" {}
  endpoint "127.0.0.1:2" {
    weight = 2
  }
}
route "team" {
  for_each = toset(["a", "b"])
  path     = "/team/${each.key}/{id}"
  upstream = upstream.orders
  rewrite {
    path = "/${local.version}/${each.key}/${path.id}"
  }
  request_headers {
    set = {
      x-key = "k-${var.key}"
    }
  }
}
route "hello" {
  path = "/hello"
  respond {
    body = "hello"
  }
}
`

// serve runs a gateway on a configuration until the test ends, and returns the
// base of its admin API.
func serve(t *testing.T, dir string) string {
	t.Helper()
	g, err := gateway.Start(context.Background(), gateway.Options{
		Source: config.Source{Paths: []string{dir}, Env: os.LookupEnv}, Stdout: io.Discard, Stderr: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return "http://" + g.Addrs()["admin"].String()
}

func TestPlan(t *testing.T) {
	dir, _ := write(t, planned)
	admin := serve(t, dir)
	for _, c := range []struct {
		name string
		edit func(string) string
		want string // # stands for the path of the file
	}{
		{"nothing", func(s string) string { return s }, "Nothing changes.\n"},
		{"layout", func(s string) string {
			return "# more\n\n" + strings.Replace(s, "weight = 2", "weight    =   1 + 1", 1)
		}, "Nothing changes.\n"},
		{"an argument", func(s string) string {
			return strings.Replace(s, `"hello"
  }`, `"hi"
  }`, 1)
		}, `~ route "hello"  # #:32
    ~ respond  # #:34
        ~ body = "hello" -> "hi"

0 to add, 1 to change, 0 to remove.
`},
		{"a local value", func(s string) string { return strings.Replace(s, `"v1"`, `"v2"`, 1) }, `~ locals  # #:10
    ~ version = "v1" -> "v2"
~ route "team[\"a\"]"  # #:19
    ~ rewrite  # #:23
        ~ path = "/v1/a/${path.id}" -> "/v2/a/${path.id}"
`},
		{"a sensitive value", func(s string) string { return strings.Replace(s, "hunter2", "hunter3", 1) }, `~ variable "key"  # #:6
    ~ value = "(sensitive`},
		{"instances", func(s string) string { return strings.Replace(s, `["a", "b"]`, `["a", "c"]`, 1) }, `+ route "team[\"c\"]"  # #:19
- route "team[\"b\"]"  # #:19

1 to add, 0 to change, 1 to remove.
`},
		{"blocks", func(s string) string { return strings.Replace(s, `  endpoint "127.0.0.1:1" {}`, `  timeout = "1s"`, 1) }, `~ upstream "orders"  # #:13
    + timeout = "1s"
    - endpoint "127.0.0.1:1"  # #:14

0 to add, 1 to change, 0 to remove.
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, file := write(t, c.edit(planned))
			code, out, stderr := call("", "plan", "-admin", admin, next)
			out = strings.ReplaceAll(out, file, "#")
			out = strings.ReplaceAll(out, filepath.Join(dir, filepath.Base(file)), "#")
			if strings.Contains(out, "hunter") {
				t.Errorf("a sensitive value in\n%s", out)
			}
			if code != exitOK || !strings.HasPrefix(out, c.want) {
				t.Errorf("exit code %d %s\n%s\nwant\n%s", code, stderr, out, c.want)
			}
		})
	}
	t.Run("json", func(t *testing.T) {
		next, _ := write(t, strings.Replace(planned, "/hello", "/hi", 1))
		var changes []config.Change
		if _, out, _ := call("", "plan", "-o", "json", "-admin", admin, next); json.Unmarshal([]byte(out), &changes) != nil ||
			len(changes) != 1 || changes[0].Arguments[0].New != "/hi" {
			t.Errorf("got %s", out)
		}
	})
	t.Run("errors", func(t *testing.T) {
		next, _ := write(t, strings.Replace(planned, "upstream.orders", "upstream.ordrs", 1))
		if code, _, stderr := call("", "plan", "-admin", admin, next); code != exitInput || !strings.Contains(stderr, `Did you mean "orders"?`) {
			t.Errorf("%d %s", code, stderr)
		}
	})
	t.Run("explain asks the running gateway", func(t *testing.T) {
		if code, out, stderr := call("", "explain", "-admin", admin, "GET", "http://x/hello"); code != exitOK || !strings.Contains(out, "route     hello") {
			t.Errorf("%d %s%s", code, out, stderr)
		}
		if code, _, stderr := call("", "explain", "-admin", admin, "GET", "/hello"); code != exitInput || !strings.Contains(stderr, "not a URL") {
			t.Errorf("%d %s", code, stderr)
		}
	})
	t.Run("routes asks the running gateway", func(t *testing.T) {
		if code, out, stderr := call("", "routes", "-admin", admin); code != exitOK || !strings.Contains(out, `team["a"]`) {
			t.Errorf("%d %s%s", code, out, stderr)
		}
	})
}
