package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// What fetch returns instead of a status.
const (
	fetchDenied  = -1 // allow.fetch does not name the upstream or the origin
	fetchInvalid = -2 // the request is not one
	fetchFailed  = -3 // no connection, or one that broke; the breaker is open
	fetchTimeout = -4
	fetchLarge   = -5 // the answer has more than limits.memory allows
)

const (
	maxFetchFields = 256
	// maxFetchAnswer bounds the body of an answer, and limits.memory does.
	maxFetchAnswer = 16 << 20
)

// call is a request of a guest and what became of it.
type call struct {
	to     string
	q      *exchange.Fetch
	status int32 // or what is wrong
}

// fetch implements headgate_v1's fetch: it sends a request and waits for the
// whole answer, which fetch_headers and fetch_body then return, until the next
// fetch or the end of the call.
func fetch(g *Guest, stack []uint64) {
	const name = "fetch"
	x := g.need(name)
	g.fetched, g.many = nil, nil
	c := g.prepare(
		g.bytes(name, "method", uint32(stack[0]), uint32(stack[1])), g.bytes(name, "url", uint32(stack[2]), uint32(stack[3])),
		g.bytes(name, "headers", uint32(stack[4]), uint32(stack[5])), g.bytes(name, "body", uint32(stack[6]), uint32(stack[7])), uint32(stack[8]))
	if c.status == 0 {
		c.q.Limit = int64(min(g.env.MaxBody, maxFetchAnswer))
		g.send(x, c)
	}
	stack[0] = result(c.status)
}

// prepare checks a request, of which it keeps copies.
func (g *Guest) prepare(method, url, head, body []byte, timeout uint32) *call {
	to, path, query, ok := splitFetch(exchange.String(url))
	if !ok {
		return &call{status: fetchInvalid}
	}
	if !g.granted(g.env.Fetcher != nil && g.env.Fetch[to]) {
		return &call{status: fetchDenied}
	}
	c := &call{to: strings.Clone(to)}
	c.q = &exchange.Fetch{
		Method: string(method), Path: strings.Clone(path), RawQuery: strings.Clone(query),
		Body: append([]byte(nil), body...), Timeout: time.Duration(timeout) * time.Millisecond,
	}
	if len(method) == 0 {
		c.q.Method = "GET"
	}
	c.q.Scheme, c.q.Authority, _ = strings.Cut(c.to, "://")
	if !exchange.ValidName(c.q.Method) || c.q.Method == "CONNECT" || !g.fetchHead(c.q, head) {
		c.status = fetchInvalid
	}
	return c
}

func result(n int32) uint64 { return uint64(uint32(n)) }

// splitFetch takes a URL apart: upstream://NAME or an origin, path and query.
func splitFetch(url string) (to, path, query string, ok bool) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || scheme != "upstream" && scheme != "http" && scheme != "https" || len(url) > abi.MaxURI {
		return "", "", "", false
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	to = url[:len(scheme)+3+end]
	path, query, _ = strings.Cut(rest[end:], "?")
	if path == "" {
		path = "/"
	}
	if end == 0 || path[0] != '/' || !printable(rest) {
		return "", "", "", false
	}
	return to, path, query, true
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '#' {
			return false
		}
	}
	return true
}

// fetchHead reads names and values, each with a NUL behind it.
func (g *Guest) fetchHead(q *exchange.Fetch, p []byte) bool {
	for n := 0; len(p) > 0; n++ {
		name, rest, ok := cutNUL(p)
		value, rest, ok2 := cutNUL(rest)
		if !ok || !ok2 || n == maxFetchFields || !exchange.ValidName(name) || !exchange.ValidValue(value) {
			return false
		}
		p = rest
		switch lowered := string(g.lower(name)); lowered {
		case "host":
			if q.Scheme == "upstream" {
				q.Authority = string(value)
			}
		case "content-length", "connection", "transfer-encoding", "upgrade", "keep-alive", "te", "trailer", "proxy-connection", "expect":
		default:
			q.Head.Add(lowered, string(value))
		}
	}
	if q.Scheme == "upstream" {
		q.Scheme = "http"
	}
	return q.Authority != ""
}

func cutNUL(p []byte) (before, after []byte, ok bool) {
	for i, c := range p {
		if c == 0 {
			return p[:i], p[i+1:], true
		}
	}
	return nil, nil, false
}

// send sends requests at once and waits for all, which is not the guest's time. The
// last one becomes that of fetch_headers and fetch_body.
func (g *Guest) send(x *exchange.Exchange, calls ...*call) {
	ctx, cancel := context.WithCancel(x.Context())
	defer cancel()
	errs := make([]error, len(calls))
	g.Pause(cancel)
	var others sync.WaitGroup
	for i, c := range calls[1:] {
		others.Go(func() { errs[i+1] = g.sendOne(ctx, x, c) })
	}
	errs[0] = g.sendOne(ctx, x, calls[0])
	others.Wait()
	g.Resume()
	for i, c := range calls {
		g.settle(ctx, x, c, errs[i])
	}
}

// sendOne turns a panic into an error: nobody else would, in a goroutine of its own.
func (g *Guest) sendOne(ctx context.Context, x *exchange.Exchange, c *call) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return g.env.Fetcher.Fetch(ctx, x, c.to, c.q)
}

func (g *Guest) settle(ctx context.Context, x *exchange.Exchange, c *call, err error) {
	switch {
	case err == nil:
		c.status, g.fetched = int32(c.q.Status), c.q
	case errors.Is(err, exchange.ErrFetchTimeout), ctx.Err() != nil:
		c.status = fetchTimeout
	case errors.Is(err, exchange.ErrFetchLarge):
		c.status = fetchLarge
	default:
		g.env.Log.Log(slog.LevelWarn, x.ID, "fetch from "+c.to+" failed: "+err.Error())
		c.status = fetchFailed
	}
}

// fetchHeaders implements headgate_v1's fetch_headers: the fields of the answer,
// as get_all_headers returns those of a message.
func fetchHeaders(g *Guest, stack []uint64) {
	h := &g.answer("fetch_headers").Answer
	stack[0] = g.strings("fetch_headers", uint32(stack[0]), uint32(stack[1]), func(_ *Guest, w *writer) {
		for i := range h.Len() {
			_, name, value := h.At(i)
			w.putLower(name)
			w.put(value)
			w.count++
		}
	})
}

// fetchBody implements headgate_v1's fetch_body.
func fetchBody(g *Guest, stack []uint64) {
	q := g.answer("fetch_body")
	stack[0] = g.put("fetch_body", "buf", uint32(stack[0]), uint32(stack[1]), q.Content)
}

// answer ends a call without one.
func (g *Guest) answer(function string) *exchange.Fetch {
	g.need(function)
	if g.fetched == nil {
		fail(function + ": there is no answer: fetch has to come first, and to succeed")
	}
	return g.fetched
}
