package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/router"
)

// Question is a request to explain.
type Question struct {
	Method string `json:"method"`
	// URL is absolute: http or https, a host, a path and a query.
	URL string `json:"url"`
	// Headers are in order, and may repeat.
	Headers [][2]string `json:"headers,omitempty"`
	Body    string      `json:"body,omitempty"`
	// RemoteIP is the address of the client's connection; "" is 127.0.0.1.
	RemoteIP string `json:"remote_ip,omitempty"`
	// Listener is the name of the listener that the request comes to; "" is the
	// one with the URL's port, or else the first that speaks HTTP.
	Listener string `json:"listener,omitempty"`
}

// Explanation tells where a request goes and why.
type Explanation struct {
	// Host and Path are what routes are compared with.
	Listener string `json:"listener,omitempty"`
	Host     string `json:"host"`
	Path     string `json:"path"`
	RemoteIP string `json:"remote_ip,omitempty"`
	// Route is the one that won, nil if none did.
	Route  *config.RouteInfo `json:"route"`
	Params map[string]string `json:"params,omitempty"`
	// Filters are those of the route, in order.
	Filters []FilterOutcome `json:"filters,omitempty"`
	// Exactly one of Forward and Answer is set.
	Forward *Forward `json:"forward,omitempty"`
	Answer  *Answer  `json:"answer,omitempty"`
	// Misses are the routes that came near, the nearest first.
	Misses []config.Miss `json:"misses"`
}

// FilterOutcome is what a filter did with the request.
type FilterOutcome struct {
	Name   string `json:"name"`
	Shadow bool   `json:"shadow,omitempty"`
	// Outcome is "continue", "reply", "fail", "skipped" or "not reached".
	Outcome string `json:"outcome"`
	Status  int    `json:"status,omitempty"`
	Error   string `json:"error,omitempty"`
	Micros  int64  `json:"microseconds"`
	// Why are the reasons that it gives: for a policy, which rules held and what
	// failed in the others.
	Why []string `json:"why,omitempty"`
}

// Forward is the request as it would leave the gateway.
type Forward struct {
	Targets []config.TargetInfo `json:"targets"`
	Method  string              `json:"method"`
	Host    string              `json:"host"`
	Target  string              `json:"target"`
	Headers [][2]string         `json:"headers"`
}

// Answer is a response of the gateway's own.
type Answer struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers,omitempty"`
	Body    string      `json:"body,omitempty"`
	// Reason is why the gateway answers itself; not shown to clients.
	Reason string `json:"reason,omitempty"`
}

// QuestionError is a question that is not a request.
type QuestionError struct{ Detail string }

// Error implements error.
func (e *QuestionError) Error() string { return e.Detail }

// nearest is how many other routes an explanation names.
const nearest = 10

// Explain takes the request of q through the routes and filters of o's
// configuration, without a socket, up to where it would be forwarded. Errors are
// a *config.Diagnostics or a *QuestionError.
func Explain(ctx context.Context, o Options, q Question) (e *Explanation, err error) {
	err = try(ctx, o, func(g *Gateway, gen *generation) (err error) {
		g.engine.Swap(gen.Table)
		defer g.engine.Swap(emptyTable())
		e, err = g.explain(ctx, gen, q)
		return err
	})
	return e, err
}

// Explain implements admin.Source: question is JSON of a Question. Filters run
// as for any request.
func (g *Gateway) Explain(ctx context.Context, question []byte) (any, error) {
	var q Question
	d := json.NewDecoder(strings.NewReader(string(question)))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return nil, &QuestionError{"the question is not JSON as it should be: " + err.Error()}
	}
	gen := g.inForce()
	if gen == nil {
		return nil, errors.New("the gateway is starting")
	}
	return g.explain(ctx, gen, q)
}

func (g *Gateway) explain(ctx context.Context, gen *generation, q Question) (*Explanation, error) {
	x, err := q.exchange(ctx, gen.Config)
	if err != nil {
		return nil, err
	}
	t := g.engine.Explain(x)
	e := &Explanation{Host: x.Host, Path: x.Request.Path, Listener: x.Conn.Listener.Name, RemoteIP: x.RemoteIP.String()}
	winner := -1
	if t.Route != nil {
		winner = slices.IndexFunc(gen.Config.Routes, func(r *config.Route) bool { return r.Name == t.Route.Name })
	}
	if winner >= 0 {
		info := gen.Config.RouteInfo(winner)
		e.Route = &info
	}
	for _, p := range x.Params {
		if e.Params == nil {
			e.Params = map[string]string{}
		}
		e.Params[strings.Clone(p.Name)] = strings.Clone(p.Value)
	}
	for _, s := range t.Steps {
		e.Filters = append(e.Filters, FilterOutcome{s.Name, s.Shadow, s.Outcome, s.Status, s.Error, s.Took.Microseconds(), s.Why})
	}
	if t.Forwarded && winner >= 0 {
		e.Forward = q.forwarded(x, gen.Config.Routes[winner], e.Route)
	} else {
		e.Answer = answered(x)
	}
	// The question again, as routes see it: filters and the rewrite may have
	// changed x since.
	again, err := q.exchange(ctx, gen.Config)
	if err != nil {
		return nil, err
	}
	again.RemoteIP = x.RemoteIP
	if again.Host, err = router.NormalizeHost(again.Request.Authority, &again.Arena); err == nil && again.Request.Path != "*" {
		again.Request.Path, err = router.NormalizePath(nil, again.Request.Path)
	}
	e.Misses = []config.Miss{}
	if err == nil {
		e.Path = again.Request.Path
		e.Misses = gen.Config.Misses(again, winner, nearest)
	}
	return e, nil
}

// hidden stands for values that may be secret.
const hidden = "(sensitive)"

func (q *Question) forwarded(x *exchange.Exchange, r *config.Route, info *config.RouteInfo) *Forward {
	f := &Forward{Method: x.Request.Method, Host: x.Request.Authority, Target: x.Request.Path, Headers: fields(&x.Request.Head), Targets: info.Targets}
	if x.Request.RawQuery != "" {
		f.Target += "?" + x.Request.RawQuery
	}
	if w := r.Rewrite; w != nil {
		if w.Host.IsSensitive() {
			f.Host = hidden
		}
		if w.Path.IsSensitive() || slices.ContainsFunc(w.Query, func(e config.QueryEdit) bool { return e.Value.IsSensitive() }) {
			f.Target = hidden
		}
	}
	for i := range f.Headers {
		h := &f.Headers[i]
		secret := slices.ContainsFunc(r.RequestHeaders, func(e config.HeaderEdit) bool {
			return e.Value.IsSensitive() && strings.EqualFold(e.Name, h[0])
		})
		if secret || credential(h[0]) && !slices.Contains(q.Headers, *h) {
			h[1] = hidden
		}
	}
	return f
}

// credential reports whether a field carries secrets by its nature: a filter may
// have put one of its own there.
func credential(name string) bool {
	switch strings.ToLower(name) {
	case "authorization", "proxy-authorization", "cookie":
		return true
	}
	return false
}

// maxShown bounds the bytes of a body in an explanation.
const maxShown = 4 << 10

func answered(x *exchange.Exchange) *Answer {
	a := &Answer{Status: x.Response.Status, Headers: fields(&x.Response.Head)}
	if x.Response.Body != nil {
		p, err := x.Response.Body.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			p = nil
		}
		a.Body = string(p[:min(len(p), maxShown)])
	}
	if x.Failure != nil {
		a.Reason = x.Failure.Error()
	}
	return a
}

func fields(h *exchange.Head) [][2]string {
	out := [][2]string{}
	for i := range h.Len() {
		_, name, v := h.At(i)
		out = append(out, [2]string{string(name), string(v)})
	}
	return out
}

// exchange makes the exchange that the request of q would be.
func (q *Question) exchange(ctx context.Context, c *config.Config) (*exchange.Exchange, error) {
	u, err := url.Parse(q.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &QuestionError{fmt.Sprintf("%q is not a URL with a host; write for example http://api.example.com/orders", q.URL)}
	}
	method := q.Method
	if method == "" {
		method = http.MethodGet
	}
	if !exchange.ValidName(method) {
		return nil, &QuestionError{fmt.Sprintf("%q is not a method", method)}
	}
	peer := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if q.RemoteIP != "" {
		if peer, err = netip.ParseAddr(q.RemoteIP); err != nil {
			return nil, &QuestionError{fmt.Sprintf("%q is not an address", q.RemoteIP)}
		}
	}
	listener, err := q.listener(c, u)
	if err != nil {
		return nil, err
	}
	x := &exchange.Exchange{}
	client := net.TCPAddrFromAddrPort(netip.AddrPortFrom(peer, 50000))
	x.Begin(ctx, exchange.NewConn(&exchange.ListenerInfo{Name: listener}, client, listenAddr(c, listener), nil, 0), exchange.NoFront{})
	r := &x.Request
	r.Proto, r.Method, r.Scheme, r.Authority = exchange.HTTP11, method, u.Scheme, u.Host
	r.Path, r.RawQuery = u.EscapedPath(), u.RawQuery
	if r.Path == "" {
		r.Path = "/"
	}
	r.Target = r.Path
	if r.RawQuery != "" {
		r.Target += "?" + r.RawQuery
	}
	for _, h := range q.Headers {
		if !exchange.ValidName(h[0]) || !exchange.ValidValue(h[1]) {
			return nil, &QuestionError{fmt.Sprintf("%q is not a header", h[0]+": "+h[1])}
		}
		if strings.EqualFold(h[0], "host") {
			r.Authority = h[1]
			continue
		}
		r.Head.Add(h[0], h[1])
	}
	if q.Body != "" {
		r.SetBytes([]byte(q.Body))
	}
	return x, nil
}

// listener is the name of the listener that the request comes to.
func (q *Question) listener(c *config.Config, u *url.URL) (string, error) {
	var names []string
	first := ""
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	for _, l := range c.Listeners {
		if l.TCP != nil {
			continue
		}
		names = append(names, l.Name)
		if l.Name == q.Listener {
			return l.Name, nil
		}
		if _, p, err := net.SplitHostPort(l.Address); first == "" && err == nil && p == port {
			first = l.Name
		}
	}
	switch {
	case q.Listener != "":
		return "", &QuestionError{fmt.Sprintf("there is no HTTP listener %q; there are %s", q.Listener, strings.Join(names, ", "))}
	case first == "" && len(names) > 0:
		first = names[0]
	}
	return first, nil
}

func listenAddr(c *config.Config, name string) net.Addr {
	for _, l := range c.Listeners {
		if l.Name != name {
			continue
		}
		if _, p, err := net.SplitHostPort(l.Address); err == nil {
			if n, err := strconv.ParseUint(p, 10, 16); err == nil {
				return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(n)))
			}
		}
	}
	return &net.TCPAddr{}
}
