package policies

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/headgate/headgate/runtime/exchange"
)

// bundled makes a bundle; secret signs it if it is not "".
func bundled(t testing.TB, revision, rego string, data map[string]any, secret string) []byte {
	t.Helper()
	if data == nil {
		data = map[string]any{}
	}
	b := bundle.Bundle{Manifest: bundle.Manifest{Revision: revision}, Data: data}
	b.Manifest.Init()
	if rego != "" {
		m, err := ast.ParseModuleWithOpts("/t.rego", rego, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatal(err)
		}
		b.Modules = []bundle.ModuleFile{{URL: "/t.rego", Path: "/t.rego", Raw: []byte(rego), Parsed: m}}
	}
	if secret != "" {
		if err := b.GenerateSignature(bundle.NewSigningConfig(secret, "HS256", ""), "", false); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	if err := bundle.NewWriter(&buf).Write(b); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// server serves one bundle after the other.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	content []byte
	changed chan struct{} // closed when content is replaced
	asked   chan *http.Request
	long    bool // it waits for a change
}

func serveBundles(t testing.TB, content []byte) *server {
	s := &server{content: content, changed: make(chan struct{}), asked: make(chan *http.Request, 1000)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) set(content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content = content
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case s.asked <- r.Clone(context.Background()):
	default:
	}
	s.mu.Lock()
	content, changed := s.content, s.changed
	s.mu.Unlock()
	tag := func() string { return fmt.Sprintf(`"%x"`, sha256.Sum256(content)) }
	if s.long {
		w.Header().Set("content-type", bundlesType)
		if r.Header.Get("if-none-match") == tag() && strings.Contains(r.Header.Get("prefer"), "wait=") {
			select {
			case <-changed:
			case <-r.Context().Done():
				return
			}
			s.mu.Lock()
			content = s.content
			s.mu.Unlock()
		}
	}
	if content == nil {
		w.WriteHeader(500)
		return
	}
	w.Header().Set("etag", tag())
	if r.Header.Get("if-none-match") == tag() {
		w.WriteHeader(304)
		return
	}
	_, _ = w.Write(content)
}

const bundleRego = "package t\n\ndecision := {\"allowed\": true, \"headers\": {\"x-v\": data.v}}\n"

// says is what a policy that decides by bundleRego says: "" if it denies.
func says(t testing.TB, p *Policy) string {
	x := request{}.exchange(t)
	if p.Filter(nil).Request(x) != exchange.Continue {
		if x.Failure != nil {
			t.Log(x.Failure)
		}
		return ""
	}
	v, _ := x.Request.Head.Get("x-v")
	return string(v)
}

// eventually waits until the policy says so.
func eventually(t testing.TB, p *Policy, want string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		got := says(t, p)
		if got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("says %q, want %q", got, want)
		}
	}
}

func v(s string) map[string]any { return map[string]any{"v": s} }

func TestBundle(t *testing.T) {
	srv := serveBundles(t, bundled(t, "r1", bundleRego, v("one"), ""))
	var log, decisions logged
	dir := t.TempDir()
	s := NewStore(StoreOptions{Dir: dir, Log: log.logger()})
	spec := Spec{
		Name: "t", Decide: "data.t.decision", Deadline: 5 * time.Second, DecisionLog: &LogSpec{Path: "stdout"},
		Bundle: &BundleSpec{URL: srv.URL + "/b.tar.gz", Token: "t0ken", Poll: 5 * time.Millisecond},
	}
	p, err := s.Compile(t.Context(), spec, Options{Log: log.logger(), Stdout: &decisions}, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := says(t, p); got != "one" || s.Ready() != nil {
		t.Fatalf("says %q, ready: %v", got, s.Ready())
	}
	if r := <-srv.asked; r.Header.Get("authorization") != "Bearer t0ken" || r.Header.Get("prefer") != "modes=snapshot" {
		t.Errorf("asked with %v", r.Header)
	}
	if n := p.Filter(nil).Needs(); n.Request != exchange.NeedPrefix {
		t.Error("a bundle may bring rules that read the body")
	}
	// Data changes; then a bundle that is none, one with a wrong rule, one without
	// the rule that decides: what was there stays.
	srv.set(bundled(t, "r2", bundleRego, v("two"), ""))
	eventually(t, p, "two")
	for _, broken := range [][]byte{
		[]byte("no bundle"), nil, bundled(t, "r3", "package t\n\ndecision if http.send({})\n", nil, ""), bundled(t, "r4", "package other\n\ny := 1\n", v("four"), ""),
	} {
		srv.set(broken)
		for len(srv.asked) > 0 {
			<-srv.asked
		}
		for range 3 { // the third question comes after the second answer
			<-srv.asked
		}
		if got := says(t, p); got != "two" {
			t.Fatalf("a broken bundle took over: says %q", got)
		}
	}
	srv.set(bundled(t, "r5", bundleRego, v("five"), ""))
	eventually(t, p, "five")
	p.Close()
	for _, want := range []string{"this is no bundle", "status 500", "http.send is not granted", "no rule is called data.t.decision", "revision=r5"} {
		if !strings.Contains(strings.ReplaceAll(log.String(), `\`, ""), want) {
			t.Errorf("log lacks %q:\n%s", want, log.String())
		}
	}
	if !strings.Contains(decisions.String(), `"bundles":{"`+srv.URL+`/b.tar.gz":{"revision":"r1"}}`) {
		t.Error("decisions don't tell of the bundle")
	}
	// The server is away: the last good one is on disk.
	srv.set(nil)
	s = NewStore(StoreOptions{Dir: dir})
	p, err = s.Compile(t.Context(), spec, Options{Stdout: io.Discard}, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := says(t, p); got != "five" {
		t.Errorf("from disk: says %q", got)
	}
	// It may be old: the server is asked at once, and there again.
	srv.set(bundled(t, "r6", bundleRego, v("six"), ""))
	eventually(t, p, "six")
	p.Close()
}

func TestBundleReadiness(t *testing.T) {
	srv := serveBundles(t, nil)
	spec := Spec{Name: "t", Decide: "data.t.decision", Bundle: &BundleSpec{URL: srv.URL, Poll: time.Millisecond}}
	var log logged
	s := NewStore(StoreOptions{Log: log.logger()})
	if _, err := s.Compile(t.Context(), spec, Options{}, false); err == nil || !strings.Contains(err.Error(), "status 500") {
		t.Fatalf("no bundle: %v", err)
	}
	p, err := s.Compile(t.Context(), spec, Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), `policy "t" waits for its bundle`) {
		t.Errorf("ready: %v", err)
	}
	x := request{}.exchange(t)
	if p.Filter(nil).Request(x) != exchange.Fail || p.Cost().Uncacheable == "" {
		t.Error("decided without a bundle")
	}
	if !strings.Contains(log.String(), "no bundle yet") || !strings.Contains(log.String(), "status 500") {
		t.Errorf("log %s", log.String())
	}
	srv.set(bundled(t, "", bundleRego, v("one"), ""))
	eventually(t, p, "one")
	if s.Ready() != nil {
		t.Error("not ready")
	}
}

func TestBundleOffline(t *testing.T) {
	s := NewStore(StoreOptions{Offline: true})
	p, err := s.Compile(t.Context(), Spec{Name: "t", Decide: "data.t.decision", Bundle: &BundleSpec{URL: "http://127.0.0.1:1"}}, Options{}, false)
	if err != nil || s.Ready() != nil {
		t.Fatal(err)
	}
	p.Close()
}

func TestLongPoll(t *testing.T) {
	srv := serveBundles(t, bundled(t, "", bundleRego, v("one"), ""))
	srv.long = true
	s := NewStore(StoreOptions{})
	// The poll is long: a change that comes soon came by the long poll.
	p, err := s.Compile(t.Context(), Spec{Name: "t", Decide: "data.t.decision", Bundle: &BundleSpec{URL: srv.URL, Poll: 50 * time.Millisecond, LongPoll: time.Minute}}, Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	<-srv.asked // the first question does not wait
	if r := <-srv.asked; r.Header.Get("prefer") != "modes=snapshot;wait=60" || r.Header.Get("if-none-match") == "" {
		t.Errorf("asked with %v", r.Header)
	}
	srv.set(bundled(t, "", bundleRego, v("two, which is longer"), ""))
	eventually(t, p, "two, which is longer")
	p.Close() // ends the question that waits
}

func TestSignedBundle(t *testing.T) {
	good := bundled(t, "", bundleRego, v("one"), "secret")
	for name, tt := range map[string]struct {
		content []byte
		spec    BundleSpec
		err     string
	}{
		"signed":             {good, BundleSpec{Key: "secret", Algorithm: "HS256"}, ""},
		"by somebody else":   {bundled(t, "", bundleRego, v("one"), "other"), BundleSpec{Key: "secret", Algorithm: "HS256"}, "this is no bundle that can be used"},
		"not signed":         {bundled(t, "", bundleRego, v("one"), ""), BundleSpec{Key: "secret", Algorithm: "HS256"}, "signatures"},
		"signed for nobody":  {good, BundleSpec{}, "this is no bundle that can be used"},
		"another scope":      {good, BundleSpec{Key: "secret", Algorithm: "HS256", Scope: "write"}, "scope"},
		"another algorithm":  {good, BundleSpec{Key: "secret", Algorithm: "HS512"}, "this is no bundle that can be used"},
		"no key of its kind": {good, BundleSpec{Key: "secret"}, "this is no bundle that can be used"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := tt.spec
			spec.URL = filepath.Join(t.TempDir(), "b.tar.gz")
			if err := os.WriteFile(spec.URL, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			p, err := NewStore(StoreOptions{}).Compile(t.Context(), Spec{Name: "t", Decide: "data.t.decision", Bundle: &spec}, Options{}, true)
			if err == nil {
				if says(t, p) != "one" {
					t.Error("does not decide")
				}
				p.Close()
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, want %q", err, tt.err)
			}
		})
	}
}

// TestBundleWithFiles: rules beside a bundle, which has data only.
func TestBundleWithFiles(t *testing.T) {
	path := write(t, "b.tar.gz", string(bundled(t, "", "", v("one"), "")))
	files := []string{write(t, "t.rego", bundleRego)}
	s := NewStore(StoreOptions{})
	p, err := s.Compile(t.Context(), Spec{Name: "t", Files: files, Decide: "data.t.decision", Bundle: &BundleSpec{URL: "file://" + path, Poll: time.Millisecond}}, Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := writeFile(path, bundled(t, "", "", v("two"), "")); err != nil {
		t.Fatal(err)
	}
	eventually(t, p, "two")
	data := []string{write(t, "d.json", `{"v": "mine"}`)}
	_, err = s.Compile(t.Context(), Spec{Name: "u", Files: files, Data: data, Decide: "data.t.decision", Bundle: &BundleSpec{URL: path}}, Options{}, false)
	if err == nil || !strings.Contains(err.Error(), "data.v is already in another data file") {
		t.Error(err)
	}
}

// TestStoreShares: what did not change is not compiled again, and what nobody
// uses any more is closed.
func TestStoreShares(t *testing.T) {
	file := write(t, "t.rego", "package t\n\ndecision := true\n")
	spec := Spec{Name: "t", Files: []string{file}, Decide: "data.t.decision", DecisionLog: &LogSpec{Path: filepath.Join(t.TempDir(), "log")}}
	s := NewStore(StoreOptions{})
	compile := func(spec Spec) *Policy {
		p, err := s.Compile(t.Context(), spec, Options{}, false)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := compile(spec), compile(spec)
	if a != b {
		t.Error("compiled twice")
	}
	other := spec
	other.Deadline = time.Second
	if c := compile(other); c == a {
		t.Error("another deadline, but the same policy")
	} else {
		c.Close()
	}
	a.Close()
	if len(s.live) != 1 || a.log.closed {
		t.Error("closed while somebody uses it")
	}
	if err := os.WriteFile(file, []byte("package t\n\ndecision := false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := compile(spec)
	if c == b {
		t.Error("a changed file was not compiled")
	}
	b.Close()
	c.Close()
	if len(s.live) != 0 || !b.log.closed || !c.log.closed {
		t.Error("not closed")
	}
}

func TestStoreSharesBundles(t *testing.T) {
	srv := serveBundles(t, bundled(t, "", bundleRego, v("one"), ""))
	s := NewStore(StoreOptions{})
	var list []*Policy
	for i := range 3 {
		p, err := s.Compile(t.Context(), Spec{Name: fmt.Sprint("p", i), Decide: "data.t.decision", Bundle: &BundleSpec{URL: srv.URL, Poll: time.Hour}}, Options{}, false)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(srv.asked) != 1 {
		t.Errorf("asked %d times", len(srv.asked))
	}
	for _, p := range list {
		p.Close()
	}
	if len(s.bundles) != 0 {
		t.Error("a bundle is left")
	}
}

// TestCachedAcrossUpdates: no decision outlives the data it was made with.
func TestCachedAcrossUpdates(t *testing.T) {
	path := write(t, "b.tar.gz", string(bundled(t, "", bundleRego, v("0"), "")))
	p, err := NewStore(StoreOptions{}).Compile(t.Context(), Spec{Name: "t", Decide: "data.t.decision", Deadline: time.Minute, Bundle: &BundleSpec{URL: path, Poll: time.Hour}}, Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 { // requests all the while
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					says(t, p)
				}
			}
		})
	}
	for i := 1; i < 30; i++ {
		if err := p.bundle.update(t.Context(), bundled(t, "", bundleRego, v(fmt.Sprint(i)), ""), ""); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if got := says(t, p); got != fmt.Sprint(i) {
				t.Fatalf("says %q after update %d", got, i)
			}
		}
	}
	close(stop)
	wg.Wait()
}
