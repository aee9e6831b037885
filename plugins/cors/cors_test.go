package cors_test

import (
	"strings"
	"testing"

	_ "github.com/headgate/headgate/plugins/cors"
	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/headgatetest"
)

const full = `{
	"origins": ["https://app.example.com", "https://*.example.org", "http://localhost:3000"],
	"methods": ["GET", "PUT"], "headers": ["Content-Type", "X-Trace"], "expose": ["X-Total"],
	"credentials": true, "max_age": "1h"
}`

func TestPreflight(t *testing.T) {
	for _, c := range []struct {
		name, config            string
		origin, method, headers string
		status                  int
		want                    map[string]string
	}{
		{"allowed", full, "https://app.example.com", "PUT", "content-type,x-trace", 204, map[string]string{
			"access-control-allow-origin": "https://app.example.com", "access-control-allow-methods": "GET, PUT",
			"access-control-allow-headers": "content-type,x-trace", "access-control-allow-credentials": "true",
			"access-control-max-age": "3600", "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
		}},
		{"a name below", full, "https://a.b.example.org", "GET", "", 204, map[string]string{"access-control-allow-origin": "https://a.b.example.org"}},
		{"case of the origin", full, "HTTPS://App.Example.com", "GET", "", 204, nil},
		{"the pattern's own name", full, "https://example.org", "GET", "", 403, map[string]string{"access-control-allow-origin": ""}},
		{"a name that ends alike", full, "https://evilexample.org", "GET", "", 403, nil},
		{"a host that hides in user info", full, "https://evil.com@x.example.org", "GET", "", 403, nil},
		{"another scheme", full, "http://app.example.com", "GET", "", 403, nil},
		{"another port", full, "https://app.example.com:8443", "GET", "", 403, nil},
		{"null", full, "null", "GET", "", 403, nil},
		{"another origin", full, "https://evil.com", "GET", "", 403, map[string]string{"vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}},
		{"method not allowed", full, "https://app.example.com", "DELETE", "", 403, nil},
		{"header not allowed", full, "https://app.example.com", "GET", "x-other", 403, nil},
		{"everybody", `{"origins": ["*"]}`, "https://x.test", "POST", "", 204, map[string]string{
			"access-control-allow-origin": "*", "access-control-allow-credentials": "", "access-control-max-age": "600",
			"vary": "Access-Control-Request-Method, Access-Control-Request-Headers",
		}},
		{"any header", `{"origins": ["*"], "headers": ["*"]}`, "https://x.test", "POST", "x-one, x-two", 204, map[string]string{"access-control-allow-headers": "x-one, x-two"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := []string{"Origin: " + c.origin, "Access-Control-Request-Method: " + c.method}
			if c.headers != "" {
				headers = append(headers, "Access-Control-Request-Headers: "+c.headers)
			}
			x := headgatetest.New(t, "cors", c.config).Request("OPTIONS", "/", headers...)
			if x.Verdict != headgate.Replied || x.Status() != c.status {
				t.Fatalf("verdict %v, status %d, want an answer with %d", x.Verdict, x.Status(), c.status)
			}
			for name, want := range c.want {
				if got := x.ResponseHeader(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if c.status == 403 && x.ResponseHeader("access-control-allow-origin") != "" {
				t.Error("a refusal allows the origin")
			}
		})
	}
}

func TestResponse(t *testing.T) {
	for _, c := range []struct {
		name, config, origin string
		backend              []string
		allow, expose, vary  string
	}{
		{"allowed", full, "https://app.example.com", nil, "https://app.example.com", "X-Total", "Origin"},
		{"another origin", full, "https://evil.com", nil, "", "", "Origin"},
		{"no origin", full, "", nil, "", "", "Origin"},
		{"the backend's own word does not count", full, "https://evil.com", []string{"access-control-allow-origin: *"}, "", "", "Origin"},
		{"vary is kept", full, "", []string{"vary: accept-encoding"}, "", "", "accept-encoding, Origin"},
		{"vary is not repeated", full, "", []string{"vary: accept, origin"}, "", "", "accept, origin"},
		{"everybody", `{"origins": ["*"]}`, "https://x.test", nil, "*", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var headers []string
			if c.origin != "" {
				headers = []string{"origin: " + c.origin}
			}
			x := headgatetest.New(t, "cors", c.config).Request("GET", "/", headers...)
			if x.Verdict != headgate.Continue {
				t.Fatal(x.Verdict, x.Failure)
			}
			x.Respond(200, "ok", c.backend...)
			for name, want := range map[string]string{
				"access-control-allow-origin": c.allow, "access-control-expose-headers": c.expose, "vary": c.vary,
			} {
				if got := x.ResponseHeader(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// An OPTIONS request that is no preflight belongs to the backend.
func TestPlainOptions(t *testing.T) {
	f := headgatetest.New(t, "cors", full)
	for _, headers := range [][]string{nil, {"origin: https://app.example.com"}, {"access-control-request-method: GET"}} {
		if x := f.Request("OPTIONS", "/", headers...); x.Verdict != headgate.Continue {
			t.Errorf("%v is answered with %d", headers, x.Status())
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:              "origins is required",
		`{"origins": []}`: "empty",
		`{"origins": ["*"], "credentials": true}`:   "every site",
		`{"origins": ["example.com"]}`:              "not an origin",
		`{"origins": ["https://example.com/"]}`:     "not an origin",
		`{"origins": ["https://*example.com"]}`:     "first labels",
		`{"origins": ["https://a.*.com"]}`:          "first labels",
		`{"origins": ["null"]}`:                     "sandboxed",
		`{"origins": ["*"], "methods": ["A B"]}`:    "not a method",
		`{"origins": ["*"], "max_age": 3}`:          "duration",
		`{"origins": ["*"], "max_age": "-1s"}`:      "negative",
		`{"origins": ["*"], "headers": ["a\nb"]}`:   "name of a header",
		`{"origins": ["*"], "allow_headers": []}`:   "no allow_headers",
		`{"origins": ["https://a"], "expose": 3}`:   "list",
		`{"origins": ["https://a"], "expose":[""]}`: "name of a header",
	} {
		if _, _, err := headgate.New("cors", []byte(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", config, err, want)
		}
	}
}
