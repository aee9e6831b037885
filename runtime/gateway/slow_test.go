package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/test/need"
)

// One of five endpoints turns twenty times slower. Within three seconds hardly a
// client notices.
func TestSlowEndpoint(t *testing.T) {
	need.Full(t)
	checkLeaks(t)
	const quick, slow = 10 * time.Millisecond, 200 * time.Millisecond
	for name, settings := range map[string]string{
		"ewma": `balance = "ewma"`,
		"least_request with outlier detection": `balance = "least_request"
  outlier_detection {
    latency_factor = 3
    interval       = "1s"
  }`,
	} {
		t.Run(name, func(t *testing.T) {
			var turned atomic.Bool
			var endpoints strings.Builder
			for i := range 5 {
				addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
					if i == 0 && turned.Load() {
						time.Sleep(slow)
						return
					}
					time.Sleep(quick)
				})
				fmt.Fprintf(&endpoints, "  endpoint %q {}\n", addr)
			}
			r := start(t, map[string]string{"routes.hcl": "upstream \"b\" {\n" + endpoints.String() + settings + "\n}\nroute \"all\" {\n  upstream = upstream.b\n}\n"})
			tr := &http.Transport{MaxIdleConnsPerHost: 64}
			defer tr.CloseIdleConnections()
			p99 := func(d time.Duration) time.Duration {
				var mu sync.Mutex
				var all []time.Duration
				end := time.Now().Add(d)
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						var mine []time.Duration
						for time.Now().Before(end) {
							req, _ := http.NewRequest("GET", r.base, nil)
							begin := time.Now()
							res, err := tr.RoundTrip(req)
							if err != nil {
								t.Error(err)
								return
							}
							_, _ = io.Copy(io.Discard, res.Body)
							res.Body.Close()
							mine = append(mine, time.Since(begin))
						}
						mu.Lock()
						all = append(all, mine...)
						mu.Unlock()
					})
				}
				wg.Wait()
				slices.Sort(all)
				return all[len(all)*99/100]
			}
			p99(time.Second)
			healthy := p99(2 * time.Second)
			turned.Store(true)
			p99(3 * time.Second)
			if after := p99(3 * time.Second); after > healthy*3/2 {
				t.Errorf("p99 is %s, with all healthy it was %s", after, healthy)
			} else {
				t.Logf("p99 %s, healthy %s", after, healthy)
			}
		})
	}
}
