package policies

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write makes a file below a fresh folder and returns its name.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// compiled compiles one module whose decision is data.t.decision.
func compiled(t testing.TB, src string, change ...func(*Spec, *Options)) *Policy {
	t.Helper()
	s := Spec{Name: "t", Files: []string{write(t, "t.rego", src)}, Decide: "data.t.decision", Deadline: 5 * time.Second}
	var o Options
	for _, c := range change {
		c(&s, &o)
	}
	p, err := Compile(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// request is what a test sends.
type request struct {
	method, target string
	headers        []string // name, value, ...
	body           string
	buffer         int64 // 0: enough
	edit           func(*exchange.Exchange)
}

type chunks struct{ p []byte }

func (c *chunks) Next() ([]byte, error) {
	n := min(3, len(c.p))
	p := c.p[:n]
	c.p = c.p[n:]
	if len(c.p) == 0 {
		return p, io.EOF
	}
	return p, nil
}
func (c *chunks) Ready() bool { return true }

// exchange makes the exchange as the engine hands it to filters.
func (r request) exchange(t testing.TB) *exchange.Exchange {
	t.Helper()
	x := &exchange.Exchange{}
	conn := exchange.NewConn(&exchange.ListenerInfo{Name: "public"},
		&net.TCPAddr{IP: net.IPv4(172, 17, 0, 10), Port: 36472}, &net.TCPAddr{IP: net.IPv4(172, 17, 0, 17), Port: 9080}, nil, 0)
	x.Reset(context.Background(), conn, nil)
	q := &x.Request
	q.Method, q.Scheme, q.Authority, q.Proto = "GET", "http", "api.example.com:8080", exchange.HTTP11
	if r.method != "" {
		q.Method = r.method
	}
	if r.target == "" {
		r.target = "/"
	}
	q.Target = r.target
	q.Path, q.RawQuery, _ = strings.Cut(r.target, "?")
	q.Head.Add("Host", q.Authority)
	for i := 0; i+1 < len(r.headers); i += 2 {
		q.Head.Add(r.headers[i], r.headers[i+1])
	}
	if r.body != "" {
		q.Body, q.Length = &chunks{[]byte(r.body)}, int64(len(r.body))
		buffer := r.buffer
		if buffer == 0 {
			buffer = 1 << 20
		}
		if err := x.ReadAhead(&q.Message, buffer); err != nil {
			t.Fatal(err)
		}
	}
	x.Start = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	x.ID, x.Host, x.Route, x.RemoteIP = "0192-id", "api.example.com", "orders", conn.Peer.Addr()
	x.Enter(0, 1)
	if r.edit != nil {
		r.edit(x)
	}
	return x
}

// logged collects log lines.
type logged struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func body(x *exchange.Exchange) string {
	p, _ := x.Response.Content()
	return string(p)
}

type counted map[string]int

func (c counted) Decision(policy, result string, _ time.Duration) { c[policy+" "+result]++ }
