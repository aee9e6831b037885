package native

import (
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// Env is what all guests of one plugin share. It is immutable.
type Env struct {
	// Name is the plugin's.
	Name string
	// Read and Write are the header fields that the guest may see and change.
	Read, Write abi.Names
	// MaxBody bounds what a guest writes into a body.
	MaxBody int
	// Log takes what the guest logs; it never waits.
	Log abi.Logger
	// Fetch are the upstreams, upstream://NAME, and origins that the guest may send
	// requests to through Fetcher.
	Fetch   map[string]bool
	Fetcher abi.Fetcher
	// Denials counts calls that no grant allows; nil: nobody does.
	Denials *abi.Denials
	// Namespaces are those of State that the guest may use.
	Namespaces map[string]bool
	State      State
	// Meter keeps the guest's metrics.
	Meter *Meter
	// Keys keeps the key sets that the guest names.
	Keys *KeySets
	// Auth lets the guest see and say who the caller is.
	Auth bool
	// Call are the plugins and policies whose published data the guest may read.
	Call map[string]bool
}

// Guest is one instance, seen through its ABI. It is the context of every call
// into the instance, so that host functions find it without a look-up. One
// goroutine uses it at a time.
type Guest struct {
	abi.Limiter
	env *Env

	module    api.Module
	mem       api.Memory
	request   api.Function
	response  api.Function
	configure api.Function
	done      api.Function
	chunkOf   [2]api.Function // of request and response
	stack     [4]uint64

	// What the running call is about.
	phase phase
	cfg   *abi.Config
	x     *exchange.Exchange
	s     *Session

	startFeatures  uint32 // enabled before any configuration
	configFeatures uint32 // enabled by the running configuration
	failure        string // what the guest gave to headgate_v1.fail
	failed         bool
	kept           map[uint32]uint32 // features by configuration

	scratch [256]byte // lower-cased names
	values  [][]byte  // of get_header_values
	fetched *exchange.Fetch
	many    []*call
	chunk   chunk
	out     writer // of lists of strings
}

// phase is what kind of call runs.
type phase uint8

const (
	phaseStart phase = iota
	phaseConfigure
	phaseRequest
	phaseResponse
	phaseRequestChunk
	phaseResponseChunk
	phaseDone
)

// NewGuest makes the guest whose module is instantiated next, with the guest as
// the context. cfg is the configuration of a guest that can have only one, or
// nil.
func NewGuest(l abi.Limiter, env *Env, cfg *abi.Config) *Guest {
	return &Guest{Limiter: l, env: env, cfg: cfg, kept: map[uint32]uint32{}}
}

// Start takes the instantiated module and runs its start functions.
func (g *Guest) Start(m api.Module) error {
	g.module, g.mem = m, m.Memory()
	g.request, g.response = m.ExportedFunction(exportRequest), m.ExportedFunction(exportResponse)
	g.configure, g.done = m.ExportedFunction(exportConfigure), m.ExportedFunction(exportDone)
	g.chunkOf = [2]api.Function{m.ExportedFunction(exportRequestChunk), m.ExportedFunction(exportResponseChunk)}
	// A reactor has _initialize; a command has _start, which returns and leaves
	// the instance usable unless it exits.
	for _, name := range []string{"_initialize", "_start"} {
		f := m.ExportedFunction(name)
		if f == nil {
			continue
		}
		if err := f.CallWithStack(g, g.stack[:]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		break
	}
	if g.configure == nil && g.cfg != nil {
		g.kept[g.cfg.ID] = 0
	}
	return nil
}

// Memory returns the bytes of linear memory.
func (g *Guest) Memory() int64 { return int64(g.mem.Size()) }

// Configured reports whether the guest knows a configuration.
func (g *Guest) Configured(id uint32) bool {
	_, ok := g.kept[id]
	return ok
}

// Configurations returns how many configurations the guest knows.
func (g *Guest) Configurations() int { return len(g.kept) }

// Configure gives the guest a configuration. A *abi.ConfigError leaves it usable.
func (g *Guest) Configure(cfg *abi.Config) error {
	g.phase, g.cfg, g.configFeatures = phaseConfigure, cfg, 0
	g.failed, g.failure = false, ""
	g.stack[0] = uint64(cfg.ID)
	if err := g.configure.CallWithStack(g, g.stack[:]); err != nil {
		return fmt.Errorf("%s: %w", exportConfigure, err)
	}
	if uint32(g.stack[0]) != 0 || g.failed {
		if g.failure == "" {
			g.failure = "it does not say why"
		}
		return &abi.ConfigError{Reason: g.failure}
	}
	g.kept[cfg.ID] = g.configFeatures
	return nil
}

// Needs tells what the guest enabled for a configuration that it knows.
func (g *Guest) Needs(id uint32) exchange.Needs {
	var n exchange.Needs
	f := g.features(id)
	if f&featureBufferRequest != 0 {
		n.Request = exchange.NeedWhole
	}
	if f&featureBufferResponse != 0 {
		n.Response = exchange.NeedWhole
	}
	return n
}

func (g *Guest) features(id uint32) uint32 { return g.startFeatures | g.kept[id] }

// Request runs the request side. Wanted tells whether the guest wants to see
// the response: then the same guest must get it, or End.
func (g *Guest) Request(x *exchange.Exchange, s *Session, cfg *abi.Config) (v exchange.Verdict, wanted bool, err error) {
	s.start(g.features(cfg.ID))
	g.enter(phaseRequest, x, s, cfg)
	defer g.leave()
	if err := g.request.CallWithStack(g, g.stack[:]); err != nil {
		return exchange.Fail, false, err
	}
	if g.failed {
		return exchange.Fail, false, &abi.FailError{Reason: g.failure}
	}
	next := uint32(g.stack[0])
	if next&nextBit == 0 && (g.configure != nil || next == 0) {
		s.reply(x)
		return exchange.Reply, false, nil
	}
	s.context = uint32(g.stack[0] >> 32)
	s.finishRequest(x)
	return exchange.Continue, g.stays(x, s, cfg, next), nil
}

// stays notes what the guest wants to see of the exchange besides the request, and
// reports whether that is anything.
func (g *Guest) stays(x *exchange.Exchange, s *Session, cfg *abi.Config, next uint32) bool {
	if g.configure == nil {
		s.handled = true
		return true
	}
	request := next&requestChunkBit != 0 && g.chunkOf[0] != nil
	s.chunked = next&responseChunkBit != 0 && g.chunkOf[1] != nil
	s.handled, s.asked = next&noResponseBit == 0, request || s.chunked
	if request && x.Request.Body != nil {
		s.chunks[0] = g.through(x, s, cfg, &x.Request.Message, phaseRequestChunk)
	}
	return s.handled || s.asked
}

// Response runs the response side of an exchange whose Request wanted it.
func (g *Guest) Response(x *exchange.Exchange, s *Session, cfg *abi.Config) error {
	if s.handled {
		if err := g.handleResponse(x, s, cfg); err != nil {
			return err
		}
	}
	r := &x.Response
	if s.chunked && r.Body != nil && x.Request.Method != "HEAD" && r.Status != 101 && r.Status != 204 && r.Status != 304 {
		s.chunks[1] = g.through(x, s, cfg, &r.Message, phaseResponseChunk)
	}
	// The request may still be on its way.
	x.Attached = x.Attached || s.chunks[0] != nil || s.chunks[1] != nil
	return nil
}

func (g *Guest) handleResponse(x *exchange.Exchange, s *Session, cfg *abi.Config) error {
	g.enter(phaseResponse, x, s, cfg)
	defer g.leave()
	g.stack[0], g.stack[1] = uint64(s.context), 0
	if err := g.response.CallWithStack(g, g.stack[:]); err != nil {
		return err
	}
	if g.failed {
		return &abi.FailError{Reason: g.failure}
	}
	s.finishResponse(x)
	return nil
}

// End tells a guest that an exchange ended whose response it did not see.
func (g *Guest) End(s *Session, cfg *abi.Config) error {
	if g.done == nil {
		return nil
	}
	g.enter(phaseDone, nil, s, cfg)
	defer g.leave()
	g.stack[0] = uint64(s.context)
	return g.done.CallWithStack(g, g.stack[:])
}

func (g *Guest) enter(p phase, x *exchange.Exchange, s *Session, cfg *abi.Config) {
	g.phase, g.x, g.s, g.cfg = p, x, s, cfg
	g.failed, g.failure = false, ""
}

func (g *Guest) leave() {
	g.x, g.s, g.failure, g.fetched, g.many, g.chunk = nil, nil, "", nil, nil, chunk{}
}
