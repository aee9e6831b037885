package gateway_test

import (
	"context"
	"flag"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/gateway"
)

var updateCases = flag.Bool("update", false, "write what happens into the files of cases; look at the difference afterwards")

// Each case of testdata/smuggling runs against a gateway of its own, twice: whole
// and byte by byte. README.md there tells how to read and write them.
func TestSmuggling(t *testing.T) {
	checkLeaks(t)
	files, err := filepath.Glob("testdata/smuggling/*.case")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no cases", err)
	}
	total := 0
	for _, file := range files {
		cases := readCases(t, file)
		check, settle := (*smuggling).check, (*smuggling).settle
		if filepath.Base(file) == "http2.case" {
			check, settle = (*smuggling).checkHTTP2, (*smuggling).settleHTTP2
		}
		total += len(cases)
		t.Run(strings.TrimSuffix(filepath.Base(file), ".case"), func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					if *updateCases {
						settle(c, t)
						return
					}
					check(c, t)
				})
			}
		})
		if *updateCases {
			writeCases(t, file, cases)
		}
	}
	if total < 150 {
		t.Errorf("there are %d cases; the suite has at least 150", total)
	}
}

// smuggling is a case.
type smuggling struct {
	name    string
	comment []string
	lines   []string // of what is sent, as the file has them
	send    []string // what the client sends, by line
	answer  string   // what the backend answers to the first request, "" for an echo
	hangUp  bool     // the backend closes after it
	raced   bool     // over HTTP/2: the head may leave before what comes is refused
	want    outcome
}

// outcome is what came of the bytes that a client sent.
type outcome struct {
	client  string   // what it got
	backend []string // what each connection to the backend carried
	// end is open, closed or reset; or "waits, then closed" or reset, if the
	// gateway waits for more, which does not come.
	end string
}

func (c *smuggling) check(t *testing.T) {
	got := c.run(t, false, c.want.end)
	if got.client != c.want.client || got.end != c.want.end || !slices.Equal(got.backend, c.want.backend) {
		t.Errorf("got\n%swant\n%s", got.text(), c.want.text())
	}
	slow := c.run(t, true, c.want.end)
	got, want := slow.settled(), c.want.settled()
	if got.client != want.client || got.end != want.end || !slices.Equal(got.backend, want.backend) {
		t.Errorf("byte by byte, got\n%swant\n%s", got.text(), want.text())
	}
}

// settle finds the outcome out.
func (c *smuggling) settle(t *testing.T) {
	if c.want = c.run(t, false, "open"); c.want.end == "" {
		c.want = c.run(t, false, "waits")
	}
}

// The request after a case that shows that the connection is sound, and its
// answer.
const (
	probe       = "GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n"
	probeAnswer = `200 "GET /probe"`
)

// run sends the case's bytes to a gateway, then sees whether the connection ends
// as is expected.
func (c *smuggling) run(t *testing.T, bytewise bool, end string) (got outcome) {
	b := &scriptedBackend{answer: c.answer, hangUp: c.hangUp}
	r, stop := launch(t, b.listen(t))
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sent := make(chan struct{})
	go func() { // the gateway may refuse before it has read all
		defer close(sent)
		p := strings.Join(c.send, "")
		step := len(p)
		if bytewise {
			step = 1
		}
		for ; len(p) > 0; p = p[step:] {
			if _, err := io.WriteString(nc, p[:step]); err != nil {
				return
			}
		}
		if strings.HasPrefix(end, "waits") {
			_ = nc.(*net.TCPConn).CloseWrite()
		}
	}()
	in := &taker{nc: nc}
	if end == "open" {
		in.take(t, expand(c.want.client))
		<-sent
		if in.err == nil {
			got.end = in.probe(t, nc)
		} else {
			got.end = in.end()
		}
	} else if in.rest(); strings.HasPrefix(end, "waits") {
		got.end = "waits, then " + in.end()
	} else {
		got.end = in.end()
	}
	nc.Close()
	<-sent
	stop()
	got.client = abridge(in.b.String())
	for _, conn := range b.seen(t) {
		got.backend = append(got.backend, abridgeRequests(conn, r.base))
	}
	return got
}

// launch starts a gateway in front of addr; stop ends it with all connections.
func launch(t *testing.T, addr string) (r *rig, stop func()) {
	r = &rig{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	r.write("preamble.hcl", preamble)
	r.write("routes.hcl", to(addr, "")["routes.hcl"])
	g, err := gateway.Start(context.Background(), r.options())
	if err != nil {
		t.Fatal(err)
	}
	r.g, r.base = g, "http://"+g.Addrs()["main"].String()
	return r, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := g.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	}
}
