package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Uploads whose upstream does not read take their own windows up: other streams
// of the same connection go on.
func TestStalledUploadsOverHTTP2(t *testing.T) {
	checkLeaks(t)
	release := make(chan struct{})
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stall" {
			<-release
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "b" {
  endpoint %q {}
}
route "all" {
  upstream = upstream.b
}`, addr)})
	tr := &http.Transport{Protocols: &http.Protocols{}, MaxConnsPerHost: 1}
	tr.Protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: tr, Timeout: 20 * time.Second}
	defer tr.CloseIdleConnections()
	defer close(release)
	for range 4 {
		in, out := io.Pipe()
		defer out.Close()
		sent := make(chan struct{})
		go func() { // until every buffer on the way is full
			p := make([]byte, 64<<10)
			last := time.AfterFunc(500*time.Millisecond, sync.OnceFunc(func() { close(sent) }))
			for {
				if _, err := out.Write(p); err != nil {
					return
				}
				last.Reset(500 * time.Millisecond)
			}
		}()
		go func() {
			if res, err := client.Post(r.base+"/stall", "text/plain", in); err == nil {
				res.Body.Close()
			}
		}()
		<-sent
	}
	res, err := client.Post(r.base+"/", "text/plain", bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if p, err := io.ReadAll(res.Body); string(p) != fmt.Sprint(1<<20) || err != nil {
		t.Errorf("got %q %v", p, err)
	}
}
