package gateway

import (
	"context"
	"path/filepath"

	"github.com/headgate/headgate/host/source"
	"github.com/headgate/headgate/runtime/config"
)

// Pulled is a plugin whose module came over the network, or was there already.
type Pulled struct {
	Plugin  string `json:"plugin"`
	Source  string `json:"source"`
	Changed bool   `json:"changed"`
	Err     error  `json:"-"`
}

// Pull gets the modules that a configuration takes from the network, so that a
// gateway with the same Options.CacheDir starts without one. With update, tags
// are resolved again. A configuration with errors is a *config.Diagnostics.
func Pull(ctx context.Context, o Options, update bool) ([]Pulled, error) {
	cfg, diags := config.Load(o.Source)
	if diags.HasErrors() {
		return nil, diags
	}
	store := source.New(source.Options{Dir: modulesDir(o.CacheDir)})
	var list []Pulled
	for _, p := range cfg.Plugins {
		if p.Remote == nil {
			continue
		}
		done := Pulled{Plugin: p.Name, Source: p.Remote.Text}
		if update {
			done.Changed, done.Err = store.Update(ctx, *p.Remote)
		} else {
			_, done.Err = store.Module(ctx, *p.Remote)
		}
		list = append(list, done)
	}
	return list, nil
}

// modulesDir is where modules are kept.
func modulesDir(cache string) string {
	if cache == "" {
		return ""
	}
	return filepath.Join(cache, "modules")
}
