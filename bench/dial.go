//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// dialer opens connections from changing addresses of loopback, as one of them
// has no more than 28,000 ports.
type dialer struct {
	certificate certificate
	count       atomic.Uint32
}

const dialTimeout = 10 * time.Second

func (d *dialer) plain(ctx context.Context, address string) (net.Conn, error) {
	n := d.count.Add(1)
	dial := net.Dialer{Timeout: dialTimeout, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n%200))}}
	c, err := dial.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(dialTimeout))
}

// tls shakes hands in full: nothing is kept to resume. All agree on what the
// oldest of them has, TLS 1.3 with X25519.
func (d *dialer) tls(ctx context.Context, address, protocol string) (net.Conn, error) {
	raw, err := d.plain(ctx, address)
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, &tls.Config{
		ServerName: "localhost", RootCAs: d.certificate.pool, NextProtos: []string{protocol},
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
	})
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	state := c.ConnectionState()
	if state.NegotiatedProtocol != protocol || state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		raw.Close()
		return nil, fmt.Errorf("%s agreed on %q with %s", address, state.NegotiatedProtocol, tls.CipherSuiteName(state.CipherSuite))
	}
	return c, nil
}

// get asks for 1 KiB on c and reads the answer.
func get(c net.Conn, connection string) error {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: "+connection+"\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 2048), nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || n != 1024) {
		err = fmt.Errorf("%d bytes with status %d", n, res.StatusCode)
	}
	return err
}

// get2 is get for HTTP/2.
func get2(c net.Conn) error {
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return err
	}
	f := http2.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		return err
	}
	var head strings.Builder
	e := hpack.NewEncoder(&head)
	for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/"}} {
		if err := e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			return err
		}
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(head.String()), EndHeaders: true, EndStream: true}); err != nil {
		return err
	}
	for length := 0; ; {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				if err := f.WriteSettingsAck(); err != nil {
					return err
				}
			}
		case *http2.DataFrame:
			length += len(frame.Data())
		case *http2.GoAwayFrame, *http2.RSTStreamFrame:
			return fmt.Errorf("%v", frame)
		}
		if h := frame.Header(); h.StreamID == 1 && h.Flags.Has(http2.FlagDataEndStream) {
			if length != 1024 {
				return fmt.Errorf("%d bytes", length)
			}
			return nil
		}
	}
}

// each runs do in a number of goroutines until it has returned errDone or
// another error in each, and returns one of the others.
func each(goroutines int, do func() error) error {
	var wait sync.WaitGroup
	errs := make([]error, goroutines)
	for i := range errs {
		wait.Go(func() {
			for errs[i] == nil {
				errs[i] = do()
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if !errors.Is(err, errDone) {
			return err
		}
	}
	return nil
}

var errDone = errors.New("done")

// handshakes opens a connection for each request, for the given time.
func (d *dialer) handshakes(ctx context.Context, address string, duration time.Duration) (report, error) {
	var mu sync.Mutex
	var times []time.Duration
	begin := time.Now()
	err := each(16, func() error {
		one := time.Now()
		if one.Sub(begin) > duration {
			return errDone
		}
		c, err := d.tls(ctx, address, "http/1.1")
		if err != nil {
			return err
		}
		defer c.Close()
		if err := get(c, "close"); err != nil {
			return err
		}
		took := time.Since(one)
		mu.Lock()
		defer mu.Unlock()
		times = append(times, took)
		return nil
	})
	if err != nil {
		return report{}, err
	}
	return newReport(times, time.Since(begin))
}

// idle opens n connections, asks once on each, and leaves them open.
func (d *dialer) idle(ctx context.Context, n int, open func(context.Context) (net.Conn, error)) (conns []net.Conn, err error) {
	var mu sync.Mutex
	begun := 0
	err = each(16, func() error {
		mu.Lock()
		begun++
		last := begun > n
		mu.Unlock()
		if last {
			return errDone
		}
		c, err := open(ctx)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, c)
		return nil
	})
	return conns, err
}
