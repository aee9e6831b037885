package proxywasm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tetratelabs/wazero/api"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// Env is what all guests of one plugin share. It is immutable.
type Env struct {
	// Name is the plugin's; VMConfig the configuration of its virtual machine.
	Name     string
	VMConfig []byte
	// Read and Write are the header fields that the guest may see and change.
	Read, Write abi.Names
	// MaxBody bounds what the host keeps of a body for the guest, and one value
	// that it hands over, in bytes.
	MaxBody int
	Log     abi.Logger
	// Fetch are the upstreams, upstream://NAME, that the guest may call.
	Fetch   map[string]bool
	Fetcher abi.Fetcher
	Denials *abi.Denials
	// Shared is the data, the queues and the metrics of the plugin.
	Shared *Shared
}

// exports are the functions of a guest; those that it lacks are nil.
type exports struct {
	alloc, contextCreate, vmStart, configure, tick        api.Function
	requestHeaders, requestBody, requestTrailers          api.Function
	responseHeaders, responseBody, responseTrailers       api.Function
	log, done, delete, queueReady                         api.Function
	httpCall, grpcInitial, grpcData, grpcTrail, grpcClose api.Function
}

// root is the context of one configuration.
type root struct {
	id    uint32
	cfg   *abi.Config
	timer *timer
}

// Guest is one instance, seen through its ABI. It is the context of every call
// into the instance. All of it belongs to whoever has entered.
type Guest struct {
	abi.Limiter
	env   *Env
	entry abi.Entry

	mem    api.Memory
	on     exports
	legacy bool
	closed bool

	roots   map[uint32]*root // by configuration
	streams map[uint32]*Stream
	calls   map[uint32]*call
	calling int // bytes that they send
	tokens  uint32
	lastID  uint32 // of a context

	// What the running call is about, or proxy_set_effective_context made it.
	root   *root
	stream *Stream
	stage  stage
	buffer *[]byte         // the body that a body callback looks at
	answer *exchange.Fetch // of the call that completed
	said   string          // its status, for proxy_get_status
	code   uint32

	ended []*Stream // that the running call let go

	stack      [8]uint64
	allocStack [1]uint64
	allocating bool
	number     [8]byte
	out        pairs
	lowered    [256]byte
}

// NewGuest makes the guest whose module is instantiated next, with the guest as
// the context of that.
func NewGuest(l abi.Limiter, env *Env, entry abi.Entry) *Guest {
	return &Guest{
		Limiter: l, env: env, entry: entry,
		roots: map[uint32]*root{}, streams: map[uint32]*Stream{}, calls: map[uint32]*call{},
	}
}

// Start takes the instantiated module and runs its start functions.
func (g *Guest) Start(m api.Module) error {
	g.mem = m.Memory()
	g.legacy = legacy(func(name string) bool { return m.ExportedFunction(name) != nil })
	e := &g.on
	for name, f := range map[string]*api.Function{
		"proxy_on_memory_allocate": &e.alloc, "proxy_on_context_create": &e.contextCreate,
		"proxy_on_vm_start": &e.vmStart, "proxy_on_configure": &e.configure, "proxy_on_tick": &e.tick,
		"proxy_on_request_headers": &e.requestHeaders, "proxy_on_request_body": &e.requestBody, "proxy_on_request_trailers": &e.requestTrailers,
		"proxy_on_response_headers": &e.responseHeaders, "proxy_on_response_body": &e.responseBody, "proxy_on_response_trailers": &e.responseTrailers,
		"proxy_on_log": &e.log, "proxy_on_done": &e.done, "proxy_on_delete": &e.delete, "proxy_on_queue_ready": &e.queueReady,
		"proxy_on_http_call_response": &e.httpCall, "proxy_on_grpc_receive_initial_metadata": &e.grpcInitial, "proxy_on_grpc_receive": &e.grpcData,
		"proxy_on_grpc_receive_trailing_metadata": &e.grpcTrail, "proxy_on_grpc_close": &e.grpcClose,
	} {
		*f = m.ExportedFunction(name)
	}
	if f := m.ExportedFunction("malloc"); f != nil {
		e.alloc = f
	}
	initialize := m.ExportedFunction("_initialize")
	if initialize == nil {
		return g.start("_start", m.ExportedFunction("_start"))
	}
	if err := g.start("_initialize", initialize); err != nil {
		return err
	}
	if f := m.ExportedFunction("main"); f != nil && len(f.Definition().ParamTypes()) <= len(g.stack) {
		return g.start("main", f)
	}
	return nil
}

func (g *Guest) start(name string, f api.Function) error {
	if f == nil {
		return nil
	}
	clear(g.stack[:])
	if err := f.CallWithStack(g, g.stack[:]); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Memory returns the bytes of linear memory.
func (g *Guest) Memory() int64 { return int64(g.mem.Size()) }

// Configured reports whether the guest knows a configuration.
func (g *Guest) Configured(id uint32) bool { return g.roots[id] != nil }

// Configurations returns how many configurations the guest knows.
func (g *Guest) Configurations() int { return len(g.roots) }

// Configure makes a root context for a configuration. A *abi.ConfigError leaves
// the guest usable.
func (g *Guest) Configure(cfg *abi.Config) error {
	g.lastID++
	r := &root{id: g.lastID, cfg: cfg}
	g.about(r, nil, stageNone)
	if _, err := g.call(g.on.contextCreate, uint64(r.id), 0); err != nil {
		return err
	}
	for _, step := range []struct {
		f    api.Function
		size int
		what string
	}{{g.on.vmStart, len(g.env.VMConfig), "proxy_on_vm_start"}, {g.on.configure, len(cfg.Bytes), "proxy_on_configure"}} {
		if step.f == nil {
			continue
		}
		good, err := g.call(step.f, uint64(r.id), uint64(step.size))
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		if good == 0 {
			r.stop()
			return &abi.ConfigError{Reason: step.what + " returned false; what the plugin logged may say why"}
		}
	}
	g.roots[cfg.ID] = r
	return nil
}

// errGone is what a stream gets whose guest ended in another.
var errGone = errors.New("the instance ended in another exchange")

// Close ends everything that waits for the guest. Nobody is inside it.
func (g *Guest) Close() {
	g.closed = true
	for _, r := range g.roots {
		r.stop()
	}
	g.cancel()
	for _, s := range g.streams {
		if s.err == nil {
			s.err = errGone
		}
		s.wake()
	}
	clear(g.streams)
	g.env.Shared.leave(g)
}

// about says what the calls that follow are about.
func (g *Guest) about(r *root, s *Stream, at stage) {
	g.root, g.stream, g.stage, g.buffer = r, s, at, nil
}

// call runs a callback; one that the guest does not have returns 0.
func (g *Guest) call(f api.Function, args ...uint64) (uint64, error) {
	if f == nil {
		return 0, nil
	}
	copy(g.stack[:], args)
	if err := f.CallWithStack(g, g.stack[:]); err != nil {
		return 0, err
	}
	if err := g.settle(); err != nil {
		return 0, err
	}
	return g.stack[0] & (1<<32 - 1), nil
}

// settle deletes the contexts that the guest let go of.
func (g *Guest) settle() error {
	for len(g.ended) > 0 {
		s := g.ended[len(g.ended)-1]
		g.ended = g.ended[:len(g.ended)-1]
		result := g.stack[0]
		if err := s.delete(); err != nil {
			return err
		}
		g.stack[0] = result
	}
	return nil
}

// log levels of the ABI.
func level(n uint32) (slog.Level, bool) {
	switch n {
	case 0, 1:
		return slog.LevelDebug, true
	case 2:
		return slog.LevelInfo, true
	case 3:
		return slog.LevelWarn, true
	case 4, 5:
		return slog.LevelError, true
	}
	return 0, false
}

// enter and leave enclose a call that no exchange makes.
func (g *Guest) enter() bool { return g.entry.Enter(context.Background()) == nil }
