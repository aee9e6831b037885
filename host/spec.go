package host

import (
	"log/slog"
	"time"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/host/abi/native"
)

// Options are what all plugins of a host share.
type Options struct {
	// CacheDir keeps compiled code between runs; "" keeps it in memory only.
	// Whoever can write to it can run code in this process.
	CacheDir string
	// MemoryCeiling bounds the linear memory of all instances; 0 for none.
	MemoryCeiling int64
	// Log takes the messages of plugins and of the host; nil discards them.
	Log *slog.Logger
	// Traps is told of every call that ended badly; may be nil.
	Traps Traps
	// Gauge is told of instances that come and go; may be nil.
	Gauge Gauge
	// Fetcher sends the requests of plugins; nil: they can't make any.
	Fetcher Fetcher
	// State keeps what plugins share; nil: nothing does.
	State State
	// Clock is the time of day that plugins see; nil: the system's.
	Clock func() time.Time
}

// What plugins need of others.
type (
	// Fetcher sends their requests.
	Fetcher = abi.Fetcher
	// Value is an expression in a configuration of theirs.
	Value = abi.Value
	// State keeps their values and counts their events by Rate.
	State = native.State
	// Rate is a limit and what an event costs of it.
	Rate = native.Rate
	// Taken is what became of an event.
	Taken = native.Taken
)

// Traps counts calls that ended badly, by plugin and Reason.
type Traps interface{ Trap(plugin, reason string) }

// Gauge follows the number of instances of a plugin.
type Gauge interface {
	Instances(plugin string, delta int)
}

// Spec says which module a plugin is, what it may do and how much it may use.
// Zero numbers take the defaults; nil lists grant nothing.
type Spec struct {
	// Name is the plugin's name in the log, in metrics and in errors.
	Name string
	// Wasm is the binary module.
	Wasm []byte
	// Filter chooses one of the filters that a module registers. Uses that differ
	// in it alone share their instances.
	Filter string
	// VMConfig is what a proxy-wasm module gets when it starts.
	VMConfig string
	// Concurrency is the number of exchanges inside one instance at once; 1, and
	// 128 for proxy-wasm, whose modules are made for it.
	Concurrency int
	// Memory bounds the linear memory of one instance, in bytes; 32 MiB.
	Memory int64
	// CPU bounds the time inside the guest of one callback; 20 ms. Deadline
	// bounds the same callback with everything that it waits for; 5 s. StartCPU
	// bounds instantiation and each configuration; 10 s.
	CPU, Deadline, StartCPU time.Duration
	// Instances bounds the pool; 64.
	Instances int
	// HeadersRead and HeadersWrite name the header fields that the guest may
	// see and change: names, "x-*" for a prefix, or "*".
	HeadersRead, HeadersWrite []string
	// Fetch names the upstreams, upstream://NAME, and the origins, https://HOST, that
	// the guest may send requests to.
	Fetch []string
	// Namespaces are those of the state that the guest may use.
	Namespaces []string
	// Auth lets the guest see and say who the caller is.
	Auth bool
	// Call names the plugins and policies whose published data the guest may read.
	Call []string
	// Env names the environment variables that the guest may see; "NAME=value"
	// gives it a value of its own.
	Env []string
}

func (s Spec) withDefaults() Spec {
	if s.Memory <= 0 {
		s.Memory = 32 << 20
	}
	if s.CPU <= 0 {
		s.CPU = 20 * time.Millisecond
	}
	if s.Deadline <= 0 {
		s.Deadline = 5 * time.Second
	}
	if s.StartCPU <= 0 {
		s.StartCPU = 10 * time.Second
	}
	if s.Instances <= 0 {
		s.Instances = 64
	}
	return s
}
