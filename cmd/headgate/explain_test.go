package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/gateway"
)

const shop = `listener "public" {
  address = "127.0.0.1:8080"
}

listener "inner" {
  address = "127.0.0.1:8081"
}

upstream "orders" {
  endpoint "127.0.0.1:1" {}
}

variable "key" {
  default   = "hunter2"
  sensitive = true
}

route "order" {
  hosts    = ["api.example.com"]
  path     = "/orders/{id}"
  methods  = ["GET"]
  upstream = upstream.orders
  rewrite {
    path = "/v2/orders/${path.id}"
  }
  request_headers {
    set = {
      x-key  = var.key
      x-user = request.header["x-name"]
    }
  }
}

route "beta" {
  hosts = ["api.example.com"]
  path  = "/orders/{id}"
  match {
    header "x-version" {
      equals = "2"
    }
    header "x-secret" {
      equals = var.key
    }
  }
  respond {
    status = 204
  }
}

route "inner" {
  listeners   = [listener.inner]
  path_prefix = "/orders"
  upstream    = upstream.orders
}

route "rest" {
  respond {
    status = 404
    body   = "nothing here"
  }
}
`

func TestExplain(t *testing.T) {
	dir, file := write(t, shop)
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"forwarded", []string{"GET", "http://API.example.com:8080/orders/%37?a=1", "-H", "x-name: ann"}, []string{
			"request   GET /orders/7, host api.example.com, from 127.0.0.1, listener public",
			"route     order, " + file + ":18", `path.id = "7"`, "forward   to orders",
			"GET /v2/orders/7?a=1, host API.example.com:8080", "x-user: ann", "x-key: (sensitive)",
			`beta: header "x-version" equals "2" (` + file + `:38), header "x-secret" equals (sensitive) (` + file + ":41)",
			"rest: it fits too, and comes later, " + file + ":56",
			"inner: listener (" + file + ":51)",
		}},
		{"answered", []string{"DELETE", "http://api.example.com/orders/7"}, []string{
			"route     rest", "answer    404", "nothing here", "order: method (" + file + ":21)",
		}},
		{"another listener", []string{"GET", "http://x:8081/orders/7"}, []string{
			"listener inner", "route     inner", "order: host (" + file + ":19)",
		}},
		{"bad path", []string{"GET", "http://x/%00"}, []string{"route     none", "answer    400"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, stderr := call("", append([]string{"explain", "-config", dir}, c.args...)...)
			if code != exitOK {
				t.Fatalf("exit code %d, %s", code, stderr)
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("no %q in\n%s", w, out)
				}
			}
			if strings.Contains(out, "hunter2") {
				t.Errorf("a sensitive value in\n%s", out)
			}
		})
	}
	t.Run("json", func(t *testing.T) {
		var e gateway.Explanation
		if _, out, _ := call("", "explain", "-config", dir, "-o", "json", "GET", "http://api.example.com/orders/1"); json.Unmarshal([]byte(out), &e) != nil || e.Route.Name != "order" {
			t.Errorf("got %s", out)
		}
	})
	t.Run("body from the standard input", func(t *testing.T) {
		if code, out, _ := call("{}", "explain", "-config", dir, "POST", "http://x/", "-d", "@-"); code != exitOK || !strings.Contains(out, "route     rest") {
			t.Errorf("%d %s", code, out)
		}
	})
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"GET", "method and a URL", exitUsage},
		{"GET /orders", "not a URL", exitInput},
		{"GET ftp://x/", "not a URL", exitInput},
		{"G( http://x/", "not a method", exitInput},
		{"GET http://x/ -listener inne", `no HTTP listener "inne"`, exitInput},
		{"GET http://x/ -remote-ip x", "not an address", exitInput},
		{"GET http://x/ -H x", "name: value", exitUsage},
		{"GET http://x/ -d @no/such/file", "no such file", exitRuntime},
	} {
		code, _, stderr := call("", append([]string{"explain", "-config", dir}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: %d %q", c.args, code, stderr)
		}
	}
}

func TestRoutes(t *testing.T) {
	dir, file := write(t, shop)
	code, out, stderr := call("", "routes", dir)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitOK || len(lines) != 5 {
		t.Fatalf("%d %s%s", code, out, stderr)
	}
	for i, want := range []string{"ROUTE", "order ", "beta ", "inner ", "rest "} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
	if strings.Contains(out, "hunter2") || !strings.Contains(lines[1], "forward orders") || !strings.Contains(lines[1], file+":18") {
		t.Errorf("got\n%s", out)
	}
	var table []config.RouteInfo
	if _, out, _ = call("", "routes", "-o", "json", dir); json.Unmarshal([]byte(out), &table) != nil || len(table) != 4 || table[2].PathPrefix != "/orders" {
		t.Errorf("got %s", out)
	}
	if code, _, _ = call("", "routes"); code != exitUsage {
		t.Errorf("without a directory: %d", code)
	}
	if code, _, stderr = call("", "routes", "-admin", "nonsense"); code != exitRuntime || !strings.Contains(stderr, "address of an admin API") {
		t.Errorf("%d %s", code, stderr)
	}
}

// TestExplainPolicy: an explanation names the rules that decided.
func TestExplainPolicy(t *testing.T) {
	dir, _ := write(t, good+`
policy "shop" {
  rego   = ["shop.rego"]
  decide = "data.shop.allow"
}

route "secured" {
  path = "/secured"
  filter "policy" {
    policy = policy.shop
  }
  respond {
    status = 200
  }
}
`)
	rego := filepath.Join(dir, "shop.rego")
	if err := os.WriteFile(rego, []byte("package shop\n\nallow if input.attributes.request.http.method == \"GET\"\n\nallow if {\n\tinput.attributes.request.http.headers[\"x-role\"] == \"admin\"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]string{
		"GET":  "            " + rego + ":3: allow holds\n",
		"POST": "            " + rego + ":3: allow does not hold: input.attributes.request.http.method == \"GET\"\n            " + rego + ":6: allow does not hold: input.attributes.request.http.headers[\"x-role\"] == \"admin\"\n",
	} {
		if code, out, stderr := call("", "explain", "-config", dir, method, "http://x/secured"); code != exitOK || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d\n%s%s", method, code, out, stderr)
		}
	}
}
