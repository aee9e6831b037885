package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

func entry(target, agent string) Entry {
	x := &exchange.Exchange{}
	x.Reset(context.Background(), nil, nil)
	x.Start = time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC)
	x.ID, x.Route = "id-1", "orders"
	x.RemoteIP = netip.MustParseAddr("10.1.2.3")
	x.Request.Method, x.Request.Target, x.Request.Authority, x.Request.Proto = "GET", target, "api.example.com", exchange.HTTP11
	x.Request.Head.Add("user-agent", agent)
	return Entry{X: x, Status: 200, Sent: 12, Duration: 1500 * time.Microsecond}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"common", `10.1.2.3 - - [03/Feb/2026:04:05:06 +0000] "GET /a?b HTTP/1.1" 200 12`},
		{"combined", `10.1.2.3 - - [03/Feb/2026:04:05:06 +0000] "GET /a?b HTTP/1.1" 200 12 "-" "curl/8"`},
		{"json", `{"time":"2026-02-03T04:05:06.000007Z","request_id":"id-1","remote_ip":"10.1.2.3","method":"GET","host":"api.example.com","target":"/a?b",` +
			`"protocol":"HTTP/1.1","route":"orders","status":200,"bytes":12,"duration_ms":1.500,"user_agent":"curl/8"}`},
	} {
		t.Run(c.format, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "access.log")
			for range 2 { // the second adds to the file
				l, err := OpenAccessLog(path, c.format, nil, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				l.Record(entry("/a?b", "curl/8"))
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				l.Record(entry("/late", ""))
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			b, err := os.ReadFile(path)
			if err != nil || string(b) != c.want+"\n"+c.want+"\n" {
				t.Errorf("%v\n%s", err, b)
			}
		})
	}
	if _, err := OpenAccessLog("stdout", "csv", nil, nil, nil); err == nil {
		t.Error("an unknown format was accepted")
	}
	if _, err := OpenAccessLog(filepath.Join(t.TempDir(), "no/such/dir"), "json", nil, nil, nil); err == nil {
		t.Error("an impossible path was accepted")
	}
}

// One exchange is one line, whatever a client sends.
func FuzzLine(f *testing.F) {
	f.Add("/a", "curl")
	f.Add("/\"\\\n\r\x00", "\xff\xfe\u2028\x7f")
	f.Fuzz(func(t *testing.T, target, agent string) {
		e := entry(target, agent)
		line := appendJSON(nil, &e)
		var got map[string]any
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if want := strings.ToValidUTF8(target, "\ufffd"); !bytes.Contains([]byte(target), []byte{0xff}) && strings.ToValidUTF8(target, "") == target && got["target"] != want {
			t.Errorf("target %q became %q", target, got["target"])
		}
		for _, line := range [][]byte{line, appendCombined(nil, &e)} {
			if bytes.ContainsAny(line, "\n\r\x00") {
				t.Errorf("%q is no single line", line)
			}
		}
	})
}

// slowWriter takes nothing until it is let go.
type slowWriter struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func TestSlowDisk(t *testing.T) {
	w := &slowWriter{}
	l, err := OpenAccessLog("stdout", "json", nil, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	const lines = 40_000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range lines {
			l.Record(entry("/a", "curl"))
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("requests wait for the disk")
	}
	w.mu.Unlock()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	written := strings.Count(w.buf.String(), "\n")
	if l.Dropped() == 0 || written+int(l.Dropped()) != lines {
		t.Errorf("%d written and %d dropped of %d", written, l.Dropped(), lines)
	}
}

func TestTemplate(t *testing.T) {
	text := func(x *exchange.Exchange) (exchange.Value, error) {
		switch x.Request.Method {
		case "GET":
			return exchange.Text("a\n\x7f\xff\"b"), nil
		case "PUT":
			return exchange.Value{Kind: exchange.KindNumber, Num: 204}, nil
		}
		return exchange.Value{}, errors.New("no\nvalue")
	}
	var b bytes.Buffer
	l, err := OpenAccessLog("stdout", "", text, &b, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"GET", "PUT", "POST"} {
		x := &exchange.Exchange{}
		x.Request.Method = method
		l.Record(Entry{X: x})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if want := "a\\x0a\\x7f\ufffd\"b\n204\naccess_log.format: no?value\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestFullDisk(t *testing.T) {
	l, err := OpenAccessLog("stderr", "common", nil, nil, failing{})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		l.Record(entry("/a", "curl"))
	}
	if l.Close() == nil && l.Dropped() == 0 {
		t.Error("nobody learns that lines were lost")
	}
}

func TestLeavesWithoutTraffic(t *testing.T) {
	r, w := io.Pipe()
	l, err := OpenAccessLog("stdout", "common", nil, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Record(entry("/a", "curl"))
	b := make([]byte, 1024)
	if n, err := r.Read(b); err != nil || !bytes.HasSuffix(b[:n], []byte("\n")) {
		t.Errorf("%v %q", err, b[:n])
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkAccessJSON(b *testing.B) {
	l, err := OpenAccessLog("stdout", "json", nil, io.Discard, nil)
	if err != nil {
		b.Fatal(err)
	}
	e := entry("/orders/1?verbose=true", "Mozilla/5.0 (X11; Linux x86_64)")
	b.ReportAllocs()
	for b.Loop() {
		l.Record(e)
	}
}
