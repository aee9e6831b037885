package native

import (
	"context"
	"errors"
	"log/slog"
	"strings"
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

// fetch implements headgate_v1's fetch: it sends a request and waits for the
// whole answer, which fetch_headers and fetch_body then return, until the next
// fetch or the end of the call.
func fetch(g *Guest, stack []uint64) {
	const name = "fetch"
	x := g.need(name)
	g.fetched = nil
	url := g.bytes(name, "url", uint32(stack[2]), uint32(stack[3]))
	to, path, query, ok := splitFetch(exchange.String(url))
	if !ok {
		stack[0] = result(fetchInvalid)
		return
	}
	if g.env.Fetcher == nil || !g.env.Fetch[to] {
		g.env.Denials.Add()
		stack[0] = result(fetchDenied)
		return
	}
	q := &exchange.Fetch{
		Method: g.text(name, "method", uint32(stack[0]), uint32(stack[1])),
		Path:   strings.Clone(path), RawQuery: strings.Clone(query),
		Body:    append([]byte(nil), g.bytes(name, "body", uint32(stack[6]), uint32(stack[7]))...),
		Timeout: time.Duration(uint32(stack[8])) * time.Millisecond,
		Limit:   int64(min(g.env.MaxBody, maxFetchAnswer)),
	}
	if q.Method == "" {
		q.Method = "GET"
	}
	q.Scheme, q.Authority, _ = strings.Cut(to, "://")
	q.Scheme, q.Authority = strings.Clone(q.Scheme), strings.Clone(q.Authority)
	if !exchange.ValidName(q.Method) || q.Method == "CONNECT" || !g.fetchHead(q, g.bytes(name, "headers", uint32(stack[4]), uint32(stack[5]))) {
		stack[0] = result(fetchInvalid)
		return
	}
	stack[0] = result(g.doFetch(x, strings.Clone(to), q))
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

// doFetch waits, which is not the guest's time.
func (g *Guest) doFetch(x *exchange.Exchange, to string, q *exchange.Fetch) int32 {
	ctx, cancel := context.WithCancel(x.Context())
	defer cancel()
	g.Pause(cancel)
	err := g.env.Fetcher.Fetch(ctx, x, to, q)
	g.Resume()
	switch {
	case err == nil:
		g.fetched = q
		return int32(q.Status)
	case errors.Is(err, exchange.ErrFetchTimeout), ctx.Err() != nil:
		return fetchTimeout
	case errors.Is(err, exchange.ErrFetchLarge):
		return fetchLarge
	}
	g.env.Log.Log(slog.LevelWarn, x.ID, "fetch from "+to+" failed: "+err.Error())
	return fetchFailed
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
