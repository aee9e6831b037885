package proxy

import (
	"sync"
	"time"
)

const (
	// warnBurst lines about failed requests may be written at once, and
	// warnsPerSecond go on being: an upstream or a filter that is gone fails every
	// request, each of which is in the access log and in the metrics.
	warnBurst      = 1000
	warnsPerSecond = 100
)

// warnings bounds what is logged about failed requests.
type warnings struct {
	mu      sync.Mutex
	tokens  float64
	last    time.Time
	dropped int
}

// take reports whether one more line may be written, and how many were not before
// it.
func (w *warnings) take(now time.Time) (ok bool, dropped int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last.IsZero() {
		w.tokens = warnBurst
	}
	w.tokens = min(warnBurst, w.tokens+now.Sub(w.last).Seconds()*warnsPerSecond)
	w.last = now
	if w.tokens < 1 {
		w.dropped++
		return false, 0
	}
	w.tokens--
	dropped, w.dropped = w.dropped, 0
	return true, dropped
}

// warn logs a failure of an exchange, unless there are too many.
func (e *Engine) warn(message string, attrs ...any) {
	ok, dropped := e.warned.take(time.Now())
	if !ok {
		return
	}
	if dropped > 0 {
		attrs = append(attrs, "lines_dropped", dropped)
	}
	e.log.Warn(message, attrs...)
}
