package config

import (
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
		made, ok := b.filters[f]
		if !ok {
			made = b.filter(f)
			b.filters[f] = made
		}
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

// filter makes one filter, nil if it can't: its plugin or policy was reported,
// or its own configuration is now.
func (b *builder) filter(f *Filter) exchange.Filter {
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
	made, err := p.Filter(b.ctx, f.Config)
	if err != nil {
		b.diags.errorf(f.Range, "Invalid filter configuration", "The filter %q refuses its configuration: %s.", f.Label, err)
		return nil
	}
	return made
}
