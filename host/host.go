package host

import (
	"context"

	"github.com/headgate/headgate/runtime/exchange"
)

// Host owns the WebAssembly runtime, what is compiled for it and all instances.
type Host struct{ opts Options }

// New makes a host. Close ends it.
func New(ctx context.Context, o Options) (*Host, error) { return &Host{opts: o}, nil }

// Close ends all plugins.
func (h *Host) Close(ctx context.Context) error { return nil }

// Plugin loads a module and creates its first instance.
func (h *Host) Plugin(ctx context.Context, s Spec) (*Plugin, error) { return nil, ErrClosed }

// Plugin is one use of a loaded module.
type Plugin struct{}

// Filter makes a filter of the plugin with a configuration.
func (p *Plugin) Filter(ctx context.Context, config []byte) (exchange.Filter, error) {
	return nil, ErrClosed
}

// Close gives the plugin and all its filters back.
func (p *Plugin) Close() {}

// Schema returns the JSON Schema of the module's configuration, or nil.
func (p *Plugin) Schema() []byte { return nil }
