package policies

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Bounds of what goes to a log service.
const (
	batchBytes = 256 << 10 // before compression
	batchDelay = 5 * time.Second
	// batchQueue is how many batches wait while the service is away. The oldest
	// are lost first.
	batchQueue = 64
	// A batch is tried again after retryFirst, and after twice as long each time
	// up to retryMost.
	retryFirst   = 500 * time.Millisecond
	retryMost    = 30 * time.Second
	sendDeadline = 10 * time.Second
)

// serviceSink sends batches of decisions to a service. One goroutine sends.
type serviceSink struct {
	url, token string
	client     *http.Client
	log        *slog.Logger

	mu      sync.Mutex
	pending bytes.Buffer // lines of the batch in the making
	full    [][]byte     // batches that wait
	lost    int          // batches
	wake    chan struct{}

	ctx  context.Context
	stop context.CancelFunc
	quit chan struct{} // closed: send what there is and end
	done chan struct{}
}

func newServiceSink(url, token string, log *slog.Logger) *serviceSink {
	s := &serviceSink{
		url: url, token: token, log: log,
		client: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}},
		wake:   make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	go s.run()
	return s
}

// write adds a line to the batch. It fails if batches were lost.
func (s *serviceSink) write(line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending.Write(line)
	if s.pending.Len() >= batchBytes {
		s.cut()
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	if n := s.lost; n > 0 {
		s.lost = 0
		return fmt.Errorf("%d batches were lost: the service is away or too slow", n)
	}
	return nil
}

// cut ends the batch in the making.
func (s *serviceSink) cut() {
	if s.pending.Len() == 0 {
		return
	}
	if len(s.full) == batchQueue {
		s.full = append(s.full[:0], s.full[1:]...)
		s.lost++
	}
	s.full = append(s.full, pack(s.pending.Bytes()))
	s.pending.Reset()
}

// pack makes a gzipped JSON array of lines.
func pack(lines []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte{'['}) // writes to memory don't fail
	_, _ = z.Write(bytes.ReplaceAll(bytes.TrimSuffix(lines, []byte("\n")), []byte("\n"), []byte(",")))
	_, _ = z.Write([]byte{']'})
	_ = z.Close()
	return b.Bytes()
}

func (s *serviceSink) run() {
	defer close(s.done)
	defer s.client.CloseIdleConnections()
	tick := time.NewTicker(batchDelay)
	defer tick.Stop()
	for {
		ending := false
		select {
		case <-s.wake:
		case <-tick.C:
		case <-s.quit:
			ending = true
		}
		s.mu.Lock()
		s.cut()
		s.mu.Unlock()
		for s.sendFirst() {
		}
		if ending {
			return
		}
	}
}

// sendFirst sends the oldest batch, again and again until it is taken or thrown
// out, and reports whether there may be more.
func (s *serviceSink) sendFirst() bool {
	s.mu.Lock()
	if len(s.full) == 0 {
		s.mu.Unlock()
		return false
	}
	batch := s.full[0]
	s.full = append(s.full[:0], s.full[1:]...)
	s.mu.Unlock()
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		again, err := s.send(batch)
		if err == nil {
			return true
		}
		s.log.Warn("the decision log's service does not take a batch", "error", err.Error(), "again", again)
		if !again {
			return true
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.ctx.Done():
			t.Stop()
			return false
		}
	}
}

// send posts one batch. An answer that says that the batch is wrong is final.
func (s *serviceSink) send(batch []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, sendDeadline)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(batch))
	if err != nil {
		return false, err
	}
	r.Header.Set("content-type", "application/json")
	r.Header.Set("content-encoding", "gzip")
	if s.token != "" {
		r.Header.Set("authorization", "Bearer "+s.token)
	}
	a, err := s.client.Do(r)
	if err != nil {
		return true, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(a.Body, 64<<10))
	_ = a.Body.Close()
	switch {
	case a.StatusCode/100 == 2:
		return false, nil
	case a.StatusCode == 413 || a.StatusCode == 400 || a.StatusCode == 422:
		return false, fmt.Errorf("status %d", a.StatusCode)
	}
	return true, fmt.Errorf("status %d", a.StatusCode)
}

func (s *serviceSink) close() {
	close(s.quit)
	t := time.NewTimer(logPatience)
	defer t.Stop()
	select {
	case <-s.done:
	case <-t.C:
	}
	s.stop()
	<-s.done
}
