package lifecycle

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// metric returns the sum of a metric's series whose labels contain part.
func (p *process) metric(name, part string) float64 {
	p.Helper()
	_, text := p.get("/metrics")
	sum := 0.0
	for s := range strings.Lines(text) {
		series, value, _ := strings.Cut(strings.TrimSpace(s), " ")
		if n, labels, _ := strings.Cut(series, "{"); n != name || !strings.Contains(labels, part) {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			p.Fatal(err)
		}
		sum += v
	}
	return sum
}

// awaitMetric waits until a metric is what ok wants.
func (p *process) awaitMetric(name, part string, ok func(float64) bool) {
	p.Helper()
	var v float64
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if v = p.metric(name, part); ok(v) {
			return
		}
	}
	p.Errorf("%s is %v", name, v)
}

// cpu returns the processor time that the process has used.
func (p *process) cpu() time.Duration {
	p.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		p.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	ticks := 0
	for _, f := range fields[11:13] { // utime and stime, proc_pid_stat(5)
		n, err := strconv.Atoi(f)
		if err != nil {
			p.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

// descriptors returns how many the process has open.
func (p *process) descriptors() int {
	p.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		p.Fatal(err)
	}
	return len(list)
}

// resident returns the memory of the process in bytes.
func (p *process) resident() int {
	p.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		p.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		p.Fatal(err)
	}
	return n << 10
}

func (p *process) stop() {
	p.Helper()
	p.signal(unix.SIGTERM)
	if code := p.wait(); code != 0 {
		p.Errorf("exit code %d", code)
	}
}

// limited answers /own by itself and forwards the rest.
const limited = `
gateway {
  admin {
    address = "127.0.0.1:0"
  }
  log {
    format = "json"
  }
  shutdown {
    drain = "5s"
  }
  limits {
    %s
  }
}
listener "main" {
  address = "127.0.0.1:0"
}
upstream "b" {
  endpoint %q {}
}
route "own" {
  path = "/own"
  respond {
    body = "own"
  }
}
route "all" {
  path_prefix = "/"
  upstream    = upstream.b
}
`

// talk is a client's connection.
type talk struct {
	net.Conn
	in *bufio.Reader
}

func (p *process) dial() (*talk, error) {
	c, err := net.DialTimeout("tcp", p.addrs["main"], patience)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return &talk{c, bufio.NewReaderSize(c, 512)}, nil
}

func (t *talk) ask(path string) (*http.Response, error) {
	if _, err := io.WriteString(t, request(path, "")); err != nil {
		return nil, err
	}
	return t.answer()
}

func (t *talk) answer() (*http.Response, error) {
	res, err := http.ReadResponse(t.in, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
	}
	return res, err
}

// TestTooManyConnections turns those beyond the limit away at little cost, and
// lets others in as soon as some leave.
func TestTooManyConnections(t *testing.T) {
	const limit, more = 50, 600
	b := newBed(t, fmt.Sprintf(limited, fmt.Sprintf("max_connections = %d", limit), "127.0.0.1:1"))
	p := b.start()
	var open []*talk
	for range limit {
		c, err := p.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if res, err := c.ask("/own"); err != nil || res.StatusCode != 200 {
			t.Fatalf("%v, %v", res, err)
		}
		open = append(open, c)
	}
	idle := p.metric("go_goroutines", "")
	var over []*talk
	for range more {
		c, err := p.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		over = append(over, c)
	}
	p.awaitMetric("headgate_connections_refused_total", `reason="limit"`, func(v float64) bool { return v == more })
	if n := p.metric("go_goroutines", ""); n > idle+300 {
		t.Errorf("%v goroutines for connections that were turned away", n-idle)
	}
	for i, c := range over {
		// They never sent anything, and know all the same.
		if res, err := c.answer(); err != nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !res.Close {
			t.Fatalf("connection %d beyond the limit: %v, %v", i, res, err)
		}
		c.Close()
	}
	for _, c := range open {
		if res, err := c.ask("/own"); err != nil || res.StatusCode != 200 {
			t.Fatalf("a connection within the limit: %v, %v", res, err)
		}
		c.Close()
	}
	p.awaitMetric("headgate_connections_active", `"main"`, func(v float64) bool { return v == 0 })
	c, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if res, err := c.ask("/own"); err != nil || res.StatusCode != 200 {
		t.Errorf("after they left: %v, %v", res, err)
	}
	c.Close()
	p.awaitMetric("go_goroutines", "", func(v float64) bool { return v <= idle })
	p.stop()
}

// TestTooManyRequests offers three times of what is admitted. What is admitted
// takes about as long as without the rest; the rest is told so at once.
func TestTooManyRequests(t *testing.T) {
	const limit, work = 8, 25 * time.Millisecond
	var busy, peak atomic.Int64
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		n := busy.Add(1)
		defer busy.Add(-1)
		for {
			if old := peak.Load(); n <= old || peak.CompareAndSwap(old, n) {
				break
			}
		}
		time.Sleep(work)
		fmt.Fprint(w, "ok")
	})
	b := newBed(t, fmt.Sprintf(limited, fmt.Sprintf("max_requests = %d", limit), addr))
	p := b.start()
	run := func(clients int) (served, shed []time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				c, err := p.dial()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				for ctx.Err() == nil {
					start := time.Now()
					res, err := c.ask("/x")
					d := time.Since(start)
					if err != nil || res.Close {
						t.Errorf("%v, %v", res, err)
						return
					}
					mu.Lock()
					switch {
					case res.StatusCode == 200:
						served = append(served, d)
					case res.StatusCode == 503 && res.Header.Get("Retry-After") != "":
						shed = append(shed, d)
					default:
						t.Errorf("%v", res)
					}
					mu.Unlock()
					if res.StatusCode == 503 {
						time.Sleep(5 * time.Millisecond) // less than it was asked to
					}
				}
			})
		}
		wg.Wait()
		slices.Sort(served)
		slices.Sort(shed)
		return served, shed
	}
	calm, none := run(limit)
	if len(calm) == 0 || len(none) > 0 {
		t.Fatalf("%d served, %d turned away within the limit", len(calm), len(none))
	}
	served, shed := run(3 * limit)
	if len(served) == 0 || len(shed) == 0 {
		t.Fatalf("%d served, %d turned away", len(served), len(shed))
	}
	at := func(d []time.Duration, q float64) time.Duration { return d[int(q*float64(len(d)-1))] }
	t.Logf("calm: %d, median %v, p95 %v; overload: %d, median %v, p95 %v; turned away: %d, median %v", len(calm), at(calm, .5), at(calm, .95),
		len(served), at(served, .5), at(served, .95), len(shed), at(shed, .5))
	if at(served, .5) > 2*at(calm, .5) {
		t.Errorf("the median under overload is %v, and %v without", at(served, .5), at(calm, .5))
	}
	if at(shed, .5) > work/2 {
		t.Errorf("the median of being turned away is %v", at(shed, .5))
	}
	if n := peak.Load(); n > limit {
		t.Errorf("the backend had %d at once", n)
	}
	if n := p.metric("headgate_requests_shed_total", ""); n != float64(len(shed)) {
		t.Errorf("%v shed by the metric, %d by the clients", n, len(shed))
	}
	p.stop()
}

// TestNoDescriptors runs the process into its limit of open files: it goes on
// with what it has, turns others away, rests meanwhile, and recovers by itself,
// a changed configuration included.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	const limit = 64
	addr := backend(t, ticking(nil))
	config := fmt.Sprintf(limited, "", addr)
	b := newBed(t, config)
	p := b.start("sh", "-c", fmt.Sprintf("ulimit -n %d; exec \"$0\" \"$@\"", limit))
	first, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if res, err := first.ask("/x"); err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	admin := &http.Client{Transport: &http.Transport{MaxIdleConns: 1}} // a connection that is there in time
	defer admin.CloseIdleConnections()
	metrics := func() string {
		res, err := admin.Get("http://" + p.addrs["admin"] + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	metrics()

	mark := b.mark()
	var open []*talk
	for range 3 * limit {
		c, err := p.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	b.await(mark, "connections can't be accepted")
	// Everybody gets an answer: those that were let in, and the others.
	served, refused := 0, 0
	for i, c := range open {
		switch res, err := c.ask("/own"); {
		case err == nil && res.StatusCode == 200:
			served++
		case err == nil && res.StatusCode == 503 && res.Header.Get("Retry-After") != "":
			refused++
		case errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET): // answered before it asked
			refused++
		default:
			t.Fatalf("connection %d: %v, %v", i, res, err)
		}
	}
	if served == 0 || refused == 0 {
		t.Errorf("%d served, %d refused", served, refused)
	}
	if res, err := first.ask("/x"); err != nil || res.StatusCode != 200 {
		t.Errorf("the first connection, forwarded: %v, %v", res, err)
	}
	if n := p.descriptors(); n > limit+2 { // they come and go while they are counted
		t.Errorf("%d descriptors", n)
	}
	if !strings.Contains(metrics(), `headgate_connections_refused_total{listener="main",reason="descriptors"}`) {
		t.Error("no metric of connections refused for want of descriptors")
	}

	// More of them keep waiting, and the configuration changes.
	var waiting []net.Conn
	for range limit {
		c, err := net.DialTimeout("tcp", p.addrs["main"], patience)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		waiting = append(waiting, c)
	}
	b.configure(strings.Replace(config, `body = "own"`, `body = "new"`, 1))
	p.signal(unix.SIGHUP)
	b.await(mark, "configuration refused")
	p.signal(unix.SIGUSR2)
	b.await(mark, "the upgrade did not happen")
	before := p.cpu()
	const watch = 2 * time.Second
	for end := time.Now().Add(watch); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		// Somebody always wants in.
		c, err := net.DialTimeout("tcp", p.addrs["main"], patience)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if used := p.cpu() - before; used > watch/5 && !raceEnabled {
		t.Errorf("%v of processor time in %v", used, watch)
	} else {
		t.Logf("%v of processor time in %v", used, watch)
	}
	for _, msg := range []string{"connections can't be accepted", "configuration refused"} {
		if n := b.count(mark, msg); n != 1 {
			t.Errorf("%q is logged %d times", msg, n)
		}
	}

	for _, c := range open {
		c.Close()
	}
	for _, c := range waiting {
		c.Close()
	}
	b.await(mark, "configuration reloaded")
	time.Sleep(1100 * time.Millisecond) // so long nothing failed
	l := newLoad(t)
	l.keepAlive("new connections", plain("tcp", p.addrs["main"]), request("/own", ""), 1, 0)
	l.keepAlive("forwarded", plain("tcp", p.addrs["main"]), request("/x", ""), 1, 0)
	l.awaitMore(50)
	l.end()
	if l.got("new") == 0 {
		t.Error("the new configuration is not in force")
	}
	b.await(mark, "connections are accepted again")
	p.stop()
}

// TestManyIdleConnections holds ten thousand, each of which asked once, and looks
// what one costs and what is left of them.
func TestManyIdleConnections(t *testing.T) {
	const conns = 10_000
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	if lim.Max < conns+500 {
		t.Skipf("the hard limit of open files is %d", lim.Max)
	}
	lim.Cur = lim.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	b := newBed(t, fmt.Sprintf(limited, "", backend(t, ticking(nil))))
	p := b.start()
	warm, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	if res, err := warm.ask("/x"); err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	warm.Close()
	p.awaitMetric("headgate_connections_active", `"main"`, func(v float64) bool { return v == 0 })
	fds, memory, goroutines := p.descriptors(), p.resident(), p.metric("go_goroutines", "")

	open := make([]*talk, conns)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < conns; i = next.Add(1) - 1 {
				c, err := p.dial()
				if err != nil {
					t.Error(err)
					return
				}
				open[i] = c
				if res, err := c.ask("/own"); err != nil || res.StatusCode != 200 {
					t.Errorf("connection %d: %v, %v", i, res, err)
					return
				}
			}
		})
	}
	wg.Wait()
	each := (p.resident() - memory) / conns
	t.Logf("%d bytes for each idle connection", each)
	if each > 10<<10 && !raceEnabled {
		t.Errorf("%d bytes for each idle connection", each)
	}
	if n := p.metric("headgate_connections_active", `"main"`); n != conns {
		t.Errorf("%v connections by the metric", n)
	}
	for i, c := range open {
		if c == nil {
			continue
		}
		if i%100 == 0 {
			if res, err := c.ask("/x"); err != nil || res.StatusCode != 200 {
				t.Errorf("connection %d, again: %v, %v", i, res, err)
			}
		}
		c.Close()
	}
	p.awaitMetric("headgate_connections_active", `"main"`, func(v float64) bool { return v == 0 })
	p.awaitMetric("go_goroutines", "", func(v float64) bool { return v <= goroutines+2 })
	if n := p.descriptors(); n > fds+3 {
		t.Errorf("%d descriptors, %d before", n, fds)
	}
	p.stop()
}

// count tells how many entries from mark on have msg.
func (b *bed) count(mark int, msg string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries[mark:] {
		if strings.Contains(e.text("msg"), msg) {
			n++
		}
	}
	return n
}
