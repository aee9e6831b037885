package http1_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

var browserGET = []byte(strings.ReplaceAll(`GET /assets/app/main.css?v=20261123 HTTP/1.1
Host: www.example.com
Connection: keep-alive
sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"
sec-ch-ua-mobile: ?0
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36
sec-ch-ua-platform: "Linux"
Accept: text/css,*/*;q=0.1
Sec-Fetch-Site: same-origin
Sec-Fetch-Mode: no-cors
Sec-Fetch-Dest: style
Referer: https://www.example.com/
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-US,en;q=0.9,de;q=0.8
Cookie: session=1f0c5b7a9d3e4c2b8a6f; theme=dark; consent=1

`, "\n", "\r\n"))

func BenchmarkParseRequest(b *testing.B) {
	var r exchange.Request
	b.SetBytes(int64(len(browserGET)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := http1.ParseRequest(browserGET, &r, http1.Limits{}); n != len(browserGET) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	var r exchange.Request
	if _, err := http1.ParseRequest(browserGET, &r, http1.Limits{}); err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = http1.AppendRequest(buf[:0], &r); err != nil {
			b.Fatal(err)
		}
	}
}

// fixed answers with a body that is made once.
type fixed struct{ body []byte }

func (f *fixed) Serve(x *exchange.Exchange) {
	x.Reply(200, "text/plain", f.body)
	reply(x)
}

// roundTrips sends req b.N times on one connection and reads an answer of size
// bytes to each.
func roundTrips(b *testing.B, addr string, req []byte) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 64<<10)
	trip := func(size int) int {
		if _, err := c.Write(req); err != nil {
			b.Fatal(err)
		}
		got := 0
		for got < size || size == 0 {
			n, err := c.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			if got += n; size == 0 {
				break
			}
		}
		return got
	}
	size := trip(0)
	b.ReportAllocs()
	for b.Loop() {
		trip(size)
	}
}

func BenchmarkServer(b *testing.B) {
	for _, c := range []struct {
		name string
		req  []byte
	}{
		{"GET", browserGET},
		{"POST", append([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n"), make([]byte, 1024)...)},
	} {
		b.Run(c.name, func(b *testing.B) {
			addr, _ := listen(b, &fixed{make([]byte, 1024)}, http1.Timeouts{})
			roundTrips(b, addr, c.req)
		})
	}
}

// relay forwards each request on one connection and streams the answer back, as
// the engine does without filters.
type relay struct{ c *http1.Client }

func (p *relay) Serve(x *exchange.Exchange) {
	if err := p.forward(x); err != nil {
		x.Front.Reset(exchange.ResetInternal)
	}
	p.c.Park()
}

func (p *relay) forward(x *exchange.Exchange) error {
	if err := p.c.WriteRequest(&x.Request, nil, true); err != nil {
		return err
	}
	r := &x.Response
	if err := p.c.ReadResponse(x.Request.Method, r); err != nil {
		return err
	}
	if err := x.Front.WriteHead(); err != nil {
		return err
	}
	for r.Body != nil {
		b, err := r.Body.Next()
		if err != nil && err != io.EOF {
			return err
		}
		if werr := x.Front.Write(b, err == io.EOF); werr != nil || err == io.EOF {
			return werr
		}
	}
	return x.Front.End(nil)
}

// BenchmarkProxy is a GET over four sockets, client and upstream included.
func BenchmarkProxy(b *testing.B) {
	backend, _ := listen(b, &fixed{make([]byte, 1024)}, http1.Timeouts{})
	nc, err := net.Dial("tcp", backend)
	if err != nil {
		b.Fatal(err)
	}
	c := http1.NewClient(nc, http1.Limits{}, &http1.Buffers{})
	defer c.Close()
	addr, _ := listen(b, &relay{c}, http1.Timeouts{})
	roundTrips(b, addr, browserGET)
}

// A small request leaves no garbage: nothing on its way may allocate.
func TestNoGarbage(t *testing.T) {
	if race {
		t.Skip("the race detector allocates")
	}
	res := testing.Benchmark(BenchmarkProxy)
	if n := res.AllocedBytesPerOp(); n > 64 { // pools are emptied now and then
		t.Errorf("%d bytes in %d allocations per request", n, res.AllocsPerOp())
	}
	if n := res.AllocsPerOp(); n > 0 {
		t.Errorf("%d allocations per request", n)
	}
}
