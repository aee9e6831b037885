package lifecycle

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is clients that never stop to ask, and count what they get. They keep to
// the rules and forgive nothing: a request that was sent has to be answered.
type load struct {
	testing.TB
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	// leaves says that clients stay away once they are told to leave.
	leaves bool

	served atomic.Int64
	dialed atomic.Int64
	byBody sync.Map // answer -> *atomic.Int64

	mu       sync.Mutex
	failures []string
}

func newLoad(t testing.TB) *load {
	l := &load{TB: t}
	l.ctx, l.stop = context.WithCancel(context.Background())
	t.Cleanup(func() { l.stop(); l.wg.Wait() })
	return l
}

// end stops the clients and reports what failed.
func (l *load) end() {
	l.Helper()
	l.stop()
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range l.failures {
		if i == 10 {
			l.Errorf("... %d failures in all", len(l.failures))
			break
		}
		l.Error(f)
	}
	l.Logf("%d requests on %d connections", l.served.Load(), l.dialed.Load())
}

func (l *load) fail(kind string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, fmt.Sprintf("%s, %s: %v", time.Now().Format("15:04:05.000"), kind, err))
}

func (l *load) took(body string) {
	l.served.Add(1)
	n, ok := l.byBody.Load(body)
	if !ok {
		n, _ = l.byBody.LoadOrStore(body, &atomic.Int64{})
	}
	n.(*atomic.Int64).Add(1)
}

// got is how many answers had this body.
func (l *load) got(body string) int64 {
	if n, ok := l.byBody.Load(body); ok {
		return n.(*atomic.Int64).Load()
	}
	return 0
}

// awaitMore waits until n more requests were served.
func (l *load) awaitMore(n int64) {
	l.Helper()
	want := l.served.Load() + n
	for end := time.Now().Add(patience); l.served.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			l.Fatalf("%d requests served, %d wanted", l.served.Load(), want)
		}
	}
}

// dialer makes a connection of one kind.
type dialer func(context.Context) (net.Conn, error)

func plain(network, address string) dialer {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
}

// keepAlive asks again and again on a connection until the answer says that it
// is the last, then on a new one. perConn bounds the requests of a connection; 0:
// no bound. pause is the wait between two.
func (l *load) keepAlive(kind string, dial dialer, request string, perConn int, pause time.Duration) {
	l.wg.Go(func() {
		for l.ctx.Err() == nil {
			c, err := dial(l.ctx)
			if err != nil {
				if l.ctx.Err() == nil {
					l.fail(kind, fmt.Errorf("dial: %w", err))
				}
				return
			}
			l.dialed.Add(1)
			err = l.converse(c, request, perConn, pause)
			c.Close()
			if err != nil {
				l.fail(kind, err)
			}
			if err != nil || l.leaves {
				return
			}
		}
	})
}

func (l *load) converse(c net.Conn, request string, perConn int, pause time.Duration) error {
	in := bufio.NewReader(c)
	for n := 0; l.ctx.Err() == nil && (perConn == 0 || n < perConn); n++ {
		if pause > 0 && n > 0 {
			// What a client does with a connection that rests: it notices an end.
			_ = c.SetReadDeadline(time.Now().Add(pause))
			if _, err := in.Peek(1); errors.Is(err, io.EOF) {
				return nil
			} else if e, ok := err.(net.Error); !ok || !e.Timeout() {
				return fmt.Errorf("while idle: %w", err)
			}
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(c, request); err != nil {
			return fmt.Errorf("request %d: %w", n, err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return fmt.Errorf("answer %d: %w", n, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return fmt.Errorf("body %d: %w", n, err)
		}
		if res.StatusCode != 200 {
			return fmt.Errorf("answer %d: %s", n, res.Status)
		}
		l.took(string(body))
		if res.Close {
			return nil
		}
	}
	return nil
}

// multiplexed asks over HTTP/2 connections, streams at a time.
func (l *load) multiplexed(kind, url string, streams int) {
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	p.SetHTTP2(true)
	tr := &http.Transport{Protocols: p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	l.Cleanup(tr.CloseIdleConnections)
	client := &http.Client{Transport: tr}
	for range streams {
		l.wg.Go(func() {
			for l.ctx.Err() == nil {
				err := l.once(client, url)
				if err == nil {
					continue
				}
				if l.ctx.Err() == nil && !(l.leaves && errors.Is(err, syscall.ECONNREFUSED)) {
					l.fail(kind, err)
				}
				return
			}
		})
	}
}

func (l *load) once(client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(l.ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != 200 || res.ProtoMajor != 2 {
		return fmt.Errorf("%s %s", res.Proto, res.Status)
	}
	l.took(string(body))
	return nil
}
