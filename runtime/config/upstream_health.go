package config

import (
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/upstream"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/gocty"
)

// decodeHealthCheck decodes the health_check block, after the protocol.
func (s *section) decodeHealthCheck(u *Upstream) {
	b, ok := s.one("health_check")
	if !ok {
		return
	}
	t := s.l.read(b, healthCheckSchema)
	h := &upstream.HealthCheck{
		Type: "http", Path: "/", Expect: []int{200}, Interval: 5 * time.Second, Timeout: time.Second, Healthy: 2, Unhealthy: 3, Panic: 50,
	}
	u.HealthCheck = h
	t.oneOf("type", &h.Type, "http", "tcp", "grpc")
	if t.text("path", &h.Path, `"/healthz"`) && !requestable(h.Path) {
		s.l.diags.errorf(t.rangeOf("path"), "Invalid path", "%q can't be requested. Write for example: path = \"/healthz\"", h.Path)
	}
	if t.text("host", &h.Host, `"orders.internal"`) && !fitsHost(h.Host) {
		s.l.diags.errorf(t.rangeOf("host"), "Invalid host", "%q can't be a Host. Write for example: host = \"orders.internal\"", h.Host)
	}
	if t.textMap("headers", &h.Headers, `{ authorization = "Bearer ..." }`) {
		for name, value := range h.Headers {
			if id := exchange.Classify(name); !exchange.ValidName(name) || !exchange.ValidValue(value) || id.HopByHop() || id == exchange.NameHost || id == exchange.NameContentLength {
				s.l.diags.errorf(t.rangeOf("headers"), "Invalid header", "%q can't be a header field of a health check, or has no valid value. For Host there is health_check.host.", name)
			}
		}
	}
	t.statuses("expect", &h.Expect)
	t.text("contains", &h.Contains, `"ok"`)
	t.shown("path", "host", "contains")
	t.atLeast("interval", &h.Interval, 10*time.Millisecond)
	t.atLeast("timeout", &h.Timeout, time.Millisecond)
	t.number("healthy", &h.Healthy, 1, 1000)
	t.number("unhealthy", &h.Unhealthy, 1, 1000)
	t.number("panic", &h.Panic, 0, 100)
	if h.Type != "http" {
		for _, name := range []string{"path", "headers", "expect", "contains"} {
			if t.has(name) {
				s.l.diags.errorf(t.rangeOf(name), "Not of this type", "health_check.%s is for type = \"http\".", name)
			}
		}
	}
	if h.Type == "grpc" && !u.HTTP2 && !u.Auto {
		s.l.diags.errorf(t.rangeOf("type"), "gRPC needs HTTP/2", "A gRPC health check needs HTTP/2. Write in the upstream: protocol = \"h2c\"")
	}
}

// decodeOutliers decodes the outlier_detection block.
func (s *section) decodeOutliers(u *Upstream) {
	b, ok := s.one("outlier_detection")
	if !ok {
		return
	}
	t := s.l.read(b, outlierSchema)
	o := &upstream.OutlierDetection{ConsecutiveErrors: 5, Interval: 10 * time.Second, Eject: 30 * time.Second, MaxEjectedPercent: 50}
	u.Outliers = o
	t.number("consecutive_errors", &o.ConsecutiveErrors, 0, 1000)
	t.number("success_rate", &o.SuccessRate, 0, 100)
	if v, ok := t.value("latency_factor", cty.Number, "3"); ok {
		o.LatencyFactor, _ = v.AsBigFloat().Float64()
		if o.LatencyFactor != 0 && !(o.LatencyFactor > 1 && o.LatencyFactor <= 1000) {
			s.l.diags.errorf(t.rangeOf("latency_factor"), "Invalid factor", "outlier_detection.latency_factor is above 1, up to 1000, or 0 for off.")
		}
	}
	t.atLeast("interval", &o.Interval, 100*time.Millisecond)
	t.atLeast("eject", &o.Eject, 100*time.Millisecond)
	t.number("max_ejected_percent", &o.MaxEjectedPercent, 0, 100)
}

// requestable reports whether a path, which may have a query, fits a request.
func requestable(p string) bool {
	return p != "" && p[0] == '/' && visible(p)
}

func fitsHost(h string) bool {
	for i := range len(h) {
		switch h[i] {
		case '/', '?', '#', '@', '\\':
			return false
		}
	}
	return visible(h)
}

// visible reports whether s is ASCII without spaces and control characters.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// statuses decodes a list of at least one status.
func (s *section) statuses(name string, dst *[]int) bool {
	v, ok := s.value(name, cty.List(cty.Number), "[200, 204]")
	if !ok {
		return false
	}
	var list []int
	for i, e := range v.AsValueSlice() {
		var n int
		if err := gocty.FromCtyValue(e, &n); err != nil || n < 100 || n > 599 {
			s.l.diags.errorf(s.itemRange(name, i), "Invalid status", "%s is no status: they are from 100 to 599.", e.AsBigFloat().Text('g', 10))
			return false
		}
		list = append(list, n)
	}
	if len(list) == 0 {
		s.l.diags.errorf(s.rangeOf(name), "No status", "%s.%s needs at least one status. Write for example: %s = [200, 204]", s.name, name, name)
		return false
	}
	*dst = list
	return true
}
