package policies

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"os"

	"github.com/headgate/headgate/runtime/exchange"
)

// lines decides about requests under a log and returns its lines.
func lines(t *testing.T, spec LogSpec, module string, requests ...request) (out []map[string]any, log string) {
	t.Helper()
	var l logged
	if spec.Path == "" {
		spec.Path = filepath.Join(t.TempDir(), "decisions.log")
	}
	p := compiled(t, "package t\n\ndecision if input.attributes.request.http.method == \"GET\"\n", func(s *Spec, o *Options) {
		s.Files = append(s.Files, write(t, "log.rego", module))
		s.DecisionLog, o.Log = &spec, l.logger()
	})
	f := p.Filter(nil)
	for _, r := range requests {
		f.Request(r.exchange(t))
	}
	p.Close()
	text, err := os.ReadFile(spec.Path)
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(strings.NewReader(string(text))); ; {
		var line map[string]any
		if err := d.Decode(&line); err == io.EOF {
			return out, l.String()
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, line)
	}
}

// at follows members.
func at(v any, path ...string) any {
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

func TestMasks(t *testing.T) {
	requests := []request{
		{headers: []string{"Authorization", "Bearer secret", "x-a", "1"}, target: "/a?password=1"},
		{target: "/healthz"},
		{method: "PUT", target: "/b"},
	}
	got, log := lines(t, LogSpec{}, `package system.log

mask contains "/input/attributes/request/http/headers/authorization"

mask contains "/input/nothing/here"

mask contains {"op": "upsert", "path": "/input/parsed_query/password", "value": ["***"]} if input.input.parsed_query.password

mask contains {"op": "remove", "path": "/input/parsed_path/0"} if input.input.attributes.request.http.method == "PUT"

mask contains "/result" if input.input.attributes.request.http.method == "PUT"

drop if input.input.parsed_path[0] == "healthz"
`, requests...)
	if len(got) != 2 {
		t.Fatalf("%d lines: %v, log %s", len(got), got, log)
	}
	http := []string{"input", "attributes", "request", "http", "headers"}
	if at(got[0], append(http, "authorization")...) != nil || at(got[0], append(http, "x-a")...) != "1" {
		t.Errorf("headers %v", at(got[0], http...))
	}
	password, _ := json.Marshal(at(got[0], "input", "parsed_query", "password"))
	erased, _ := json.Marshal(got[0]["erased"])
	masked, _ := json.Marshal(got[0]["masked"])
	if string(password) != `["***"]` || string(erased) != `["/input/attributes/request/http/headers/authorization"]` || string(masked) != `["/input/parsed_query/password"]` {
		t.Errorf("password %s, erased %s, masked %s", password, erased, masked)
	}
	if p, _ := json.Marshal(at(got[1], "input", "parsed_path")); string(p) != "[null]" || got[1]["result"] != nil {
		t.Errorf("parsed_path %s, result %v", p, got[1]["result"])
	}
}

// TestBrokenMasksLogNothing: a mask that fails must not let through what it was
// there to hide.
func TestBrokenMasksLogNothing(t *testing.T) {
	for module, want := range map[string]string{
		`mask contains "secret"`:                                 "is no path such as /input/password",
		`mask contains 7`:                                        "is no path such as /input/password",
		`mask contains "/labels/app"`:                            "neither in input nor in result",
		`mask contains {"op": "hide", "path": "/input"}`:         `op is "hide"`,
		`mask := "/input"`:                                       "no set",
		`drop := "yes"`:                                          "no boolean",
		"mask := [1] if input.path\n\nmask := [2] if input.path": "system.log.mask: ",
	} {
		got, log := lines(t, LogSpec{}, "package system.log\n\n"+module+"\n", request{}, request{})
		if len(got) != 0 || strings.Count(log, "a decision can't be logged") != 1 || !strings.Contains(strings.ReplaceAll(log, `\`, ""), want) {
			t.Errorf("%s: %d lines, log %s", module, len(got), log)
		}
	}
}

func TestLogRate(t *testing.T) {
	got, log := lines(t, LogSpec{Rate: 5}, "package unused\n", make([]request, 50)...)
	if len(got) < 5 || len(got) > 10 || !strings.Contains(log, "more than the rate of the log") {
		t.Errorf("%d lines, log %s", len(got), log)
	}
}

func TestLogFileMustOpen(t *testing.T) {
	_, err := Compile(t.Context(), Spec{
		Name: "t", Files: []string{write(t, "t.rego", "package t\n\ndecision := true\n")}, Decide: "data.t.decision",
		DecisionLog: &LogSpec{Path: filepath.Join(t.TempDir(), "no", "file")},
	}, Options{})
	if err == nil || !strings.Contains(err.Error(), "the decision log can't be written") {
		t.Error(err)
	}
}

// TestLogService: batches arrive whole, in order, also after a time in which the
// service was away.
func TestLogService(t *testing.T) {
	var tries atomic.Int32
	batches := make(chan []map[string]any, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			w.WriteHeader(503)
			return
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		var batch []map[string]any
		if err := json.NewDecoder(z).Decode(&batch); err != nil {
			t.Error(err)
		}
		if r.Method != "POST" || r.Header.Get("authorization") != "Bearer t0ken" || r.Header.Get("content-encoding") != "gzip" {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		batches <- batch
	}))
	defer srv.Close()
	var log logged
	p := compiled(t, "package t\n\ndecision := true\n", func(s *Spec, o *Options) {
		s.DecisionLog, o.Log = &LogSpec{Service: srv.URL + "/logs", Token: "t0ken"}, log.logger()
	})
	f := p.Filter(nil)
	big := strings.Repeat("x", 60<<10)
	for range 10 { // more than a batch
		if f.Request(request{headers: []string{"x-big", big}}.exchange(t)) != exchange.Continue {
			t.Fatal("denied")
		}
	}
	n := 0
	for n < 5 {
		select {
		case b := <-batches:
			n += len(b)
		case <-time.After(10 * time.Second):
			t.Fatalf("%d decisions arrived; log %s", n, log.String())
		}
	}
	p.Close()
	for len(batches) > 0 {
		n += len(<-batches)
	}
	if n != 10 || !strings.Contains(log.String(), "status 503") {
		t.Errorf("%d decisions arrived; log %s", n, log.String())
	}
}

func TestLogServiceAway(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	url := srv.URL
	srv.Close()
	var log logged
	s := newServiceSink(url, "", log.logger())
	line := []byte(strings.Repeat("x", batchBytes) + "\n")
	failed := 0
	for range batchQueue + 10 {
		if s.write(line) != nil {
			failed++
		}
	}
	s.mu.Lock()
	kept := len(s.full)
	s.mu.Unlock()
	s.close()
	if kept > batchQueue || failed == 0 {
		t.Errorf("%d batches wait, %d times told of a loss", kept, failed)
	}
}

func TestPrint(t *testing.T) {
	var log logged
	p := compiled(t, `package t

decision if {
	print("path", input.parsed_path)
	true
}
`, func(_ *Spec, o *Options) { o.Log = log.logger() })
	f := p.Filter(nil)
	for range 2 {
		f.Request(request{target: "/a"}.exchange(t))
	}
	if s := strings.ReplaceAll(log.String(), `\`, ""); strings.Count(s, `path ["a"]`) != 2 || !strings.Contains(s, "request_id=0192-id") || !strings.Contains(s, "row=4") {
		t.Errorf("log %s", s)
	}
}
