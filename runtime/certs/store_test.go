package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// buffer takes the log.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.b.Reset()
	return b.b.String()
}

// quietStore is a store that looks at files only when the test says so.
func quietStore(t testing.TB) (*Store, *buffer) {
	out := &buffer{}
	s := &Store{issuers: newIssuers(), log: slog.New(slog.NewTextHandler(out, nil)), stop: make(chan struct{}), sources: map[sourceKey]*source{}, servers: map[*Server]bool{}}
	s.tickets.turn(time.Now())
	t.Cleanup(s.Close)
	return s, out
}

// settle looks until a change is taken.
func settle(s *Store) {
	s.poll(time.Now())
	s.poll(time.Now())
}

func TestFilesChange(t *testing.T) {
	s, out := quietStore(t)
	dir := t.TempDir()
	crt, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if _, _, err := s.Pair("a", crt, key); err == nil || !strings.Contains(err.Error(), crt) || !strings.Contains(err.Error(), key) {
		t.Errorf("missing files: %v", err)
	}
	first, second := pair(t, ecdsaKey, "one.example.com"), pair(t, rsaKey, "two.example.com")
	putPair(t, dir, first)
	c, release, err := s.Pair("a", crt, key)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	name := func() string { return c.Names()[0] }
	expect := func(when, want string, loaded, refused int64, log string) {
		t.Helper()
		st := s.Stats()[0]
		text := out.take()
		if name() != want || st.Loaded != loaded || st.Refused != refused || !strings.Contains(text, log) || log == "" && text != "" {
			t.Errorf("%s: shows %s, %+v, log %q", when, name(), st, text)
		}
		if strings.Contains(text, "PRIVATE") {
			t.Errorf("%s: the log holds a key: %s", when, text)
		}
	}
	settle(s)
	expect("unchanged", "one.example.com", 0, 0, "")

	// A change is taken once both files are there, and have settled.
	put(t, crt, certPEM(second))
	s.poll(time.Now())
	expect("half a change", "one.example.com", 0, 0, "")
	put(t, key, keyPEM(t, second))
	s.poll(time.Now())
	expect("not settled", "one.example.com", 0, 0, "")
	s.poll(time.Now())
	expect("changed", "two.example.com", 1, 0, "certificate read again")

	put(t, crt, certPEM(first))
	settle(s)
	expect("mismatch", "two.example.com", 1, 1, "that of another certificate")
	settle(s)
	expect("told once", "two.example.com", 1, 1, "")
	put(t, key, keyPEM(t, first))
	settle(s)
	expect("mended", "one.example.com", 2, 1, "certificate read again")

	if err := os.Remove(crt); err != nil {
		t.Fatal(err)
	}
	settle(s)
	expect("gone", "one.example.com", 2, 2, "no such file")
	old := sign(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: "old"}, DNSNames: []string{"old"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}, ecdsaKey)
	putPair(t, dir, old)
	settle(s)
	expect("expired", "one.example.com", 2, 3, "has expired on")
	put(t, crt, []byte("nonsense"))
	settle(s)
	expect("nonsense", "one.example.com", 2, 4, "no PEM block")
	putPair(t, dir, second)
	settle(s)
	expect("back", "two.example.com", 3, 4, "certificate read again")

	// Written in place, as cp(1) does.
	for path, text := range map[string][]byte{crt: certPEM(first), key: keyPEM(t, first)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settle(s)
	expect("in place", "one.example.com", 4, 4, "certificate read again")
}

// TestKubernetes changes files as the kubelet does: it links to a directory that
// is another each time.
func TestKubernetes(t *testing.T) {
	s, _ := quietStore(t)
	dir := t.TempDir()
	mount := func(name string, c tls.Certificate) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		putPair(t, filepath.Join(dir, name), c)
		if err := os.Symlink(name, filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("..1", pair(t, ecdsaKey, "one.example.com"))
	for _, f := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink("..data/"+f, filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	c, release, err := s.Pair("a", filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	mount("..2", pair(t, ecdsaKey, "two.example.com"))
	if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
		t.Fatal(err)
	}
	settle(s)
	if !slices.Equal(c.Names(), []string{"two.example.com"}) {
		t.Errorf("shows %v", c.Names())
	}
}

func TestStoreKeepsWhatIsUsed(t *testing.T) {
	s, out := quietStore(t)
	dir := t.TempDir()
	putPair(t, dir, pair(t, ecdsaKey, "a.example.com"))
	crt, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	get := func(name string) (*Certificate, func()) {
		t.Helper()
		c, release, err := s.Pair(name, crt, key)
		if err != nil {
			t.Fatal(err)
		}
		return c, release
	}
	one, first := get("a")
	same, second := get("a")
	other, third := get("b")
	if one != same || one == other {
		t.Error("not the same, or too much so")
	}
	a, fourth, err := s.Authorities(crt)
	if err != nil || a.current.Load() == nil {
		t.Fatal(err)
	}
	if st := s.Stats(); len(st) != 3 || st[0].CAFile != crt || st[1].Certificate != "a" || st[2].NotAfter.IsZero() {
		t.Errorf("%+v", st)
	}
	first()
	first() // counts once
	if again, f := get("a"); again != one {
		t.Error("made anew while in use")
	} else {
		f()
	}
	put(t, crt, []byte("nonsense"))
	settle(s)
	if text := out.take(); !strings.Contains(text, "the new client authorities can't be used") || strings.Count(text, "\n") != 3 {
		t.Errorf("log %s", text)
	}
	for _, f := range []func(){second, third, fourth} {
		f()
	}
	if len(s.sources) != 0 {
		t.Errorf("%d are kept", len(s.sources))
	}
	if _, _, err := s.Authorities(crt); err == nil {
		t.Error("nonsense was taken")
	}
}

func TestExpiredAtStart(t *testing.T) {
	s, out := quietStore(t)
	dir := t.TempDir()
	putPair(t, dir, sign(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: "old"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}, ecdsaKey))
	_, release, err := s.Pair("a", filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	release()
	if text := out.take(); !strings.Contains(text, "has expired") {
		t.Errorf("log %q", text)
	}
}

// TestWatch waits for the store's own looks.
func TestWatch(t *testing.T) {
	s := NewStore(slog.New(slog.DiscardHandler))
	defer s.Close()
	dir := t.TempDir()
	putPair(t, dir, pair(t, ecdsaKey, "one.example.com"))
	c, release, err := s.Pair("a", filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	putPair(t, dir, pair(t, ecdsaKey, "two.example.com"))
	for end := time.Now().Add(20 * time.Second); c.Names()[0] != "two.example.com"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the change was not taken")
		}
	}
}

// TestResumption goes over reloads and turns of the keys, and not further.
func TestResumption(t *testing.T) {
	s, _ := quietStore(t)
	dir := t.TempDir()
	good, other := newAuthority(t, "good"), newAuthority(t, "other")
	ca := filepath.Join(dir, "ca.pem")
	put(t, ca, certPEM(tls.Certificate{Certificate: [][]byte{good.cert.Raw}}))
	a, release, err := s.Authorities(ca)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	c := showing(t, "a", pair(t, ecdsaKey, "a.example.com"))
	ann := client(t, good, "ann")
	open := Settings{Certificates: []*Certificate{c}}
	strict := Settings{Certificates: []*Certificate{c}, ClientAuth: tls.RequireAndVerifyClientCert, Authorities: a}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := &tls.Config{InsecureSkipVerify: true, ServerName: "a.example.com", MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1), Certificates: []tls.Certificate{ann}}
		try := func(what string, srv *Server, want bool) {
			t.Helper()
			defer srv.Close()
			state, seen, err := shake(t, srv, cfg)
			if err != nil || state.DidResume != want {
				t.Errorf("%x %s: resumed %v, %v", version, what, state.DidResume, err)
			}
			if demands := srv.settings.ClientAuth == tls.RequireAndVerifyClientCert; demands != (len(seen.PeerCertificates) > 0) {
				t.Errorf("%x %s: %d certificates of the client", version, what, len(seen.PeerCertificates))
			}
		}
		now := time.Now()
		try("first", s.Server("l", open), false)
		try("after a reload", s.Server("l", open), true)
		for range ticketKeys - 1 {
			now = now.Add(ticketPeriod)
			s.poll(now)
		}
		try("after turns", s.Server("l", open), true)
		for range ticketKeys {
			now = now.Add(ticketPeriod)
			s.poll(now)
		}
		try("long after", s.Server("l", open), false)
		try("another listener", s.Server("m", open), false)
		try("once more", s.Server("m", open), true)
		try("clients have to prove themselves now", s.Server("m", strict), false)
		try("proven", s.Server("m", strict), true)
		try("no proof is wanted", s.Server("m", open), false)
		s.tickets.made = time.Time{} // the next run starts anew
	}
	// A session with an authority that is no longer one is not resumed.
	cfg := &tls.Config{InsecureSkipVerify: true, ServerName: "a.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1), Certificates: []tls.Certificate{ann}}
	srv := s.Server("l", strict)
	defer srv.Close()
	for range 2 {
		if _, _, err := shake(t, srv, cfg); err != nil {
			t.Fatal(err)
		}
	}
	put(t, ca, certPEM(tls.Certificate{Certificate: [][]byte{other.cert.Raw}}))
	settle(s)
	if _, _, err := shake(t, srv, cfg); err == nil {
		t.Error("a client of an authority that was removed came in")
	}
}

// TestTurnUnderServer turns the keys of a server that is in use.
func TestTurnUnderServer(t *testing.T) {
	s, _ := quietStore(t)
	srv := s.Server("l", Settings{Certificates: []*Certificate{showing(t, "a", pair(t, ecdsaKey, "a.example.com"))}})
	cfg := &tls.Config{InsecureSkipVerify: true, ServerName: "a.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	now := time.Now()
	for i := range 10 {
		state, _, err := shake(t, srv, cfg)
		if err != nil || state.DidResume != (i > 0) {
			t.Errorf("%d: resumed %v, %v", i, state.DidResume, err)
		}
		now = now.Add(ticketPeriod)
		s.poll(now)
	}
	if n := len(s.tickets.secrets); n != ticketKeys {
		t.Errorf("%d keys are kept", n)
	}
	srv.Close()
	if len(s.servers) != 0 {
		t.Error("the server is kept")
	}
}
