package gateway_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// taker reads what a gateway sends.
type taker struct {
	nc  net.Conn
	b   bytes.Buffer
	err error // the end of the connection
}

// take reads as many bytes as want has; want is not looked at. In update mode
// nobody knows how many come, so that it reads until nothing does.
func (r *taker) take(t *testing.T, want string) {
	n := int64(len(want))
	_ = r.nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if *updateCases {
		n = 1 << 20
		_ = r.nc.SetReadDeadline(time.Now().Add(150 * time.Millisecond))
	}
	if r.err != nil {
		return
	}
	from := r.b.Len()
	_, err := io.CopyN(&r.b, r.nc, n)
	// The invitation to send a body comes or not: the body may have been there.
	if more := bytes.Count(r.b.Bytes()[from:], []byte(interim)) - strings.Count(want, interim); err == nil && more > 0 {
		_, err = io.CopyN(&r.b, r.nc, int64(more*len(interim)))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if !*updateCases {
			t.Error("less came than expected")
		}
		err = nil
	}
	r.err = err
}

// probe sends another request, and tells whether the connection is open for it,
// "" if not. What comes then is not kept.
func (r *taker) probe(t *testing.T, nc net.Conn) (end string) {
	before := r.b.Len()
	if _, err := io.WriteString(nc, probe); err == nil {
		r.take(t, expand(probeAnswer+"\n"))
	}
	if abridge(r.b.String()[before:]) == probeAnswer+"\n" {
		end = "open"
		r.b.Truncate(before)
	}
	return end
}

func (r *taker) end() string {
	if r.err == io.EOF {
		return "closed"
	}
	return "reset"
}

// rest reads to the end.
func (r *taker) rest() {
	_ = r.nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, r.err = io.Copy(&r.b, r.nc); r.err == nil {
		r.err = io.EOF
	}
}

// scriptedBackend records every byte that it gets. It answers with what net/http
// understood of each request: a second opinion on what the gateway forwards.
type scriptedBackend struct {
	answer string // to the first request
	hangUp bool

	l        net.Listener
	mu       sync.Mutex
	answered bool
	carried  []*carried
	last     string // the fields of the last request behind Host, with | between them
	served   sync.WaitGroup
}

// carried is what came over one connection.
type carried struct {
	peer string
	raw  bytes.Buffer
}

func (b *scriptedBackend) listen(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.l = l
	b.served.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c := &carried{peer: nc.RemoteAddr().String()}
			b.mu.Lock()
			b.carried = append(b.carried, c)
			b.mu.Unlock()
			b.served.Go(func() { b.serve(nc, &c.raw) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func (b *scriptedBackend) serve(nc net.Conn, raw *bytes.Buffer) {
	defer nc.Close()
	in := bufio.NewReader(io.TeeReader(nc, raw))
	for {
		from := raw.Len() // nothing is pipelined to a backend
		req, err := http.ReadRequest(in)
		var body []byte
		if err == nil {
			body, err = io.ReadAll(req.Body)
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			_, _ = io.Copy(io.Discard, in)
			if err != io.ErrUnexpectedEOF && !strings.Contains(err.Error(), "reset by peer") {
				fmt.Fprintf(raw, "{net/http refuses this: %v}\r\n", err)
			} else {
				raw.WriteString("{cut}\r\n")
			}
			return
		}
		text := strings.TrimSpace(req.Method + " " + req.RequestURI + " " + string(body))
		if req.Method == "HEAD" {
			text = ""
		}
		answer, hangUp := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text), false
		b.mu.Lock()
		if !b.answered && (b.answer != "" || b.hangUp) {
			answer, hangUp = b.answer, b.hangUp
		}
		b.answered = true
		_, head, _ := strings.Cut(raw.String()[from:], "\r\nHost: ")
		head, _, _ = strings.Cut(head, "\r\n\r\n")
		_, head, _ = strings.Cut(head, "\r\n")
		b.last = strings.ReplaceAll(head, "\r\n", "|")
		b.mu.Unlock()
		if _, err := io.WriteString(nc, answer); err != nil || hangUp {
			return
		}
	}
}

// seen tells what each connection carried, once all have ended, as they do with
// the gateway.
func (b *scriptedBackend) seen(t *testing.T) (conns []string) {
	// Connections are accepted in turn: behind this one none is left.
	nc, err := net.Dial("tcp", b.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, nc)
	self := nc.LocalAddr().String()
	nc.Close()
	b.l.Close()
	b.served.Wait()
	for _, c := range b.carried {
		if c.peer != self {
			conns = append(conns, c.raw.String())
		}
	}
	return conns
}
