package host

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	lineBurst   = 200
	linesPerSec = 100
	maxLine     = 4 << 10
)

// pluginLog is the log of one plugin: a guest that logs in a loop must not drown
// the others.
type pluginLog struct {
	log *slog.Logger

	mu      sync.Mutex
	tokens  float64
	last    time.Time
	dropped int
}

func newPluginLog(log *slog.Logger, plugin string) *pluginLog {
	return &pluginLog{log: log.With("plugin", plugin), tokens: lineBurst, last: time.Now()}
}

// Enabled implements native.Logger.
func (l *pluginLog) Enabled(level slog.Level) bool {
	return l.log.Enabled(context.Background(), level)
}

// Log implements native.Logger.
func (l *pluginLog) Log(level slog.Level, requestID, message string) {
	ok, dropped := l.take()
	if !ok {
		return
	}
	attrs := make([]slog.Attr, 0, 2)
	if requestID != "" {
		attrs = append(attrs, slog.String("request_id", requestID))
	}
	if dropped > 0 {
		attrs = append(attrs, slog.Int("lines_dropped", dropped))
	}
	l.log.LogAttrs(context.Background(), level, message, attrs...)
}

// take reports whether one more line may be written, and how many were dropped
// before it.
func (l *pluginLog) take() (ok bool, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.tokens = min(lineBurst, l.tokens+now.Sub(l.last).Seconds()*linesPerSec)
	l.last = now
	if l.tokens < 1 {
		l.dropped++
		return false, 0
	}
	l.tokens--
	dropped, l.dropped = l.dropped, 0
	return true, dropped
}

// lines is a standard output of a guest. It is used by one goroutine at a time.
type lines struct {
	log   *pluginLog
	level slog.Level
	buf   []byte
}

// Write implements io.Writer: whole lines go to the log, cut at maxLine.
func (w *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		w.buf = append(w.buf, part[:min(len(part), maxLine-len(w.buf))]...)
		if i < 0 {
			break
		}
		w.flush()
		p = p[i+1:]
	}
	return n, nil
}

// flush logs what there is of a line.
func (w *lines) flush() {
	if len(w.buf) > 0 && w.log.Enabled(w.level) {
		w.log.Log(w.level, "", string(w.buf))
	}
	w.buf = w.buf[:0]
}
