package host

import (
	"context"
	"slices"
	"sync"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// Plugin is one use of a loaded module. It is closed after the last exchange in
// one of its filters ended.
type Plugin struct {
	host   *Host
	module *module
	spec   Spec
	shared *pool // of a module that takes many configurations, else nil

	mu      sync.Mutex
	configs []*config // held in shared
	pools   []*pool   // one per configuration of a module that takes one
	closed  bool
}

// TakesValues reports whether the plugin can evaluate request-time expressions.
func (p *Plugin) TakesValues() bool { return p.module.values && p.shared != nil }

// Filter makes a filter of the plugin with a configuration, which refers to values
// by index. A configuration that the plugin refuses is a *abi.ConfigError.
func (p *Plugin) Filter(ctx context.Context, text []byte, values ...abi.Value) (exchange.Filter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	pool := p.shared
	var cfg *config
	if pool != nil {
		cfg = pool.configure(p.spec.Filter, text, values)
		p.configs = append(p.configs, cfg)
	} else {
		var err error
		only := &config{Config: abi.Config{ID: 1, Filter: p.spec.Filter, Bytes: slices.Clone(text)}, refs: 1}
		if pool, err = p.host.pool(ctx, p.spec, p.module, only); err != nil {
			return nil, err
		}
		p.pools = append(p.pools, pool)
		cfg = pool.only
	}
	f, err := pool.newFilter(ctx, cfg)
	if err != nil {
		return nil, err // what it took is given back by Close
	}
	return f, nil
}

// Close gives the plugin and all its filters back.
func (p *Plugin) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	for _, c := range p.configs {
		p.shared.forget(c)
	}
	if p.shared != nil {
		p.host.unref(p.shared)
	}
	for _, pool := range p.pools {
		p.host.unref(pool)
	}
	p.module.release()
}

// Schema returns the JSON Schema of the module's configuration, or nil.
func (p *Plugin) Schema() []byte { return p.module.schema }
