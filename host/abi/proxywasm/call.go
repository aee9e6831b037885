package proxywasm

import (
	"context"
	"encoding/binary"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// call is a request of the guest's own that is under way. As in Envoy it belongs
// to the root context, whichever context made it: the guest switches to that one
// when it is called back.
type call struct {
	token  uint32
	root   *root
	grpc   bool
	size   int // of the body
	cancel context.CancelFunc
}

const (
	// maxCalls bounds those of one guest that are under way; MaxBody bounds the bytes
	// that all of them send.
	maxCalls = 1024
	// maxAnswer bounds the body of an answer, in bytes; MaxBody does, too.
	maxAnswer = 16 << 20
)

// cancel gives all calls up.
func (g *Guest) cancel() {
	for _, c := range g.calls {
		c.cancel()
	}
	clear(g.calls)
	g.calling = 0
}

// over forgets a call.
func (g *Guest) over(c *call) {
	delete(g.calls, c.token)
	g.calling -= c.size
}

// send starts a request and tells the guest its token.
func (g *Guest) send(to string, q *exchange.Fetch, grpc bool, tokenPtr uint64) status {
	if g.root == nil || len(g.calls) >= maxCalls || g.calling+len(q.Body) > g.env.MaxBody {
		return internalFailure
	}
	if g.env.Fetcher == nil || !g.env.Fetch[to] {
		g.env.Denials.Add()
		g.env.Log.Log(slog.LevelWarn, "", "a call to "+to+" is not granted by allow.fetch")
		return badArgument
	}
	g.tokens++
	if s := g.put(tokenPtr, g.tokens); s != ok {
		return s
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &call{token: g.tokens, root: g.root, grpc: grpc, size: len(q.Body), cancel: cancel}
	g.calls[c.token] = c
	g.calling += c.size
	q.Limit = int64(min(g.env.MaxBody, maxAnswer))
	x := &exchange.Exchange{}
	conn := &exchange.Conn{Listener: &exchange.ListenerInfo{}}
	if s := g.stream; s != nil && s.x != nil {
		x.ID, x.RemoteIP, x.Memory, conn = s.x.ID, s.x.RemoteIP, s.x.Memory, s.x.Conn
	}
	x.Begin(ctx, conn, exchange.NoFront{})
	go g.complete(ctx, c, x, to, q)
	return ok
}

// complete waits for the answer and gives it to the guest.
func (g *Guest) complete(ctx context.Context, c *call, x *exchange.Exchange, to string, q *exchange.Fetch) {
	defer c.cancel()
	timeout := q.Timeout
	if timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, timeout)
		defer stop()
	}
	err := g.env.Fetcher.Fetch(ctx, x, to, q)
	if !g.enter() {
		return
	}
	if g.calls[c.token] != c { // given up
		_ = g.entry.Leave(nil)
		return
	}
	g.over(c)
	if err != nil {
		g.env.Log.Log(slog.LevelWarn, x.ID, "a call to "+to+" failed: "+err.Error())
		*q = exchange.Fetch{Status: 0}
	}
	_ = g.entry.Leave(g.answered(c, q, err)) // logged and counted
}

// answered calls the guest back.
func (g *Guest) answered(c *call, q *exchange.Fetch, failed error) error {
	g.about(c.root, nil, stageNone)
	g.answer = q
	defer func() { g.answer = nil }()
	id := uint64(c.root.id)
	if c.grpc {
		return g.answeredGRPC(id, c, q, failed)
	}
	headers := 0
	if failed == nil {
		headers = g.count(mapCallHeaders)
	} else {
		g.answer = &exchange.Fetch{}
	}
	_, err := g.call(g.on.httpCall, id, uint64(c.token), uint64(headers), uint64(len(q.Content)), uint64(q.Trailer.Len()))
	return err
}

func httpCall(g *Guest, a []uint64) status {
	name, in := g.read(a[0], a[1])
	fields, in2 := g.read(a[2], a[3])
	body, in3 := g.read(a[4], a[5])
	if _, in4 := g.read(a[6], a[7]); !in || !in2 || !in3 || !in4 {
		return invalidMemoryAccess
	}
	if len(body) > g.env.MaxBody {
		return badArgument
	}
	q := &exchange.Fetch{
		Scheme: "http", Body: append([]byte(nil), body...), Timeout: milliseconds(a[8]),
	}
	host := false // it may be empty
	if !pairsOf(fields, func(name, value []byte) bool {
		host = host || string(name) == ":authority" || string(name) == "host"
		return g.callField(q, name, value)
	}) || q.Method == "" || q.Path == "" || !host || q.Method == "CONNECT" {
		return badArgument
	}
	if q.Authority == "" {
		q.Authority = string(name)
	}
	return g.send("upstream://"+string(name), q, false, a[9])
}

func milliseconds(n uint64) time.Duration { return time.Duration(uint32(n)) * time.Millisecond }

// callField takes a field of a call.
func (g *Guest) callField(q *exchange.Fetch, name, value []byte) bool {
	if !exchange.ValidValue(value) || q.Head.Len() >= maxFields {
		return false
	}
	switch string(name) {
	case ":method":
		q.Method = string(value)
		return exchange.ValidName(value)
	case ":path":
		path, query, _ := strings.Cut(string(value), "?")
		q.Path, q.RawQuery = path, query
		return strings.HasPrefix(path, "/") && !strings.ContainsAny(string(value), " #") && printable(value)
	case ":authority", "host":
		q.Authority = string(value)
		return len(value) == 0 || validAuthority(value)
	case ":scheme":
		return true
	}
	lower := g.lower(name)
	if !exchange.ValidName(lower) {
		return false
	}
	if id := exchange.Classify(lower); !id.HopByHop() && id != exchange.NameContentLength {
		q.Head.Add(string(lower), string(value))
	}
	return true
}

const maxFields = 256

func printable(p []byte) bool {
	for _, c := range p {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// gRPC calls (gRPC over HTTP/2): one message there, one back. The upstream must
// speak HTTP/2.

func grpcCall(g *Guest, a []uint64) status {
	name, in := g.read(a[0], a[1])
	service, in2 := g.read(a[2], a[3])
	method, in3 := g.read(a[4], a[5])
	metadata, in4 := g.read(a[6], a[7])
	message, in5 := g.read(a[8], a[9])
	if !in || !in2 || !in3 || !in4 || !in5 {
		return invalidMemoryAccess
	}
	if len(message) > g.env.MaxBody || !exchange.ValidName(method) || !printable(service) || len(service) == 0 || !validAuthority(name) {
		return badArgument
	}
	q := &exchange.Fetch{
		Method: "POST", Scheme: "http", Authority: string(name), Timeout: milliseconds(a[10]),
		Path: "/" + string(service) + "/" + string(method),
		Body: append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...),
	}
	q.Head.Add("content-type", "application/grpc")
	q.Head.Add("te", "trailers")
	if q.Timeout > 0 {
		q.Head.Add("grpc-timeout", strconv.FormatInt(q.Timeout.Milliseconds(), 10)+"m")
	}
	if !pairsOf(metadata, func(name, value []byte) bool {
		return len(name) > 0 && name[0] != ':' && g.callField(q, name, value)
	}) {
		return badArgument
	}
	return g.send("upstream://"+string(name), q, true, a[11])
}

// grpcStream would be a call of many messages. Guests get the status that hosts
// without it return.
func grpcStream(*Guest, []uint64) status { return unimplemented }

// grpcSend would send one of them.
func grpcSend(*Guest, []uint64) status { return unimplemented }

func grpcCancel(g *Guest, a []uint64) status {
	c := g.calls[uint32(a[0])]
	if c == nil || !c.grpc {
		return notFound
	}
	c.cancel()
	g.over(c)
	return ok
}

// The statuses of gRPC that a host makes.
const (
	grpcUnknown     = 2
	grpcDeadline    = 4
	grpcInternal    = 13
	grpcUnavailable = 14
)

// answeredGRPC passes a message on, or the status of a call that has none.
func (g *Guest) answeredGRPC(id uint64, c *call, q *exchange.Fetch, failed error) error {
	token := uint64(c.token)
	code, message, said := grpcResult(q, failed)
	g.code, g.said = code, said
	if code != 0 {
		_, err := g.call(g.on.grpcClose, id, token, uint64(code))
		return err
	}
	q.Content = message
	_, err := g.call(g.on.grpcData, id, token, uint64(len(message)))
	return err
}

// grpcResult takes an answer apart: status, message and what the status says.
func grpcResult(q *exchange.Fetch, failed error) (code uint32, message []byte, said string) {
	if failed != nil {
		if failed == exchange.ErrFetchTimeout || failed == context.DeadlineExceeded {
			return grpcDeadline, nil, "no answer in time"
		}
		return grpcUnavailable, nil, "the call failed"
	}
	h := &q.Trailer
	value, found := h.Get("grpc-status")
	if !found {
		h = &q.Answer
		value, found = h.Get("grpc-status")
	}
	switch {
	case !found && q.Status != 200:
		return uint32(grpcStatus(q.Status)), nil, "status " + strconv.Itoa(q.Status)
	case !found:
		return grpcUnknown, nil, "no grpc-status"
	}
	n, err := strconv.ParseUint(string(value), 10, 31)
	if err != nil {
		return grpcUnknown, nil, "grpc-status is not a number"
	}
	if text, has := h.Get("grpc-message"); has {
		said = string(text)
	}
	if n != 0 {
		return uint32(n), nil, said
	}
	p := q.Content
	if len(p) < 5 || p[0] != 0 || uint64(binary.BigEndian.Uint32(p[1:])) != uint64(len(p)-5) {
		return grpcInternal, nil, "the answer is not one message without compression"
	}
	return 0, p[5:], said
}
