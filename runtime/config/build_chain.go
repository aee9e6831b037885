package config

import (
	"github.com/headgate/headgate/host"
	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/proxy"
)

func (b *builder) chain(r *Route) *proxy.Chain {
	list := b.c.filters(r)
	if len(list) == 0 {
		return b.empty
	}
	if len(list) > proxy.MaxSteps {
		b.diags.errorf(r.Range, "Too many filters", "Route %q has %d filters, those of its chains included; at most %d run.", r.Name, len(list), proxy.MaxSteps)
		return nil
	}
	var steps []proxy.Step
	for _, f := range list {
		made := b.filterFor(f, r)
		if made == nil {
			continue
		}
		s := proxy.Step{Name: f.Name, Filter: made, Shadow: f.Shadow, AllowOnError: b.allowOnError(f)}
		if f.When != nil {
			s.When = f.When.Eval
			if f.When.Body {
				s.When = f.whenFor(r.Buffer)
			}
		}
		if b.d.Metrics != nil {
			s.Metrics = b.d.Metrics.Filter(r.Name, f.Name)
		}
		steps = append(steps, s)
	}
	return proxy.NewChain(steps)
}

// allowOnError is what the filter says, or else its plugin or policy.
func (b *builder) allowOnError(f *Filter) bool {
	if f.OnError != "" {
		return f.OnError == "allow"
	}
	switch f.Kind {
	case PluginFilter:
		for _, p := range b.c.Plugins {
			if p.Name == f.Label {
				return p.AllowOnError
			}
		}
	case PolicyFilter:
		for _, p := range b.c.Policies {
			if p.Name == f.Policy.ID {
				return p.AllowOnError
			}
		}
	}
	return false
}

// filterFor returns the filter for a route: routes share it, unless it has
// expressions that read as much of a body as the route buffers.
func (b *builder) filterFor(f *Filter, r *Route) exchange.Filter {
	var values []host.Value
	own := false
	for _, v := range f.Values {
		if v.Body {
			own = true
			values = append(values, host.Value{Eval: v.compile(r.Buffer), Waits: true})
		} else {
			values = append(values, host.Value{Eval: v.Eval})
		}
	}
	made, ok := b.filters[f]
	if !ok || own && made != nil {
		made = b.filter(f, values)
		b.filters[f] = made
	}
	return made
}

// filter makes one filter, nil if it can't: its plugin or policy was reported,
// or its own configuration is now.
func (b *builder) filter(f *Filter, values []host.Value) exchange.Filter {
	if f.Kind == PolicyFilter {
		p := b.policies[f.Policy.ID]
		if p == nil {
			return nil
		}
		return p.Filter(f.Context)
	}
	p := b.plugins[f.Label]
	if f.Kind == BuiltinFilter {
		p = b.builtin(f)
	}
	if p == nil {
		return nil
	}
	if len(values) > 0 && !p.TakesValues() {
		for _, v := range f.Values {
			b.diags.errorf(v.Range, "Request-time value not allowed here", "The filter %q takes only what is known when the configuration is loaded.", f.Label)
		}
		return nil
	}
	made, err := p.Filter(b.ctx, f.Config, values...)
	if err != nil {
		b.diags.errorf(f.Range, "Invalid filter configuration", "The filter %q refuses its configuration: %s.", f.Label, err)
		return nil
	}
	return made
}
