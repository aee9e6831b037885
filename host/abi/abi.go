// Package abi is what the plugin ABIs share: what a guest is given, and how its
// host lets it in. It must not know any of the ABIs.
package abi

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/headgate/headgate/runtime/exchange"
)

// Limiter is the context of all calls into one guest: it is done when the guest
// must stop. Pause and Resume enclose the time that a host function waits for
// someone else, which is not the guest's time; stop, which may be nil, ends the
// wait from another goroutine.
type Limiter interface {
	context.Context
	Pause(stop func())
	Resume()
	// Spend takes fuel from the guest for work that a host function does for it, about
	// a nanosecond's worth for each: so its time is looked at in time.
	Spend(fuel int64)
}

// Entry lets calls into a guest, one at a time and within its limits. Every
// Enter that returns nil is followed by a Leave with the error of the call, from
// the same goroutine; what Leave returns is the error to go by. After an error of
// either, the guest may be gone for good.
type Entry interface {
	Enter(ctx context.Context) error
	Leave(err error) error
}

// Logger takes what guests say. It never waits.
type Logger interface {
	Enabled(level slog.Level) bool
	Log(level slog.Level, requestID, message string)
}

// Fetcher sends requests of filters. to is upstream://NAME or an origin.
type Fetcher interface {
	Fetch(ctx context.Context, x *exchange.Exchange, to string, q *exchange.Fetch) error
}

// Config is one configuration of a guest.
type Config struct {
	ID uint32
	// Filter names the filter of the module that is meant; proxy-wasm's root id.
	Filter string
	Bytes  []byte
	// Values are the request-time expressions in it. Bytes refer to them by index.
	Values []Value
}

// Value is a request-time expression.
type Value struct {
	Eval exchange.Expr
	// Waits says that it may wait for the request's body.
	Waits bool
}

// ConfigError is a configuration that a guest refused.
type ConfigError struct{ Reason string }

// Error implements error.
func (e *ConfigError) Error() string { return "the plugin refuses its configuration: " + e.Reason }

// FailError is an exchange that the guest itself gave up; it stays usable.
type FailError struct{ Reason string }

// Error implements error.
func (e *FailError) Error() string { return "the plugin failed: " + e.Reason }

// Denials is how often guests were denied something. A nil one counts nothing.
type Denials struct{ n atomic.Int64 }

// Load returns the number.
func (d *Denials) Load() int64 { return d.n.Load() }

// Add counts one.
func (d *Denials) Add() {
	if d != nil {
		d.n.Add(1)
	}
}

// Names is a set of header field names: some names, some prefixes, or all. The
// zero value has none.
type Names struct {
	all      bool
	exact    map[string]bool
	prefixes []string
}

// NewNames makes a set of names in any case, "x-*" for a prefix, "*" for all.
func NewNames(list []string) Names {
	n := Names{exact: make(map[string]bool, len(list))}
	for _, s := range list {
		s = strings.ToLower(s)
		prefix, isPrefix := strings.CutSuffix(s, "*")
		switch {
		case s == "*":
			n.all = true
		case isPrefix:
			n.prefixes = append(n.prefixes, prefix)
		default:
			n.exact[s] = true
		}
	}
	return n
}

// Has reports whether the name, in lower case, is in the set.
func (n *Names) Has(lower []byte) bool {
	if n.all || n.exact[string(lower)] {
		return true
	}
	for _, p := range n.prefixes {
		if strings.HasPrefix(exchange.String(lower), p) {
			return true
		}
	}
	return false
}
