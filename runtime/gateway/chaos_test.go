package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/test/need"
)

// plan is what client and backend do in one exchange. It follows from a number
// that both know.
type plan struct {
	n                    uint64
	up, down             int    // sizes of the bodies, in bytes; up -1: none
	upFraming            string // length or chunked
	downFraming          string // length, chunked, trailer or close
	hints                int    // interim responses
	early                bool   // answered before the request body was read
	backendCut           int    // byte of the response where the backend ends, -1: never
	backendEnd           end
	stall                bool // at backendCut, instead of an end
	pause                bool // in the middle of the response
	clientCut            int  // byte of the request where the client ends, -1: never
	clientEnd            end
	leaveAt              int // byte of the response where the client leaves, -1: never
	slow                 bool
	content, upContent   []byte
	response, requestRaw []byte
}

var chaosBytes = random(1 << 20)

func makePlan(n uint64) *plan {
	r := rand.New(rand.NewPCG(n, 1))
	size := func() int {
		most := []int{1, 10, 1000, 20_000, 70_000, 400_000}[r.IntN(6)]
		return r.IntN(most)
	}
	one := func(in int) bool { return r.IntN(in) == 0 }
	p := &plan{
		n: n, up: -1, down: size(), upFraming: []string{"length", "chunked"}[r.IntN(2)],
		downFraming: []string{"length", "chunked", "trailer", "close"}[r.IntN(4)],
		backendCut:  -1, clientCut: -1, leaveAt: -1, pause: one(10), slow: one(20),
		backendEnd: []end{fin, rst}[r.IntN(2)], clientEnd: []end{fin, rst}[r.IntN(2)],
	}
	if one(2) {
		p.up = size()
	}
	if one(5) {
		p.hints = 1 + r.IntN(5)
	}
	p.early = p.up >= 0 && one(10)
	from := r.IntN(len(chaosBytes) / 2)
	p.content, p.upContent = chaosBytes[from:from+p.down], chaosBytes[from+7:from+7+max(p.up, 0)]
	p.response, p.requestRaw = p.makeResponse(r), p.makeRequest(r)
	if one(4) {
		p.backendCut = r.IntN(len(p.response))
		if p.stall = one(5); p.stall {
			p.leaveAt = p.backendCut
		}
	}
	if p.downFraming == "close" { // only a reset tells it from a whole answer
		p.backendEnd = rst
	}
	switch r.IntN(8) {
	case 0:
		p.clientCut = r.IntN(len(p.requestRaw))
	case 1:
		p.leaveAt = r.IntN(len(p.response))
	}
	return p
}

func (p *plan) makeResponse(r *rand.Rand) []byte {
	var b bytes.Buffer
	for range p.hints {
		b.WriteString("HTTP/1.1 103 Early Hints\r\nLink: </style>\r\n\r\n")
	}
	b.WriteString("HTTP/1.1 200 OK\r\n")
	if p.early {
		b.WriteString("Connection: close\r\n")
	}
	frame(&b, r, p.downFraming, p.content, p.n)
	return b.Bytes()
}

func (p *plan) makeRequest(r *rand.Rand) []byte {
	var b bytes.Buffer
	method := "GET"
	if p.up >= 0 {
		method = "POST"
	}
	fmt.Fprintf(&b, "%s /%d HTTP/1.1\r\nHost: a\r\nX-Role: reader\r\n", method, p.n)
	if p.up >= 0 {
		frame(&b, r, p.upFraming, p.upContent, p.n)
	} else {
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// frame appends the fields of a framing and the body.
func frame(b *bytes.Buffer, r *rand.Rand, framing string, body []byte, n uint64) {
	switch framing {
	case "length":
		fmt.Fprintf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	case "close":
		fmt.Fprintf(b, "Connection: close\r\n\r\n%s", body)
	default:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			k := min(1+r.IntN(30_000), len(body))
			fmt.Fprintf(b, "%x\r\n%s\r\n", k, body[:k])
			body = body[k:]
		}
		b.WriteString("0\r\n")
		if framing == "trailer" {
			fmt.Fprintf(b, "X-Number: %d\r\n", n)
		}
		b.WriteString("\r\n")
	}
}

// clean exchanges have to work.
func (p *plan) clean() bool {
	return p.backendCut < 0 && p.clientCut < 0 && p.leaveAt < 0 && !p.early
}

// chaos is the backend, and what both sides found.
type chaos struct {
	t      *testing.T
	r      *rig
	seen   sync.Map // numbers of the requests that the backend saw whole
	halves sync.Map // numbers of those that clients left half sent
	whole  atomic.Int64
	broken atomic.Int64
}

func (c *chaos) serve(nc net.Conn) {
	in := bufio.NewReader(nc)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		n, err := strconv.ParseUint(req.URL.Path[1:], 10, 64)
		if err != nil {
			c.t.Errorf("a request that nobody sent: %s", req.URL)
			return
		}
		p := makePlan(n)
		if !p.early {
			b, err := io.ReadAll(req.Body)
			if err != nil {
				return
			}
			if !bytes.Equal(b, p.upContent) {
				c.t.Errorf("request %d: the backend got %d bytes of %d, or others", n, len(b), p.up)
			}
			c.seen.Store(n, true)
		}
		if !p.answer(nc) {
			return
		}
	}
}

// answer sends the response and reports whether the connection goes on.
func (p *plan) answer(nc net.Conn) bool {
	out := p.response
	if p.backendCut >= 0 {
		out = out[:p.backendCut]
	}
	if p.pause {
		if _, err := nc.Write(out[:len(out)/2]); err != nil {
			return false
		}
		time.Sleep(20 * time.Millisecond)
		out = out[len(out)/2:]
	}
	if _, err := nc.Write(out); err != nil {
		return false
	}
	switch {
	case p.stall:
		_, _ = io.Copy(io.Discard, nc)
		return false
	case p.backendCut >= 0:
		p.backendEnd.apply(nc)
		return false
	case p.early:
		_ = nc.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, nc)
		return false
	}
	return p.downFraming != "close"
}

// client makes exchanges until stop, on one connection as long as it lives.
func (c *chaos) client(seed uint64, stop time.Time) {
	r := rand.New(rand.NewPCG(seed, 2))
	var nc *paced
	var in *bufio.Reader
	for time.Now().Before(stop) && !c.t.Failed() {
		if nc == nil {
			conn, err := net.Dial("tcp", strings.TrimPrefix(c.r.base, "http://"))
			if err != nil {
				c.t.Error(err)
				return
			}
			nc = &paced{TCPConn: conn.(*net.TCPConn)}
			_ = nc.SetDeadline(time.Now().Add(time.Minute))
			in = bufio.NewReader(nc)
		}
		if !c.exchange(makePlan(r.Uint64()), nc, in) {
			nc.Close()
			nc = nil
		}
	}
	if nc != nil {
		nc.Close()
	}
}

// exchange reports whether the connection goes on.
func (c *chaos) exchange(p *plan, nc *paced, in *bufio.Reader) bool {
	if p.clientCut >= 0 {
		c.halves.Store(p.n, true)
		_, _ = nc.Write(p.requestRaw[:p.clientCut])
		time.Sleep(time.Duration(p.n % 3 * uint64(time.Millisecond)))
		p.clientEnd.apply(nc.TCPConn)
		return false
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = nc.Write(p.requestRaw)
	}()
	defer func() { <-sent }()
	if p.leaveAt >= 0 {
		_ = nc.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = io.CopyN(io.Discard, in, int64(p.leaveAt))
		p.clientEnd.apply(nc.TCPConn)
		return false
	}
	nc.slow = p.slow
	a, err := tryReceive(in, "GET")
	return c.judge(p, a, err)
}

// judge compares a response with the plan, and reports whether the connection
// should go on.
func (c *chaos) judge(p *plan, a answered, err error) bool {
	switch {
	case err == nil && a.err == nil && a.status == 200:
		c.whole.Add(1)
		if a.body != string(p.content) || p.downFraming == "trailer" && a.trailer.Get("X-Number") != fmt.Sprint(p.n) {
			c.t.Errorf("exchange %d: a whole response of %d bytes is not the one of %d bytes (%s, cut at %d of %d)", p.n, len(a.body), p.down, p.downFraming, p.backendCut, len(p.response))
		}
		return !p.early
	case p.clean():
		c.t.Errorf("exchange %d without a fault got %d, %v, %v", p.n, a.status, err, a.err)
	case err == nil && a.status != 200 && a.status != 502:
		c.t.Errorf("exchange %d got %d %s", p.n, a.status, a.body)
	case err == nil && !strings.HasPrefix(string(p.content), a.body) && a.status == 200:
		c.t.Errorf("exchange %d: the %d bytes before the cut are not those of the backend", p.n, len(a.body))
	}
	c.broken.Add(1)
	return err == nil && a.err == nil && !p.early
}

// paced is a connection that can be read slowly.
type paced struct {
	*net.TCPConn
	slow bool
}

func (c *paced) Read(p []byte) (int, error) {
	if c.slow {
		time.Sleep(time.Millisecond)
	}
	return c.TCPConn.Read(p)
}

// TestChaos lets clients and backends do what they should not.
// HEADGATE_CHAOS_SEED repeats the exchanges of a run.
func TestChaos(t *testing.T) { runChaos(t, 3*time.Second) }

func TestChaosMinute(t *testing.T) {
	need.Full(t)
	runChaos(t, time.Minute)
}

func runChaos(t *testing.T, d time.Duration) {
	seed := rand.Uint64()
	if s := os.Getenv("HEADGATE_CHAOS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HEADGATE_CHAOS_SEED=%d", seed)
	for name, files := range map[string]func(string) map[string]string{
		"plain":      func(addr string) map[string]string { return to(addr, "") },
		"filters":    filtered,
		"read ahead": readAhead,
	} {
		t.Run(name, func(t *testing.T) { (&chaos{t: t}).run(files, seed, d/3) })
	}
}

// readAhead is a configuration that looks into request bodies of up to 64 KiB.
func readAhead(addr string) map[string]string {
	files := to(addr, "")
	files["routes.hcl"] += `
route "gold" {
  priority = 1
  buffer   = "64KiB"
  match {
    json "tier" {
      equals = "gold"
    }
  }
  respond {
    status = 500
  }
}
`
	return files
}

func (c *chaos) run(files func(addr string) map[string]string, seed uint64, d time.Duration) {
	t := c.t
	checkResources(t)
	c.r = start(t, files(listen(t, c.serve)))
	var all sync.WaitGroup
	for i := range uint64(8) {
		all.Go(func() { c.client(seed+i, time.Now().Add(d)) })
	}
	all.Wait()
	c.r.settled()
	c.halves.Range(func(n, _ any) bool {
		if _, ok := c.seen.Load(n); ok {
			t.Errorf("request %d was sent by half and seen whole", n)
		}
		return true
	})
	if c.whole.Load() == 0 || c.broken.Load() == 0 {
		t.Errorf("%d whole responses, %d broken: not much of a test", c.whole.Load(), c.broken.Load())
	}
	t.Logf("%d whole responses, %d broken", c.whole.Load(), c.broken.Load())
}

// TestTrailersOfSmallRequests: a request that arrives whole, trailers and all, is
// passed on with them.
func TestTrailersOfSmallRequests(t *testing.T) {
	checkLeaks(t)
	app := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", body, r.Trailer.Get("X-In"))
	})
	r := start(t, to(app, ""))
	c, br := r.dial()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-In\r\n\r\n5\r\nhello\r\n0\r\nX-In: t\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "hello t" {
		t.Errorf("%q %v", body, err)
	}
}
