package upstream

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// saysGRPC answers a call as a gRPC server does.
func (p *patient) saysGRPC(message, status string) {
	p.does(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); r.URL.Path != "/grpc.health.v1.Health/Check" || r.Method != "POST" ||
			string(body) != "\x00\x00\x00\x00\x00" || r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Te") != "trailers" {
			w.WriteHeader(400)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		if message == "" {
			w.Header().Set("Grpc-Status", status)
			return
		}
		w.Header().Set("Trailer", "Grpc-Status")
		io.WriteString(w, message)
		w.Header().Set("Grpc-Status", status)
	})
}

const isServing = "\x00\x00\x00\x00\x02\x08\x01"

func TestHealthGRPC(t *testing.T) {
	p := admit(t, true, false)
	p.saysGRPC(isServing, "0")
	r := registry(t)
	h := often()
	h.Type, h.Host = "grpc", "x.test"
	cluster := r.Cluster(Config{Name: "u", Endpoints: []EndpointConfig{{Address: p.address()}}, HealthCheck: h, HTTP2: true})
	defer cluster.Close()
	eventually(t, "three checks", func() bool { return p.asked.Load() > 2 })
	if why := barred(r, p.address()); why != nil || p.last.Load().Host != "x.test" {
		t.Errorf("got %v, of %s", why, p.last.Load().Host)
	}
	for _, c := range []struct{ name, message, status, want string }{
		{"NOT_SERVING", "\x00\x00\x00\x00\x02\x08\x02", "0", "not SERVING"},
		{"UNKNOWN, which is not sent", "\x00\x00\x00\x00\x00", "0", "not SERVING"},
		{"unimplemented", "", "12", `grpc-status "12"`},
		{"an error behind a message", isServing, "14", `grpc-status "14"`},
		{"compressed", "\x01" + isServing[1:], "0", "no HealthCheckResponse"},
		{"cut off", isServing[:6], "0", "no HealthCheckResponse"},
		{"two messages", isServing + isServing, "0", "no HealthCheckResponse"},
		{"no status", isServing, "", `grpc-status ""`},
		{"a great length", "\x00\xff\xff\xff\xff\x08\x01", "0", "no HealthCheckResponse"},
	} {
		p.saysGRPC(c.message, c.status)
		eventually(t, c.name, func() bool { return strings.Contains(barred(r, p.address())["unhealthy"], c.want) })
		p.saysGRPC(isServing, "0")
		eventually(t, "well after "+c.name, func() bool { return barred(r, p.address()) == nil })
	}
	p.says(404, "")
	eventually(t, "not gRPC", func() bool { return strings.Contains(barred(r, p.address())["unhealthy"], "status 404") })
}
