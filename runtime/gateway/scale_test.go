//go:build unix

package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/config"
)

// many writes files of a hundred routes each, ten for each host, into the
// configuration, and makes them look old.
func (r *rig) many(files int, addr string) {
	r.t.Helper()
	r.write("upstream.hcl", fmt.Sprintf("upstream \"b\" {\n  endpoint %q {}\n}\n", addr))
	for f := range files {
		r.write(fmt.Sprintf("many/%d.hcl", f), manyRoutes(f, ""))
		r.old(fmt.Sprintf("many/%d.hcl", f), time.Hour)
	}
}

func manyRoutes(file int, extra string) string {
	var b strings.Builder
	for i := range 100 {
		host := file*10 + i/10
		fmt.Fprintf(&b, "route \"h%d-%d\" {\n  hosts    = [\"h%d.example.com\"]\n  path     = \"/p%d/{id}\"\n  upstream = upstream.b\n%s}\n", host, i%10, host, i%10, extra)
	}
	return b.String()
}

// old makes a file look as if it was written long ago.
func (r *rig) old(name string, age time.Duration) {
	r.t.Helper()
	then := time.Now().Add(-age)
	if err := os.Chtimes(filepath.Join(r.dir, name), then, then); err != nil {
		r.t.Fatal(err)
	}
}

// processor is the time that the process has used.
func processor(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLoad100000Routes is a load of 10,000 hosts with 10 paths each.
func BenchmarkLoad100000Routes(b *testing.B) {
	r := &rig{t: b, dir: b.TempDir(), log: &lockedBuffer{}}
	r.many(1000, "127.0.0.1:1")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := processor(b)
	n := 0
	for b.Loop() {
		c, d := config.Load(config.Source{Paths: []string{r.dir}})
		if d.HasErrors() {
			b.Fatal(d.Text())
		}
		if n++; n == 1 {
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "live-MiB")
		}
		runtime.KeepAlive(c)
	}
	b.ReportMetric(float64((processor(b)-start).Milliseconds())/float64(n), "cpu-ms/op")
}

// BenchmarkReloadOneOf10000 is a reload after one of 10,000 routes was changed.
func BenchmarkReloadOneOf10000(b *testing.B) {
	addr := backend(b, func(http.ResponseWriter, *http.Request) {})
	r := start(b, map[string]string{})
	r.many(100, addr)
	r.reload()
	start := processor(b)
	n := 0
	for b.Loop() {
		n++
		r.write("many/7.hcl", manyRoutes(7, fmt.Sprintf("  timeout = \"%ds\"\n", n)))
		r.reload()
	}
	b.ReportMetric(float64((processor(b)-start).Microseconds())/1000/float64(n), "cpu-ms/op")
}

// TestReloadOfManyUnderLoad checks that traffic goes on while one of 10,000
// routes changes again and again. The figures are for those who read the log.
func TestReloadOfManyUnderLoad(t *testing.T) {
	checkLeaks(t)
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) })
	r := start(t, map[string]string{})
	r.many(100, addr)
	r.reload()

	measure := func(reloads int) (took []time.Duration) {
		var mu sync.Mutex
		var clients sync.WaitGroup
		done := make(chan struct{})
		for c := range 4 {
			clients.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-done:
						return
					default:
					}
					begin := time.Now()
					host := fmt.Sprintf("h%d.example.com", (c*250+i)%1000)
					if status, _, body := r.get("/p3/x", "Host: "+host); status != 200 || body != host {
						t.Errorf("%s: %d %q", host, status, body)
						return
					}
					mu.Lock()
					took = append(took, time.Since(begin))
					mu.Unlock()
				}
			})
		}
		until := time.Now().Add(time.Second)
		for n := range reloads {
			r.write("many/7.hcl", manyRoutes(7, fmt.Sprintf("  timeout = \"%ds\"\n", n+1)))
			r.reload()
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Until(until))
		close(done)
		clients.Wait()
		slices.Sort(took)
		return took
	}
	for _, reloads := range []int{0, 15} {
		took := measure(reloads)
		if len(took) == 0 {
			t.Fatal("no request was answered")
		}
		t.Logf("%d reloads: %d requests, p50 %s, p99 %s, longest %s", reloads, len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	}
}
