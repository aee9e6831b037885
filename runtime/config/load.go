package config

import (
	"path/filepath"

	"github.com/zclconf/go-cty/cty"

	"github.com/headgate/headgate/runtime/router"
)

// Config is a configuration as it was written: evaluated, checked, with
// defaults filled in, and compiled where it has request-time expressions. It is
// immutable.
type Config struct {
	Gateway      Gateway
	Listeners    []*Listener
	Certificates []*Certificate
	Upstreams    []*Upstream
	Plugins      []*Plugin
	Policies     []*Policy
	Chains       []*Chain
	Routes       []*Route

	chains map[string]*Chain
	watch  []string
	table  *router.Table // of Routes, in their order
	units  []*unit
	values digest               // of variables and local values
	base   map[string]cty.Value // these values
	source Source
	// diags has the sources, and no diagnostics: what Build reports points into
	// them.
	diags    Diagnostics
	warnings *Diagnostics // of the load
}

// Watch returns the directories and files whose change may change the
// configuration.
func (c *Config) Watch() []string { return c.watch }

// Apart returns files whose changes are none of the configuration, wherever they
// are: logs of the gateway's own, and lists of endpoints, which are watched by
// those who read them.
func (c *Config) Apart() map[string]bool {
	out := map[string]bool{}
	if a := c.Gateway.AccessLog; a != nil {
		out[filepath.Clean(a.Path)] = true
	}
	for _, p := range c.Policies {
		if p.DecisionLog != nil {
			out[filepath.Clean(p.DecisionLog.Path)] = true
		}
	}
	for _, u := range c.Upstreams {
		if u.Discovery != nil && u.Discovery.File != "" {
			out[filepath.Clean(u.Discovery.File)] = true
		}
	}
	return out
}

// loader holds what one Load knows so far: of the whole configuration, or of one
// file of it.
type loader struct {
	src   Source
	diags *Diagnostics
	cfg   *Config

	// partial is set if a file could not be understood: a name that nothing
	// declares may well be declared there.
	partial bool
	// failed is set in the loader of a file if something was reported before it:
	// what seems to be missing may be that.
	failed bool
	// readsEnv is set if something of the environment was asked for.
	readsEnv bool

	functions *functions
	vars      map[string]*variable
	locals    map[string]*local
	// base holds the values of var and local for every scope.
	base map[string]cty.Value
	// heavy are those that are large, and taken is what large values take
	// together, in bytes; made is how many blocks for_each has made.
	heavy   heavy
	taken   int
	made    int
	names   map[string]map[string]*entry // by kind and label
	watched map[string]bool
}

// Load reads, evaluates and checks a configuration. It opens the files that the
// configuration names, and nothing else. The Config is nil if there is an error.
func Load(src Source) (*Config, *Diagnostics) {
	l := newLoader(src)
	return l.load(l.units())
}

func newLoader(src Source) *loader {
	return &loader{
		src: src, diags: &Diagnostics{}, cfg: &Config{},
		functions: newFunctions(),
		vars:      map[string]*variable{}, locals: map[string]*local{},
		base:    map[string]cty.Value{},
		heavy:   heavy{},
		names:   map[string]map[string]*entry{},
		watched: map[string]bool{},
	}
}

// load makes a configuration of units that were not looked into yet.
func (l *loader) load(units []*unit) (*Config, *Diagnostics) {
	l.evaluate(units)
	l.decodeUnits(units)
	l.merge(units)
	l.checkReferences()
	l.checkListeners()
	l.checkTLS()
	l.checkChains()
	l.checkRoutes()

	c := l.cfg
	l.src.Previous = nil // what is compiled may hold l, and must not hold its ancestors
	c.base, c.source = l.base, l.src
	c.diags = Diagnostics{files: l.diags.files, secret: l.diags.secret}
	for w := range l.watched {
		c.watch = append(c.watch, w)
	}
	sortStrings(c.watch)
	if l.diags.HasErrors() {
		return nil, l.diags
	}
	c.warnings = l.diags
	return c, l.diags
}

// unsure reports whether something was reported already: what seems to be
// missing may be that.
func (l *loader) unsure() bool { return l.failed || l.diags.HasErrors() }

// rootBlocks returns the blocks of one file. Those that hold a syntax error are
// left out: what is missing in them was reported already.
func (l *loader) rootBlocks(f *file) []block {
	content, diags := f.body.Content(rootSchema)
	l.diags.append(diags)
	s := l.fileScope(f)
	var out []block
next:
	for _, b := range content.Blocks {
		whole := bodyRange(b)
		for _, r := range f.broken {
			if r.Start.Byte >= whole.Start.Byte && r.Start.Byte <= whole.End.Byte {
				continue next
			}
		}
		out = append(out, block{Block: b, scope: s})
	}
	return out
}

func (l *loader) watch(path string) { l.watched[filepath.Clean(path)] = true }

// resolve makes path, as written in the file of s, a path to open.
func (s *scope) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(s.file.dir, path)
}
