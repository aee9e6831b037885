package proxy

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// send is the response side: it completes the response, or makes one of err,
// and writes it.
func (f *flow) send(err error) {
	x := f.x
	if err != nil {
		if errors.Is(err, errGone) {
			f.clientGone()
			return
		}
		f.abandon()
		answer(x, err)
	}
	if _, ok := x.Response.Head.Known(exchange.NameAltSvc); ok {
		x.Response.Head.Del("alt-svc") // it names ports of the upstream
	}
	f.responseSide()
	f.editResponse()
	// No filter looks at the exchange from here on, unless its body passes through
	// one. A long stream or a slow client then holds neither plugin instances nor a
	// replaced generation.
	if !x.Attached {
		f.leave()
	}
	if x.Response.Status == 101 && f.try.conn != nil {
		f.tunnel()
		return
	}
	if err := f.write(); err != nil {
		x.Failure = err
		x.Front.Reset(exchange.ResetInternal)
		_ = f.abandon()
	}
}

// statusGone is recorded, never sent, when the client left first (nginx's 499).
const statusGone = 499

func (f *flow) clientGone() {
	f.x.Failure, f.status = errGone, statusGone
	f.x.Front.Reset(exchange.ResetCancel)
	_ = f.abandon()
}

// editResponse applies what the route adds to every response.
func (f *flow) editResponse() {
	x := f.x
	if f.route != nil {
		if err := editHeaders(x, &x.Response.Head, f.route.ResponseHeaders); err != nil {
			_ = f.abandon()
			answer(x, f.exprFailed(err))
		}
	}
	if v := x.Conn.Listener.AltSvc; v != "" && x.Request.Proto != exchange.HTTP3 {
		if _, ok := x.Response.Head.Known(exchange.NameAltSvc); !ok {
			x.Response.Head.Add("alt-svc", v)
		}
	}
	if x.ID != "" {
		x.Response.Head.Set(f.t.RequestID, x.ID)
	}
	if f.times != nil && f.chain != nil {
		x.Response.Head.Add("server-timing", f.serverTiming())
	}
}

// write sends the response. After an error the front end must be reset: what
// went out is not complete.
func (f *flow) write() error {
	x := f.x
	r, front := &x.Response, x.Front
	f.status = r.Status
	if x.Request.Method == "HEAD" || r.Status == 204 || r.Status == 304 {
		r.Body = nil
	}
	if r.Body == nil {
		if err := front.WriteHead(); err != nil {
			return err
		}
		return front.End(&r.Trailer)
	}
	p, err := f.firstOfBody()
	if err == io.EOF {
		r.Correct(len(p))
	}
	if broken(err) {
		// Nothing was sent: the client gets a whole answer.
		_ = f.abandon()
		answer(x, upstreamFailed(err))
		f.editResponse()
		return f.write()
	}
	if err := front.WriteHead(); err != nil {
		return err
	}
	for {
		if broken(err) {
			return err
		}
		if isTimeout(err) {
			if err := f.wait(); err != nil {
				return err
			}
		}
		if len(p) > 0 {
			f.sent += int64(len(p))
			f.try.moved = true
		}
		if err == io.EOF {
			return f.end(p)
		}
		if len(p) > 0 {
			if err := front.Write(p, false); err != nil {
				return err
			}
		} else if err := front.Flush(); err != nil {
			return err
		}
		if err = f.pipe(); err != nil {
			if err == io.EOF {
				return f.end(nil)
			}
			return err
		}
		p, err = r.Body.Next()
	}
}

const (
	// pipeLeast is the rest of a body that is worth a pipe, in bytes.
	pipeLeast = 32 << 10
	// pipeMost moves without a look at the clock.
	pipeMost = 256 << 10
)

// pipe moves as much of the response body as can move from socket to socket. It
// returns io.EOF at the end of the body, and nil if the rest has to go through
// memory.
func (f *flow) pipe() error {
	r := &f.x.Response
	if r.Length-f.sent < pipeLeast {
		return nil
	}
	body, ok := r.Body.(exchange.Piper)
	if !ok {
		return nil
	}
	front, ok := f.x.Front.(exchange.PipeFront)
	if !ok {
		return nil
	}
	for {
		n, err := front.WritePipe(body, min(r.Length-f.sent, pipeMost))
		f.sent += n
		if n > 0 {
			f.try.moved = true
		}
		switch {
		case err == exchange.ErrNoPipe:
			return nil
		case isTimeout(err):
			if err := f.wait(); err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
}

// end sends the last bytes of a body, and its trailers.
func (f *flow) end(p []byte) error {
	front, t := f.x.Front, &f.x.Response.Trailer
	last := t.Len() == 0
	if len(p) > 0 || last {
		if err := front.Write(p, last); err != nil || last {
			return err
		}
	}
	return front.End(t)
}

// broken tells errors that end a body from its end and from a read deadline.
func broken(err error) bool { return err != nil && err != io.EOF && !isTimeout(err) }

// firstOfBody returns the bytes that leave together with the head. It waits for
// them only if holdHead says so.
func (f *flow) firstOfBody() ([]byte, error) {
	b := f.x.Response.Body
	if !b.Ready() && !f.holdHead() {
		return nil, nil
	}
	return b.Next()
}

// headDelay is how long the head of a small response waits for its body, so
// that both leave in one write: many servers send them in two.
const headDelay = 2 * time.Millisecond

// holdHead bounds the wait for the first bytes of a small body by headDelay and
// reports whether it did. Streams, whose length is not known, are never held.
func (f *flow) holdHead() bool {
	r := &f.x.Response
	if f.try.conn == nil || r.Length <= 0 || r.Length > smallBody {
		return false
	}
	return f.try.conn.SetReadDeadline(time.Now().Add(headDelay)) == nil
}

// smallBody is what is worth waiting for, in bytes.
const smallBody = 16 << 10

// tunnel joins the two connections after a 101 and runs until both directions
// ended. It holds its endpoint, and nothing of the configuration.
func (f *flow) tunnel() {
	x, t := f.x, &f.try
	f.status = 101
	client, early, ok := x.Front.Tunnel()
	if !ok {
		x.Front.Reset(exchange.ResetInternal)
		_ = f.abandon()
		return
	}
	server, read := t.conn.Tunnel()
	release := t.endpoint.Hold()
	t.endpoint.Discard(t.conn)
	t.conn = nil
	defer release()
	defer client.Close()
	defer server.Close()

	idle := x.Conn.Listener.Idle()
	if first(client, read, idle) != nil || first(server, early, idle) != nil {
		return
	}
	var j joint
	done := make(chan struct{})
	go func() {
		defer close(done)
		j.copy(server, client, idle)
	}()
	f.sent = j.copy(client, server, idle)
	<-done
}

// closeWriter is what TCP, Unix and TLS connections have in common.
type closeWriter interface{ CloseWrite() error }

// halfClose ends one direction of a tunnel; a connection that can't is closed.
func halfClose(c net.Conn) {
	if w, ok := c.(closeWriter); ok && w.CloseWrite() == nil {
		return
	}
	c.Close()
}
