package golden

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/host"
	"github.com/headgate/headgate/runtime/exchange"
)

// world is what surrounds the plugin: what its file says of upstreams and state.
// The plugin's calls and the player use it in turns, but what a plugin logs may
// come from elsewhere.
type world struct {
	host.State

	clock atomic.Pointer[time.Time]

	mu      sync.Mutex
	answers []mock   // those that are left
	fetched []string // sorted at the end: several may be sent at once
	log     strings.Builder
	discard bool // nobody wants to know what was fetched and logged
}

func (w *world) time() time.Time { return *w.clock.Load() }

// Fetch implements host.Fetcher.
func (w *world) Fetch(_ context.Context, _ *exchange.Exchange, to string, q *exchange.Fetch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	url := to + q.Path
	if q.RawQuery != "" {
		url += "?" + q.RawQuery
	}
	m := message{start: q.Method + " " + url, body: string(q.Body)}
	m.add(&q.Head)
	shown := m.String()
	answer, ok := w.next(q.Method, url)
	if !ok {
		shown += "(this file has no answer to it)\n"
	}
	if !w.discard {
		w.fetched = append(w.fetched, shown)
	}
	switch {
	case !ok:
		return fmt.Errorf("no answer to %s %s", q.Method, url)
	case answer.failure == "timeout":
		return exchange.ErrFetchTimeout
	case answer.failure == "large", int64(len(answer.answer.body)) > q.Limit:
		return exchange.ErrFetchLarge
	case answer.failure != "":
		return errors.New("no connection")
	}
	q.Status, _ = answer.answer.status() // checked when the file was read
	q.Content = []byte(answer.answer.body)
	for _, f := range answer.answer.fields {
		q.Answer.Add(f[0], f[1])
	}
	return nil
}

// next takes the first answer to a request; the last one stays.
func (w *world) next(method, url string) (m mock, ok bool) {
	at := -1
	for i, a := range w.answers {
		if a.method != method || a.url != url {
			continue
		}
		if at < 0 {
			at, m = i, a
			continue
		}
		w.answers = append(w.answers[:at:at], w.answers[at+1:]...)
		break
	}
	return m, at >= 0
}

// begin makes w ready for an exchange of a file.
func (w *world) begin(s *scene, f *File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(append(w.answers[:0], s.answers...), f.answers...)
	w.fetched = w.fetched[:0]
	w.log.Reset()
}

// said returns what was fetched and logged in the exchange.
func (w *world) said() (fetched, log string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.fetched)
	return strings.Join(w.fetched, "\n"), w.log.String()
}

// logger is a slog.Handler that writes the messages of plugins into a world, one
// a line.
type logger struct{ p *Player }

// Enabled implements slog.Handler.
func (logger) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l logger) Handle(_ context.Context, r slog.Record) error {
	w := l.p.world()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.discard {
		return nil
	}
	text := bytes.ReplaceAll([]byte(r.Message), []byte("\n"), []byte("\n\t"))
	fmt.Fprintf(&w.log, "%s %s\n", strings.ToLower(r.Level.String()), text)
	return nil
}

// WithAttrs implements slog.Handler.
func (l logger) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l logger) WithGroup(string) slog.Handler { return l }
