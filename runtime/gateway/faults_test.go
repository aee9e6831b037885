package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// checkResources is checkLeaks for descriptors too.
func checkResources(t testing.TB) {
	t.Helper()
	// What the runtime opens once for all.
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
	}
	before := descriptors(t)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		// Pipes for splicing are given back by the collector.
		for range 100 {
			if runtime.GC(); descriptors(t) <= before {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("%d descriptors were open before, %d are after", before, descriptors(t))
	})
	checkLeaks(t)
}

// descriptors counts the open ones, -1 where the system does not tell.
func descriptors(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(d)
}

// settled waits until nothing is in flight, at the gateway or at an endpoint.
func (r *rig) settled() {
	r.t.Helper()
	for range 300 {
		busy := ""
		for line := range strings.SplitSeq(r.admin("/metrics"), "\n") {
			active := strings.HasPrefix(line, "headgate_requests_active") || strings.HasPrefix(line, "headgate_upstream_requests_active") || strings.HasPrefix(line, "headgate_connections_active{")
			if active && !strings.HasSuffix(line, " 0") {
				busy += line + "\n"
			}
			if strings.HasPrefix(line, "headgate_panics_total") && !strings.HasSuffix(line, " 0") {
				r.t.Fatal(line)
			}
		}
		if busy == "" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	r.t.Errorf("still in flight:\n%s", grep(r.admin("/metrics"), "_active"))
}

// end is how a peer leaves.
type end string

const (
	fin   end = "FIN"
	rst   end = "RST"
	half  end = "half close"
	stays end = "stays"
)

func (e end) apply(c net.Conn) {
	switch e {
	case rst:
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	case fin:
		c.Close()
	case half:
		_ = c.(*net.TCPConn).CloseWrite()
	}
}

// turn is what a scripted backend makes of one request.
type turn struct {
	c      *net.TCPConn
	req    *http.Request
	body   string
	number int // of the request on its connection, from 1
}

// scripted is a backend that reads whole requests and answers with what f says,
// until f tells that the connection ends.
func scripted(t testing.TB, f func(turn) (goOn bool)) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for n := 1; ; n++ {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			b, err := io.ReadAll(req.Body)
			if err != nil {
				return
			}
			if !f(turn{c.(*net.TCPConn), req, string(b), n}) {
				return
			}
		}
	})
}

// answered is what a client got: the final response, and whether it was whole.
type answered struct {
	status  int
	interim []int
	header  http.Header
	trailer http.Header
	body    string
	err     error // of the body
}

// receive reads one response. It fails the test if there is no head.
func receive(t testing.TB, in *bufio.Reader, method string) answered {
	t.Helper()
	a, err := tryReceive(in, method)
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	return a
}

func tryReceive(in *bufio.Reader, method string) (a answered, err error) {
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return a, err
		}
		if res.StatusCode < 200 && res.StatusCode != 101 {
			a.interim = append(a.interim, res.StatusCode)
			continue
		}
		a.status, a.header = res.StatusCode, res.Header
		if res.StatusCode == 101 {
			return a, nil
		}
		b, err := io.ReadAll(res.Body)
		a.body, a.err, a.trailer = string(b), err, res.Trailer
		return a, nil
	}
}

// The answers that backends break off. Each has the body "hello world".
var answers = []struct{ name, text string }{
	{"length", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"},
	{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: v\r\n\r\n"},
	{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello world"},
	{"1.0", "HTTP/1.0 200 OK\r\n\r\nhello world"},
	{"interim", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"},
}

// cutCase is an answer that ends at a byte position.
type cutCase struct {
	answer, text, method string
	at                   int
	how                  end
	reused               bool
}

func (c cutCase) String() string {
	return fmt.Sprintf("%s %s at %d of %d, %s, reused %v", c.method, c.answer, c.at, len(c.text), c.how, c.reused)
}

func cutCases() (all []cutCase) {
	for _, a := range answers {
		for at := range len(a.text) + 1 {
			for _, how := range []end{fin, rst} {
				for _, reused := range []bool{false, true} {
					all = append(all, cutCase{a.name, a.text, "GET", at, how, reused})
					if at < 2 { // what may be repeated matters only here
						all = append(all, cutCase{a.name, a.text, "POST", at, how, reused})
					}
				}
			}
		}
	}
	return all
}

// check judges what the client got. tries is how often the backend saw the
// request.
func (c cutCase) check(t *testing.T, got answered, tries int) {
	t.Helper()
	head := strings.LastIndex(c.text[:strings.Index(c.text, "hello")], "\r\n\r\n") + 4
	if c.answer == "chunked" {
		head = strings.Index(c.text, "\r\n\r\n") + 4
	}
	byClose := c.answer == "close" || c.answer == "1.0"
	want := 1
	if c.at == 0 && c.reused && c.method == "GET" {
		want = 2 // and the second is answered
		head = -1
	}
	if tries != want {
		t.Errorf("%s: the backend saw %d requests, want %d", c, tries, want)
	}
	whole := got.status == 200 && got.err == nil
	switch {
	case head < 0 || c.at == len(c.text) && !(byClose && c.how == rst):
		if !whole || got.body != "hello world" || c.answer == "chunked" && c.at > 0 && got.trailer.Get("X-T") != "v" {
			t.Errorf("%s: a whole answer became %+v", c, got)
		}
	case c.at < head:
		if got.status != 502 || got.err != nil {
			t.Errorf("%s: half a head became %+v", c, got)
		}
	case byClose && c.how == fin: // nobody can tell
		if !whole || got.body != c.text[head:c.at] {
			t.Errorf("%s: became %+v", c, got)
		}
	case whole:
		t.Errorf("%s: half a body became a whole one: %+v", c, got)
	case got.status == 502:
		if got.err != nil {
			t.Errorf("%s: the error answer was cut", c)
		}
	case got.status != 200 || !strings.HasPrefix("hello world", got.body):
		t.Errorf("%s: became %+v", c, got)
	}
}

func TestBackendEndsAnywhere(t *testing.T) {
	checkResources(t)
	cases := cutCases()
	var mu sync.Mutex
	tries := make([]int, len(cases))
	wrong := 0
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
	addr := scripted(t, func(turn turn) bool {
		if turn.req.URL.Path == "/ok" {
			_, _ = io.WriteString(turn.c, ok)
			return true
		}
		var i int
		_, _ = fmt.Sscanf(turn.req.URL.Path, "/%d", &i)
		c := cases[i]
		mu.Lock()
		tries[i]++
		again := tries[i] > 1
		if !again && c.reused != (turn.number > 1) {
			wrong++
		}
		mu.Unlock()
		if again {
			_, _ = io.WriteString(turn.c, strings.Replace(ok, "Content", "Connection: close\r\nContent", 1))
			return false
		}
		_, _ = io.WriteString(turn.c, c.text[:c.at])
		c.how.apply(turn.c)
		return false
	})
	r := start(t, to(addr, ""))
	for i, cut := range cases {
		c, in := r.dial()
		if cut.reused {
			fmt.Fprintf(c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n")
			if a := receive(t, in, "GET"); a.status != 200 {
				t.Fatalf("before %s: %+v", cut, a)
			}
		}
		fmt.Fprintf(c, "%s /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", cut.method, i)
		a := receive(t, in, cut.method)
		mu.Lock()
		n := tries[i]
		mu.Unlock()
		cut.check(t, a, n)
		if a.err == nil { // the client's connection lives on
			fmt.Fprintf(c, "%s /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "GET", i)
			if a := receive(t, in, "GET"); a.status != 200 {
				t.Errorf("after %s: %+v", cut, a)
			}
		} else if !errors.Is(a.err, io.ErrUnexpectedEOF) {
			// A reset; the next read must not find another response.
			if _, err := in.ReadByte(); err == nil {
				t.Errorf("after %s: the connection goes on", cut)
			}
		}
		c.Close()
		if t.Failed() {
			break
		}
	}
	if wrong > 0 {
		t.Errorf("%d cases met another kind of connection than they should", wrong)
	}
	r.settled()
}

// limitedTimes is preamble with short timeouts of the listener.
func limitedTimes(timeouts string) string {
	return strings.Replace(preamble, `  protocols`, "  timeouts {\n"+timeouts+"\n  }\n  protocols", 1)
}

// A backend that goes silent costs its client at most the timeout for the head,
// and stream_idle in the body.
func TestBackendStallsAnywhere(t *testing.T) {
	checkResources(t)
	var cases []cutCase
	for _, a := range answers {
		for at := range len(a.text) {
			cases = append(cases, cutCase{a.name, a.text, "GET", at, stays, false})
		}
	}
	addr := scripted(t, func(turn turn) bool {
		var i int
		_, _ = fmt.Sscanf(turn.req.URL.Path, "/%d", &i)
		c := cases[i]
		_, _ = io.WriteString(turn.c, c.text[:c.at])
		return true
	})
	files := to(addr, `timeout = "300ms"`)
	files["preamble.hcl"] = limitedTimes(`    stream_idle = "500ms"`)
	r := start(t, files)
	var all sync.WaitGroup
	for i, cut := range cases {
		c, in := r.dial()
		all.Go(func() {
			defer c.Close()
			begun := time.Now()
			fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
			a, err := tryReceive(in, "GET")
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("%s: took %v", cut, took)
			}
			head := strings.LastIndex(cut.text[:strings.Index(cut.text, "hello")], "\r\n\r\n") + 4
			if cut.answer == "chunked" {
				head = strings.Index(cut.text, "\r\n\r\n") + 4
			}
			switch {
			case cut.at < head:
				if a.status != 504 || err != nil || a.err != nil {
					t.Errorf("%s: got %+v %v, want 504", cut, a, err)
				}
			case err == nil && a.err == nil && a.status == 200:
				t.Errorf("%s: half a body became a whole one: %+v", cut, a)
			}
		})
	}
	all.Wait()
	r.settled()
}

// A backend that reads nothing of a large request costs its client stream_idle
// and the timeout.
func TestBackendReadsNothing(t *testing.T) {
	checkResources(t)
	done := make(chan struct{})
	defer close(done)
	addr := listen(t, func(c net.Conn) {
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		<-done
	})
	files := to(addr, `timeout = "300ms"`)
	files["preamble.hcl"] = limitedTimes(`    stream_idle = "500ms"`)
	r := start(t, files)
	c, in := r.dial()
	go func() {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 64<<20)
		_, _ = io.CopyN(c, zeros{}, 64<<20)
	}()
	if a := receive(t, in, "POST"); a.status != 504 || a.err != nil {
		t.Errorf("got %+v, want 504", a)
	}
	c.Close()
	r.settled()
}

// Over HTTP/2 too, a response that the backend broke off never ends like a whole
// one.
func TestBackendEndsAnywhereHTTP2(t *testing.T) {
	checkResources(t)
	cases := cutCases()
	addr := scripted(t, func(turn turn) bool {
		var i int
		_, _ = fmt.Sscanf(turn.req.URL.Path, "/%d", &i)
		_, _ = io.WriteString(turn.c, cases[i].text[:cases[i].at])
		cases[i].how.apply(turn.c)
		return false
	})
	r := start(t, to(addr, ""))
	client := streamClients(t)["h2c"]
	for i, cut := range cases {
		if cut.reused {
			continue
		}
		req, err := http.NewRequest(cut.method, fmt.Sprintf("%s/%d", r.base, i), nil)
		if err != nil {
			t.Fatal(err)
		}
		var a answered
		res, err := client.Do(req)
		if err == nil {
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			a = answered{status: res.StatusCode, header: res.Header, trailer: res.Trailer, body: string(b), err: err}
		} else if strings.Contains(err.Error(), "hello") || cut.at == 0 {
			t.Errorf("%s: %v", cut, err)
		} else {
			a = answered{status: 200, err: err} // cut together with its head
		}
		cut.check(t, a, 1)
	}
	client.CloseIdleConnections()
	r.settled()
}

// What a backend sends beyond its answer belongs to nobody.
func TestSurplusBytes(t *testing.T) {
	checkResources(t)
	const surplus = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	texts := map[string]string{
		"/length":  "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood" + surplus,
		"/chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n" + surplus,
		"/204":     "HTTP/1.1 204 No Content\r\n\r\n" + surplus,
		"/304":     "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil",
		"/head":    "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n" + surplus,
		"/twice":   "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
	}
	addr := scripted(t, func(turn turn) bool {
		text, ok := texts[turn.req.URL.Path]
		if !ok {
			text = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
		}
		_, _ = io.WriteString(turn.c, text)
		return true
	})
	r := start(t, to(addr, ""))
	c, in := r.dial()
	for range 20 {
		for path := range texts {
			method := "GET"
			if path == "/head" {
				method = "HEAD"
			}
			fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: a\r\n\r\nPOST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", method, path)
			if a := receive(t, in, method); a.err != nil || a.status >= 400 || a.body != "" && a.body != "good" {
				t.Fatalf("%s: got %+v", path, a)
			}
			if a := receive(t, in, "POST"); a.body != "good" {
				t.Fatalf("after %s: got %+v", path, a)
			}
		}
	}
	c.Close()
	r.settled()
}
