package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// segments decides when what TLS writes leaves, and in which pieces.
type segments struct {
	net.Conn
	held bytes.Buffer
	hold bool
}

func (s *segments) Write(p []byte) (int, error) {
	if s.hold {
		return s.held.Write(p)
	}
	return s.Conn.Write(p)
}

// release sends what was held, n bytes at a time, with a pause between.
func (s *segments) release(t *testing.T, n int) {
	for b := s.held.Bytes(); len(b) > 0; {
		m := min(n, len(b))
		if _, err := s.Conn.Write(b[:m]); err != nil {
			t.Fatal(err)
		}
		if b = b[m:]; len(b) > 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	s.held.Reset()
}

// listenTLS serves h over TLS and returns the address.
func listenTLS(t *testing.T, h exchange.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := http1.NewServer(h, http1.Limits{}, http1.Timeouts{})
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				c := tls.Server(http1.NewBeneath(nc), config)
				if err := c.Handshake(); err != nil {
					nc.Close()
					return
				}
				state := c.ConnectionState()
				s.ServeConn(context.Background(), c, exchange.NewConn(&exchange.ListenerInfo{}, nc.RemoteAddr(), nc.LocalAddr(), &state, 0))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// However records and segments fall, each request is answered, in order and
// without waiting for the next one.
func TestServerTLSRecords(t *testing.T) {
	addr := listenTLS(t, refuser{echo})
	get := "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
	post := "POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"
	for _, c := range []struct {
		name    string
		records []string // requests, or parts of them
		piece   int      // bytes in a segment
		answers int
	}{
		{"one", []string{get}, 1 << 20, 1},
		{"a body", []string{post}, 1 << 20, 1},
		{"two in a record", []string{get + get}, 1 << 20, 2},
		{"two records in a segment", []string{get, get}, 1 << 20, 2},
		{"five records in a segment", []string{get, post, get, post, get}, 1 << 20, 5},
		{"a head in two records", []string{get[:10], get[10:]}, 1 << 20, 1},
		{"a body of its own record", []string{post[:len(post)-5], "abcde"}, 1 << 20, 1},
		{"small segments", []string{get, post}, 40, 2},
		{"one and a half", []string{get + get[:9], get[9:] + get}, 1 << 20, 3},
		{"large", []string{strings.Replace(post, "5\r\n\r\nabcde", "15000\r\n\r\n"+strings.Repeat("x", 15000), 1), get}, 1 << 20, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			seg := &segments{Conn: nc}
			tc := tls.Client(seg, &tls.Config{InsecureSkipVerify: true})
			defer tc.Close()
			_ = tc.SetDeadline(time.Now().Add(20 * time.Second))
			br := bufio.NewReader(tc)
			for round := range 5 {
				seg.hold = round > 0 // the first makes the handshake
				if round == 0 {
					if err := tc.Handshake(); err != nil {
						t.Fatal(err)
					}
					continue
				}
				for _, r := range c.records {
					_, _ = io.WriteString(tc, strings.ReplaceAll(r, "%s", "x"))
				}
				seg.release(t, c.piece)
				for i := range c.answers {
					res, err := http.ReadResponse(br, nil)
					if err != nil || res.StatusCode != 200 {
						t.Fatalf("round %d, answer %d: %v %v", round, i, res, err)
					}
					_, _ = io.Copy(io.Discard, res.Body)
				}
			}
		})
	}
}

// A client that ends its side with its last request gets the answer, and the
// end of the connection soon.
func TestServerHalfClose(t *testing.T) {
	addr, _ := listen(t, refuser{echo}, http1.Timeouts{})
	for _, rounds := range []int{1, 3} {
		c := dial(t, addr)
		br := bufio.NewReader(c)
		for i := range rounds {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if i == rounds-1 {
				_ = c.(*net.TCPConn).CloseWrite()
			}
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
		}
		start := time.Now()
		if n, err := br.WriteTo(io.Discard); n != 0 || err != nil || time.Since(start) > 10*time.Second {
			t.Errorf("%d bytes and %v after %v", n, err, time.Since(start))
		}
	}
}
