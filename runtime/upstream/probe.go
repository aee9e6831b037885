package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/http2"
)

// maxProbe is how much of an answer is looked at.
const maxProbe = 64 << 10

func noAnswerWithin(d time.Duration) error { return fmt.Errorf("no answer within %s", d) }

// asker returns how the address is asked once.
func (c *checker) asker() func(context.Context) error {
	switch c.check.Type {
	case "tcp":
		return c.askTCP
	case "grpc":
		return c.askGRPC
	}
	return c.askHTTP
}

// askTCP is content with a connection, over TLS if the upstream has that.
func (c *checker) askTCP(ctx context.Context) error {
	nc, err := c.endpoint.connect(ctx, nil, true, false)
	if err == nil {
		nc.Close()
	}
	return err
}

// open makes a connection of its own, as requests would. close ends it, and so
// does the end of ctx.
func (c *checker) open(ctx context.Context) (conn Conn, closed func(), err error) {
	e := c.endpoint
	nc, err := e.connect(ctx, nil, false, false)
	if err != nil {
		return nil, nil, err
	}
	unhook := context.AfterFunc(ctx, func() { nc.Close() })
	closed = func() {
		unhook()
		nc.Close()
	}
	if !negotiated(e.key, nc) {
		return http1.NewClient(nc, http1.Limits{}, e.buffers), closed, nil
	}
	s := http2.NewClientConn(nc, e.scheme(), http1.Limits{}).Open()
	if s == nil {
		closed()
		return nil, nil, ErrNoAnswer
	}
	return s, closed, nil
}

func (c *checker) askHTTP(ctx context.Context) error {
	path, query, _ := strings.Cut(c.check.Path, "?")
	r := &exchange.Request{Method: "GET", Scheme: c.endpoint.scheme(), Authority: c.authority(), Path: path, RawQuery: query}
	for name, value := range c.check.Headers {
		r.Head.Add(name, value)
	}
	res, end, err := c.exchange(ctx, r, nil)
	if err != nil {
		return err
	}
	defer end()
	if !slices.Contains(c.check.Expect, res.Status) {
		return fmt.Errorf("status %d", res.Status)
	}
	if c.check.Contains == "" {
		return nil
	}
	found := func(body []byte) bool { return bytes.Contains(body, []byte(c.check.Contains)) }
	body, err := readUntil(res.Body, found)
	if err != nil || found(body) {
		return err
	}
	return fmt.Errorf("the body does not contain %q", c.check.Contains)
}

// authority is the Host of a check.
func (c *checker) authority() string {
	switch {
	case c.check.Host != "":
		return c.check.Host
	case c.endpoint.network == "unix":
		return "localhost"
	}
	return c.endpoint.address
}

// exchange sends a request and reads the head of the answer. end closes the
// connection; it is not nil if there is an answer.
func (c *checker) exchange(ctx context.Context, r *exchange.Request, body []byte) (res *exchange.Response, end func(), err error) {
	conn, closed, err := c.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	end = func() {
		conn.Close()
		closed()
		conn.Park()
	}
	if _, ok := r.Head.Get("user-agent"); !ok {
		r.Head.Add("user-agent", "headgate-health-check")
	}
	r.Length = int64(len(body))
	res = &exchange.Response{}
	if err = conn.WriteRequest(r, body, true); err == nil {
		err = conn.ReadResponse(r.Method, res)
	}
	for err == nil && res.Status < 200 && res.Status != 101 {
		err = conn.ReadResponse(r.Method, res)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return res, end, nil
}

// readUntil reads the beginning of a body, no further than enough asks for.
func readUntil(b exchange.Body, enough func([]byte) bool) ([]byte, error) {
	var read []byte
	for b != nil && len(read) < maxProbe && !enough(read) {
		p, err := b.Next()
		read = append(read, p[:min(len(p), maxProbe-len(read))]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return read, err
		}
	}
	return read, nil
}

var (
	errShortMessage = errors.New("the answer is no HealthCheckResponse")
	errNotServing   = errors.New("it is not SERVING")
)

// askGRPC calls grpc.health.v1.Health/Check of the server as a whole.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
func (c *checker) askGRPC(ctx context.Context) error {
	r := &exchange.Request{Method: "POST", Scheme: c.endpoint.scheme(), Authority: c.authority(), Path: "/grpc.health.v1.Health/Check"}
	r.Head.Add("content-type", "application/grpc")
	r.Head.Add("te", "trailers")
	res, end, err := c.exchange(ctx, r, make([]byte, 5)) // an empty HealthCheckRequest
	if err != nil {
		return err
	}
	defer end()
	if res.Status != 200 {
		return fmt.Errorf("status %d", res.Status)
	}
	message, err := readUntil(res.Body, func([]byte) bool { return false }) // trailers follow
	if err != nil {
		return err
	}
	status, ok := res.Trailer.Get("grpc-status")
	if !ok {
		status, _ = res.Head.Get("grpc-status") // an answer without a message
	}
	if string(status) != "0" {
		return fmt.Errorf("grpc-status %s", strconv.Quote(string(status)))
	}
	return serving(message)
}

// serving reads HealthCheckResponse, whose field 1 is 1 for SERVING. Servers send
// nothing else in it.
func serving(p []byte) error {
	if len(p) < 5 || p[0] != 0 {
		return errShortMessage
	}
	n := int(p[1])<<24 | int(p[2])<<16 | int(p[3])<<8 | int(p[4])
	if n != len(p)-5 {
		return errShortMessage
	}
	if bytes.Equal(p[5:], []byte{1 << 3, 1}) {
		return nil
	}
	return errNotServing
}
