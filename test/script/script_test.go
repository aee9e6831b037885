package script

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func server(t *testing.T) (url string, tr *http.Transport) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/stream":
			for n := 0; ; n++ {
				fmt.Fprintf(w, "event %d\n", n)
				if http.NewResponseController(w).Flush() != nil {
					return
				}
				select {
				case <-r.Context().Done():
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		case "/away":
			http.Redirect(w, r, "/", http.StatusFound)
		default:
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "application/json")
			w.Header()["X-Two"] = []string{"a", "b"}
			fmt.Fprintf(w, "{\"host\": %q, \"q\": %q, \"role\": %q,\n\"body\": %q}\n", r.Host, r.URL.RawQuery, r.Header.Get("x-role"), body)
		}
	}))
	t.Cleanup(srv.Close)
	tr = &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return srv.URL, tr
}

func TestRun(t *testing.T) {
	url, _ := server(t)
	path := filepath.Join(t.TempDir(), "requests.txt")
	text := `# a comment
== everything
> POST /x?a=1
> Host: shop.example.com
> x-role: admin
>
> one
>
> two
< 200
< content-type: application/json
< x-two: a, b
< content-length: /^\d+$/
< !server-timing
<
< {"role": "admin", "q": "a=1", "host": "shop.example.com",
<  "body": "one\n\ntwo"}
~ shop
!~ reader

== a redirect is not followed
> GET /away
< 302
< location: /

== a stream
> GET /stream
< 200
<
~ event 0
~ event 3
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	Run(t, url, path)
}

func TestDifferences(t *testing.T) {
	url, tr := server(t)
	for _, tt := range []struct{ expect, want string }{
		{"< 201", "status 200, want 201"},
		{"< 200\n< x-two: a", "x-two: a, b, want a"},
		{"< 200\n< x-two: /c/", "x-two: a, b does not match c"},
		{"< 200\n< x-three: a", "no x-three"},
		{"< 200\n< !x-two", "x-two: a, b should not be there"},
		{"< 200\n<\n< {}", "want \"{}\""},
		{"< 200\n<\n< text", "want \"text\""},
		{"< 200\n<\n~ nope", "lacks \"nope\""},
		{"< 200\n<\n!~ role", "has \"role\""},
		{"< 201\n< x-three: a", "no x-three"},
	} {
		list, err := Parse("t", "== t\n> GET /\n"+tt.expect+"\n")
		if err != nil {
			t.Fatal(err)
		}
		if err := list[0].Do(context.Background(), tr, url); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %s", tt.expect, err, tt.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "no exchange",
		"# nothing\n":                          "no exchange",
		"> GET /\n":                            "t:1: expected ==",
		"==\n":                                 "t:1: an exchange needs a name",
		"== a\n> GET\n":                        "t:2: a request starts with",
		"== a\n> GET nowhere\n":                "t:2: a request starts with",
		"== a\n> GET /\n> x\n":                 "t:3: a header field is name: value",
		"== a\n< 200\n":                        "t:2: the answer stands after the request",
		"== a\n> GET /\n< OK\n":                "t:3: an answer starts with its status",
		"== a\n> GET /\n== b\n":                "has no answer",
		"== a\n> GET /\n":                      "has no answer",
		"== a\n> GET /\n< 200\n> x: y\n":       "t:4: the request stands before",
		"== a\n> GET /\n< 200\n< x: /(/\n":     "t:4:",
		"== a\n> GET /\n< 200\n< x\n":          "t:4: a header field",
		"== a\n> GET /\n< 200\n~ x\n":          "t:4: ~ and a text",
		"== a\n> GET /\n< 200\n<\n~\n":         "t:5: ~ and a text",
		"== a\n> GET /\n< 200\nsomething\n":    "t:4: a line starts with",
		"== a\n> GET /\n< 200\n<\n!~\n== b\n>": "t:5: !~ and a text",
	} {
		if _, err := Parse("t", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

// TestExamples: the scripts of all examples are well-formed, and what their
// TRY.txt tells to type stands in their README, too.
func TestExamples(t *testing.T) {
	scripts, err := filepath.Glob("../../examples/*/requests.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatal(err, scripts)
	}
	for _, s := range scripts {
		if _, err := ParseFile(s); err != nil {
			t.Error(err)
		}
		dir := filepath.Dir(s)
		readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
		if err != nil {
			t.Error(err)
			continue
		}
		hints, err := os.ReadFile(filepath.Join(dir, "TRY.txt"))
		if err != nil {
			continue
		}
		n := 0
		for line := range strings.Lines(string(hints)) {
			if cmd := strings.TrimSpace(line); strings.HasPrefix(cmd, "curl ") {
				n++
				if !strings.Contains(string(readme), "$ "+cmd+"\n") {
					t.Errorf("%s: README.md lacks %s", dir, cmd)
				}
			}
		}
		if n == 0 {
			t.Errorf("%s: TRY.txt has nothing to type", dir)
		}
	}
}
