package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/host/hosttest"
)

// probePlugin declares a plugin that is one filter of the SDK's test module.
func probePlugin(t testing.TB, name, filter, allow string) string {
	t.Helper()
	wasm := hosttest.BuildGo(t, filepath.Join("..", "..", "sdk", "go"), "./internal/probe")
	return fmt.Sprintf("plugin %q {\n  source = %q\n  filter = %q\n  allow {\n    %s\n  }\n}\n", name, wasm, filter, allow)
}

// probing configures a plugin of the name of its filter, and a route that uses it.
func probing(t testing.TB, filter, allow, settings string) string {
	t.Helper()
	return probePlugin(t, filter, filter, allow) + fmt.Sprintf(`
route %[1]q {
  path_prefix = "/%[1]s"
  buffer = "1KiB"
  filter %[1]q {
    %[2]s
  }
  respond {
    body = "${auth.subject}|${auth.consumer}|${auth.claims["role"]}"
  }
}
`, filter, settings)
}

// refused checks what is said of settings of a filter with which no gateway starts.
func (r *rig) refused(text, want string) {
	r.t.Helper()
	r.write("routes.hcl", text)
	if err := r.g.Reload(r.t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		r.t.Errorf("%s\nis refused for: %v", text, err)
	}
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
		r.refused(probing(t, "value", "", settings), want)
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

func TestAuthOfPlugins(t *testing.T) {
	checkLeaks(t)
	who := func(name, set, data string) string {
		return fmt.Sprintf("  filter %q {\n    set = %s\n    data = %s\n  }\n", name, set, data)
	}
	route := func(name string, filters ...string) string {
		return fmt.Sprintf("route %[1]q {\n  path = \"/%[1]s\"\n%[2]s  respond {\n    body = \"${auth.subject}|${auth.consumer}|${auth.claims[\"role\"]}\"\n  }\n}\n", name, strings.Join(filters, ""))
	}
	ada := `{ subject = "ada", claims = { role = "admin", n = 1.5 } }`
	r := start(t, map[string]string{"routes.hcl": probePlugin(t, "who", "auth", "auth = true") + probePlugin(t, "also", "auth", "auth = true") +
		probePlugin(t, "nobody", "auth", "") +
		probePlugin(t, "reader", "published", "auth = true\n    call = [plugin.who]") + probePlugin(t, "stranger", "published", "auth = true") +
		route("set", who("who", ada, "null")) +
		route("twice", who("who", ada, "null"), who("also", `{ consumer = "shop" }`, "null")) +
		route("denied", who("nobody", ada, "null")) +
		route("control", who("who", `{ subject = "a\n" }`, "null")) +
		route("long", who("who", `{ subject = "`+strings.Repeat("a", 2000)+`" }`, "null")) +
		route("no-object", who("who", "{}", "[1]")) +
		route("large", who("who", "{}", `{ a = "`+strings.Repeat("a", 70000)+`" }`)) +
		route("data", who("who", ada, `{ tenant = "t1", n = [1] }`), "  filter \"reader\" {\n    from = \"who\"\n  }\n") +
		route("no-data", who("who", ada, "null"), "  filter \"reader\" {\n    from = \"who\"\n  }\n") +
		route("stranger", who("who", ada, "{ a = 1 }"), "  filter \"stranger\" {\n    from = \"who\"\n  }\n"),
	})
	for path, want := range map[string]struct {
		status    int
		body, log string
	}{
		"set":       {200, "ada||admin", ""},
		"twice":     {200, "ada|shop|admin", ""},
		"denied":    {500, "", "allow.auth is not set"},
		"control":   {500, "", "control characters"},
		"long":      {500, "", "control characters"},
		"no-object": {500, "", "not a JSON object"},
		"large":     {500, "", "more than 64 KiB"},
		"data":      {200, `{"auth":{"subject":"ada","claims":{"n":1.5,"role":"admin"}},"data":{"n":[1],"tenant":"t1"},"ok":true}`, ""},
		"no-data":   {200, `{"auth":{"subject":"ada","claims":{"n":1.5,"role":"admin"}},"data":null,"ok":false}`, ""},
		"stranger":  {500, "", "allow.call does not name it"},
	} {
		before := len(r.log.String())
		status, _, body := r.get("/" + path)
		if status != want.status || want.body != "" && body != want.body || !strings.Contains(r.log.String()[before:], want.log) {
			t.Errorf("%s: got %d %s\n%s", path, status, body, r.log.String()[before:])
		}
	}
	for _, want := range []string{`headgate_plugin_denials_total{plugin="nobody"} 1`, `headgate_plugin_denials_total{plugin="stranger"} 1`, `headgate_plugin_denials_total{plugin="who"} 0`} {
		if !strings.Contains(r.admin("/metrics"), want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestJSONOfPlugins(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	route := func(name, own string) string {
		return probePlugin(t, name, "json", "") + fmt.Sprintf("route %[1]q {\n  path = \"/%[1]s\"\n  buffer = \"64KiB\"\n  filter %[1]q {\n    own = %[2]s\n  }\n  upstream = upstream.echo\n}\n", name, own)
	}
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf("upstream \"echo\" {\n  endpoint %q {}\n}\n", addr) + route("body", "false") + route("own", "true")})
	doc := `{"user": {"id": 12345678901234567890, "email": "a@b"}, "items": [{"p": 1}, {"p": 20}]}`
	bad := "not a document, or not a path or a value"
	for _, c := range []struct {
		body, headers, want string
	}{
		{doc, "x-get: user.id", `{"get":[12345678901234567890,true,""],"valid":true}`},
		{doc, "x-get: user.email", `{"get":["a@b",true,""],"valid":true}`},
		{doc, "x-get: items.#(p>10).p", `{"get":[20,true,""],"valid":true}`},
		{doc, "x-get: items.#", `{"get":[2,true,""],"valid":true}`},
		{doc, "x-get: items.#.p", `{"get":[[1,20],true,""],"valid":true}`},
		{doc, "x-get: nothing", `{"get":[null,false,""],"valid":true}`},
		{doc, "x-get: user.@this", `{"get":[null,false,"` + bad + `"],"valid":true}`},
		{doc, "x-get: [user,user]", `{"get":[null,false,"` + bad + `"],"valid":true}`},
		{doc, "x-get: items.#([p,p].#=2)", `{"get":[null,false,"` + bad + `"],"valid":true}`},
		{doc, "x-get: " + strings.Repeat("a", 300), `{"get":[null,false,"` + bad + `"],"valid":true}`},
		{`{"@type": "x"}`, "x-get: @type", `{"get":["x",true,""],"valid":true}`},
		{`{"n": null}`, "x-get: n", `{"get":[null,true,""],"valid":true}`},
		{`no JSON`, "x-get: n", `{"get":[null,false,"` + bad + `"],"valid":false}`},
		{``, "x-get: n", `{"get":[null,false,"` + bad + `"],"valid":false}`},
		{strings.Repeat("[", 2000) + strings.Repeat("]", 2000), "x-get: 0", `{"get":[null,false,"` + bad + `"],"valid":false}`},
		{doc, "x-set: user.email\nx-value: {\"a\": 1}\nx-forward: 1", `{"user": {"id": 12345678901234567890, "email": {"a":1}}, "items": [{"p": 1}, {"p": 20}]}`},
		{doc, "x-delete: user\nx-set: items.-1\nx-value: 3\nx-forward: 1", `{ "items": [{"p": 1}, {"p": 20},3]}`},
		{doc, "x-set: a.b.c\nx-value: true\nx-get: a", `{"get":[{"b":{"c":true}},true,""],"set":"","valid":true}`},
		{doc, "x-set: a.99999999\nx-value: 1", `{"set":"` + bad + `","valid":true}`},
		{doc, "x-set: a.\\99999999\nx-value: 1", `{"set":"` + bad + `","valid":true}`},
		{doc, "x-set: items.#.p\nx-value: 1", `{"set":"` + bad + `","valid":true}`},
	} {
		for _, path := range []string{"/body", "/own"} {
			status, _, body := r.do("POST", path, c.body, strings.Split(c.headers, "\n")...)
			if status != 200 || body != c.want {
				t.Errorf("%s %.60s\n%.60s: got %d\n%s\nwant\n%s", path, c.headers, c.body, status, body, c.want)
			}
		}
	}
}

func TestMetricsOfPlugins(t *testing.T) {
	checkLeaks(t)
	var files strings.Builder
	for _, name := range []string{"a-b", "other"} {
		files.WriteString(probePlugin(t, name, "metric", ""))
	}
	use := func(path, plugin, kind, name, label, v string) {
		fmt.Fprintf(&files, "route %[1]q {\n  path = \"/%[1]s\"\n  filter %[2]q {\n    kind = %[3]q\n    name = %[4]q\n    label = %[5]q\n    v = %[6]s\n  }\n  respond {}\n}\n", path, plugin, kind, name, label, v)
	}
	use("count", "a-b", "counter", "looks_total", "country", "1.5")
	use("count-other", "other", "counter", "looks_total", "country", "1")
	use("set", "a-b", "gauge", "depth", "", "7")
	use("change", "a-b", "change", "depth", "", "-2")
	use("observe", "a-b", "histogram", "age_seconds", "country", "0.3")
	use("observe-late", "a-b", "histogram", "age_seconds", "country", "11")
	use("down", "a-b", "counter", "looks_total", "country", "-1")
	use("kind", "other", "gauge", "looks_total", "country", "1")
	use("labels", "other", "counter", "looks_total", "", "1")
	use("name", "a-b", "counter", "Looks", "", "1")
	use("suffix", "a-b", "counter", "looks_count", "", "1")
	use("own-label", "a-b", "counter", "x", "plugin", "1")
	use("inner-label", "a-b", "counter", "x", "__name__", "1")
	r := start(t, map[string]string{"routes.hcl": files.String()})
	invalid, full := "not a name, a label", "too many metrics"
	for _, c := range [][2]string{
		{"/count?de", ""}, {"/count?de", ""}, {"/count?fr", ""}, {"/count-other?de", ""}, {"/set", ""}, {"/change", ""}, {"/observe?de", ""}, {"/observe-late?de", ""},
		{"/down?de", invalid}, {"/kind?de", invalid}, {"/labels", invalid}, {"/name", invalid}, {"/suffix", invalid}, {"/own-label?a", invalid}, {"/inner-label?a", invalid},
		{"/count?" + strings.Repeat("a", 200), full},
	} {
		if status, _, body := r.get(c[0]); status != 200 || c[1] == "" && body != `""` || !strings.Contains(body, c[1]) {
			t.Errorf("%s: got %d %s", c[0], status, body)
		}
	}
	for i := range 1000 { // more than one plugin may have
		r.get(fmt.Sprintf("/count?%d", i))
	}
	if _, _, body := r.get("/count?last"); !strings.Contains(body, full) {
		t.Errorf("the last: %s", body)
	}
	text := r.admin("/metrics")
	for _, want := range []string{
		`headgate_plugin_x_looks_total{country="de",plugin="a-b"} 3`, `headgate_plugin_x_looks_total{country="fr",plugin="a-b"} 1.5`,
		`headgate_plugin_x_looks_total{country="de",plugin="other"} 1`, `headgate_plugin_x_depth{plugin="a-b"} 5`,
		`headgate_plugin_x_age_seconds_bucket{country="de",plugin="a-b",le="0.5"} 1`, `headgate_plugin_x_age_seconds_bucket{country="de",plugin="a-b",le="+Inf"} 2`,
		`headgate_plugin_x_age_seconds_sum{country="de",plugin="a-b"} 11.3`, "# TYPE headgate_plugin_x_looks_total counter",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	r.reload()
	if !strings.Contains(r.admin("/metrics"), `headgate_plugin_x_depth{plugin="a-b"} 5`) {
		t.Error("a reload forgets")
	}
	r.write("routes.hcl", "")
	r.reload()
	for range 300 { // exchanges of the old configuration end first
		if !strings.Contains(r.admin("/metrics"), "headgate_plugin_x_") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the metrics of plugins that are gone stay")
}

// The key and the token of RFC 7515 appendix A.3.
const (
	jwk   = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)

func TestTokensOfPlugins(t *testing.T) {
	checkLeaks(t)
	r := start(t, map[string]string{"routes.hcl": probing(t, "jws", "auth = true", fmt.Sprintf("keys = %q", jwk))})
	for _, c := range []struct {
		token  string
		status int
		body   string
	}{
		{"Bearer " + token, 200, "joe||"}, {"Bearer " + token[:len(token)-2], 403, "not authentic: the signature or the key is another"},
		{"Basic x", 401, ""}, {"Bearer ", 401, ""}, {"Bearer x", 403, ""},
	} {
		if status, _, body := r.get("/jws", "Authorization: "+c.token); status != c.status || c.body != "" && body != c.body {
			t.Errorf("%.20s: got %d %s", c.token, status, body)
		}
	}
	// What the host does for a guest is the guest's time.
	r.write("routes.hcl", probing(t, "jws", "auth = true", fmt.Sprintf("keys = %q\n    spin = 1000000", jwk)))
	r.reload()
	began := time.Now()
	if status, _, _ := r.get("/jws", "Authorization: Bearer "+token); status != 500 {
		t.Errorf("spinning: got %d", status)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	if !strings.Contains(r.admin("/metrics"), `headgate_plugin_traps_total{plugin="jws",reason="cpu"} 1`) {
		t.Error("no trap")
	}
}

func TestFetchMany(t *testing.T) {
	checkLeaks(t)
	meet := make(chan struct{})
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Url", string(body))
		switch r.URL.Path {
		case "/left", "/right": // neither answers before the other is asked
			select {
			case meet <- struct{}{}:
			case <-meet:
			case <-r.Context().Done():
			}
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("x", 9<<20))
		case "/broken":
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, r.URL.Path)
	})
	u := "upstream://u"
	list := func(urls ...string) string { return `urls = ["` + strings.Join(urls, `", "`) + `"]` }
	cases := []struct {
		urls []string
		want string
	}{
		{[]string{u + "/left", u + "/right", u + "/left", u + "/right"}, `[200,"/left","upstream://u/left",200,"/right","upstream://u/right",200,"/left","upstream://u/left",200,"/right","upstream://u/right"]`},
		{[]string{u + "/a", "upstream://other/", "no URL", u + "/large", u + "/broken"}, `[200,"/a","upstream://u/a","allow.fetch does not name it","not a request that can be sent","the answer is too large","no answer; the gateway's log says why"]`},
		{[]string{"upstream://other/"}, `["allow.fetch does not name it"]`},
		{strings.Split(strings.Repeat(u+"/a ", 16)+u+"/a", " "), "[" + strings.TrimSuffix(strings.Repeat(`"not a request that can be sent",`, 17), ",") + "]"},
	}
	routes := fmt.Sprintf("upstream \"u\" {\n  endpoint %q {}\n}\n", addr) + probePlugin(t, "many", "many", "fetch = [upstream.u]")
	for i, c := range cases {
		routes += fmt.Sprintf("route \"r%[1]d\" {\n  path = \"/%[1]d\"\n  filter \"many\" {\n    %s\n  }\n  respond {}\n}\n", i, list(c.urls...))
	}
	r := start(t, map[string]string{"routes.hcl": routes})
	for i, c := range cases {
		if status, _, body := r.get(fmt.Sprintf("/%d", i)); status != 200 || body != c.want {
			t.Errorf("%.100q: got %d %s", c.urls, status, body)
		}
	}
}
