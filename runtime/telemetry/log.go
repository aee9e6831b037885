package telemetry

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
)

// Output is a slog.Handler whose level and format may change while it is used.
type Output struct {
	w     io.Writer
	level *slog.LevelVar
	now   *atomic.Pointer[slog.Handler]
	wrap  []func(slog.Handler) slog.Handler
}

// NewOutput makes an output of text at level info.
func NewOutput(w io.Writer) *Output {
	o := &Output{w: w, level: &slog.LevelVar{}, now: &atomic.Pointer[slog.Handler]{}}
	o.Configure("info", "text")
	return o
}

// Configure sets the level (debug, info, warn, error) and the format (text,
// json).
func (o *Output) Configure(level, format string) {
	var l slog.Level
	if l.UnmarshalText([]byte(level)) == nil {
		o.level.Set(l)
	}
	opts := &slog.HandlerOptions{Level: o.level}
	var h slog.Handler = slog.NewTextHandler(o.w, opts)
	if format == "json" {
		h = slog.NewJSONHandler(o.w, opts)
	}
	o.now.Store(&h)
}

// Block logs a message with a text of several lines. In the text format they
// stand below the message, as they are.
func (o *Output) Block(level slog.Level, msg, key, text string) {
	if _, json := (*o.now.Load()).(*slog.JSONHandler); json {
		slog.New(o).Log(context.Background(), level, msg, key, text)
		return
	}
	slog.New(o).Log(context.Background(), level, msg)
	if o.Enabled(context.Background(), level) {
		_, _ = io.WriteString(o.w, strings.TrimRight(text, "\n")+"\n")
	}
}

// Enabled implements slog.Handler.
func (o *Output) Enabled(_ context.Context, l slog.Level) bool { return l >= o.level.Level() }

// Handle implements slog.Handler.
func (o *Output) Handle(ctx context.Context, r slog.Record) error {
	h := *o.now.Load()
	for _, w := range o.wrap {
		h = w(h)
	}
	return h.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (o *Output) WithAttrs(a []slog.Attr) slog.Handler {
	return o.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(a) })
}

// WithGroup implements slog.Handler.
func (o *Output) WithGroup(name string) slog.Handler {
	return o.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (o *Output) with(w func(slog.Handler) slog.Handler) slog.Handler {
	c := *o
	c.wrap = append(append([]func(slog.Handler) slog.Handler(nil), o.wrap...), w)
	return &c
}
