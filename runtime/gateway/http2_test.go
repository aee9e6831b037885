package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
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

// What a caller of gRPC gets from the gateway itself.
func TestGRPCAnswers(t *testing.T) {
	checkLeaks(t)
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	r := start(t, map[string]string{"routes.hcl": fmt.Sprintf(`
upstream "silent" {
  protocol = "h2c"
  endpoint %q {}
}
upstream "none" {
  protocol = "h2c"
  endpoint "127.0.0.1:1" {}
}
route "silent" {
  path     = "/silent"
  upstream = upstream.silent
  timeout  = "1m"
}
route "none" {
  path     = "/none"
  upstream = upstream.none
}
route "small" {
  path     = "/small"
  upstream = upstream.none
  max_body = "3"
}
`, silent)})
	for protocol, client := range streamClients(t) {
		for path, want := range map[string]string{"/silent": "4", "/none": "14", "/nowhere": "12", "/small": "13"} {
			req, _ := http.NewRequest("POST", r.base+path, bytes.NewReader([]byte("\x00\x00\x00\x00\x00")))
			req.Header.Set("Content-Type", "application/grpc+proto")
			req.Header.Set("Grpc-Timeout", "300m")
			begin := time.Now()
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(protocol, path, err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != 200 || res.Header.Get("Grpc-Status") != want || res.Header.Get("Grpc-Message") == "" ||
				res.Header.Get("Content-Type") != "application/grpc" || len(body) > 0 || err != nil {
				t.Errorf("%s %s: %d %v %q %v", protocol, path, res.StatusCode, res.Header, body, err)
			}
			if d := time.Since(begin); d > 10*time.Second {
				t.Errorf("%s %s took %v", protocol, path, d)
			}
		}
		client.CloseIdleConnections()
	}
}
