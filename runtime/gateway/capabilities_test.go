package gateway_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate/headgate/host/hosttest"
)

// probing configures a plugin that has one filter of the SDK's test plugin, and a
// route that uses it.
func probing(t testing.TB, filter, allow, settings string) string {
	t.Helper()
	wasm := hosttest.BuildGo(t, filepath.Join("..", "..", "sdk", "go"), "./internal/probe")
	return fmt.Sprintf(`
plugin %[1]q {
  source = %[2]q
  filter = %[1]q
  allow {
    %[3]s
  }
}
route %[1]q {
  path_prefix = "/%[1]s"
  buffer = "1KiB"
  filter %[1]q {
    %[4]s
  }
  respond {
    body = "went on"
  }
}
`, filter, wasm, allow, settings)
}

func TestValues(t *testing.T) {
	checkLeaks(t)
	r := start(t, map[string]string{"routes.hcl": probing(t, "value", "", `
    text = "${request.header["x-user"]}@${request.method}"
    any  = request.json["n"]
    list = ["fixed", request.path, request.query["q"], true]
    by_name {
      path  = request.path
      lower = lower(request.query["q"])
    }
`)})
	for _, c := range []struct {
		path, body string
		want       string
	}{
		{"/value?q=A", `{"n":[1,"b"]}`, `{"any":[1,"b"],"by_name":{"lower":"a","path":"/value"},"list":["fixed","/value","A","true"],"text":"ada@POST"}`},
		{"/value/b?q=%20", `{"n":1.5}`, `{"any":1.5,"by_name":{"lower":" ","path":"/value/b"},"list":["fixed","/value/b"," ","true"],"text":"ada@POST"}`},
		{"/value?q=", `no JSON`, `{"any":null,"by_name":{"lower":"","path":"/value"},"list":["fixed","/value","","true"],"text":"ada@POST"}`},
		{"/value?q=" + strings.Repeat("x", 6000), `{"n":true}`, strings.Repeat("x", 6000)},
		{"/value", `{"n":1}`, ``}, // lower(null) is a type error
	} {
		status, _, body := r.do("POST", c.path, c.body, "X-User: ada")
		switch {
		case c.want == "":
			if status != 500 {
				t.Errorf("%s: got %d %s", c.path, status, body)
			}
		case status != 200 || !strings.Contains(body, c.want):
			t.Errorf("%.40s: got %d %s", c.path, status, body)
		}
	}
	if !strings.Contains(r.log.String(), "type error") {
		t.Errorf("the log does not say why\n%s", r.log.String())
	}
	if strings.Contains(r.admin("/metrics"), "headgate_plugin_traps_total{") {
		t.Error("an expression that fails costs an instance")
	}
	for settings, want := range map[string]string{
		`plain = request.path`:       "plain: this has to be known when the configuration is loaded",
		`text = response.status`:     "before there is a response",
		`text = path.id`:             "no path with variables",
		`plain = "${request.path}x"`: "takes no expression",
	} {
		r.write("routes.hcl", probing(t, "value", "", settings))
		if err := r.g.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

// A filter that evaluates no expressions gets none.
func TestValuesNotTaken(t *testing.T) {
	checkLeaks(t)
	r := start(t, nil)
	wasm := hosttest.BuildGo(t, filepath.Join("..", "..", "sdk", "go"), "./examples/tenant")
	r.write("routes.hcl", fmt.Sprintf("plugin \"tenant\" {\n  source = %q\n}\nroute \"a\" {\n  filter \"tenant\" {\n    header = request.path\n  }\n  respond {\n    status = 204\n  }\n}\n", wasm))
	if err := r.g.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), `The filter "tenant" takes only what is known`) || !strings.Contains(err.Error(), "routes.hcl:6:14") {
		t.Errorf("got %v", err)
	}
}
