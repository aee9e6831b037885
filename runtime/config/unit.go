package config

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// unit is one file of a configuration. Files are decoded side by side, and what
// one says is taken over by the next load if nothing that it depends on has
// changed: a reload costs what changed, not what there is. It is immutable once
// it is decoded.
type unit struct {
	name  string
	stamp stamp
	src   []byte

	file   *file   // nil until it is parsed, and again when it is decoded
	loader *loader // of this file alone; nil when it is decoded

	decoded  bool
	said     *Config // the lists of what its blocks are
	declared []*entry
	diags    *Diagnostics
	watched  map[string]bool
	// partial is set if not all of it was understood.
	partial bool
	// pure is set if all of it was, and it depends on its bytes, variables and
	// local values alone, and defines none.
	pure bool
}

// stamp tells whether a file is still the one that was read.
type stamp struct {
	info fs.FileInfo
	read time.Time
}

// settled is how long before it was read a file must have been written last, so
// that every later change shows in its times.
const settled = 2 * time.Second

func (s stamp) holds(now fs.FileInfo) bool {
	then := s.info
	return then != nil && os.SameFile(then, now) && then.Size() == now.Size() && then.ModTime().Equal(now.ModTime()) &&
		s.read.Sub(then.ModTime()) > settled
}

// units returns the files of the configuration, taken over from the previous one
// where they are the same.
func (l *loader) units() []*unit {
	before := map[string]*unit{}
	if p := l.src.Previous; p != nil {
		for _, u := range p.units {
			if u.pure {
				before[u.name] = u
			}
		}
	}
	var out []*unit
	for _, f := range l.discover(l.src.Paths) {
		u := before[f.name]
		if u == nil || !u.stamp.holds(f.info) {
			u = &unit{name: f.name, stamp: stamp{f.info, time.Now()}}
		}
		out = append(out, u)
	}
	return out
}

// evaluate finds the values of variables and locals, and reads the gateway
// block: all that other files depend on. Units whose values are others now are
// replaced.
func (l *loader) evaluate(units []*unit) {
	l.parallel(units, func(u *unit) {
		if u.decoded {
			return
		}
		u.begin(l)
		if u.src == nil && !u.open() {
			return
		}
		if u.mayDefine() {
			u.parse()
		}
	})
	var blocks []block
	for _, u := range units {
		l.partial = l.partial || u.partial
		if u.file != nil {
			blocks = append(blocks, l.rootBlocks(u.file)...)
		}
	}
	l.declareVariables(blocks)
	l.declareLocals(blocks)
	l.evaluateLocals()
	l.decodeGateway(blocks)

	if l.cfg.values = l.valuesDigest(); l.src.Previous == nil || l.cfg.values == l.src.Previous.values {
		return
	}
	for i, u := range units {
		if u.decoded {
			units[i] = &unit{name: u.name, stamp: u.stamp, src: u.src}
			units[i].begin(l)
		}
	}
}

// begin gives u a loader of its own, which reports to u and sees the values of
// l.
func (u *unit) begin(l *loader) {
	u.said, u.diags, u.watched = &Config{}, &Diagnostics{}, map[string]bool{}
	src := l.src
	src.Previous = nil
	u.loader = &loader{
		src: src, diags: u.diags, cfg: u.said, functions: l.functions.forFile(),
		vars: l.vars, locals: l.locals, base: l.base, heavy: l.heavy, watched: u.watched,
		names: map[string]map[string]*entry{},
	}
}

func (u *unit) open() bool {
	src, err := readFile(u.name)
	if err != nil {
		u.loader.unreadable(u.name, reason(err))
		u.partial = true
		return false
	}
	u.src = src
	return true
}

// mayDefine reports whether the file may have a block that others depend on. In
// JSON a name can be written in many ways.
func (u *unit) mayDefine() bool {
	if strings.HasSuffix(u.name, ".json") {
		return true
	}
	for _, word := range []string{"variable", "locals", "gateway"} {
		if bytes.Contains(u.src, []byte(word)) {
			return true
		}
	}
	return false
}

func (u *unit) parse() {
	u.file = u.loader.parse(u.name, u.src)
	u.partial = u.partial || u.loader.partial
}

// decode reads every block of u.
func (u *unit) decode(l *loader) {
	own := u.loader
	own.partial, own.failed = l.partial, l.diags.HasErrors()
	if u.src != nil && u.file == nil && !u.partial {
		u.parse()
	}
	defines := false
	if u.file != nil {
		blocks := own.rootBlocks(u.file)
		for _, b := range blocks {
			defines = defines || b.Type == "variable" || b.Type == "locals" || b.Type == "gateway"
		}
		var instances []block
		u.declared, instances = own.declare(blocks)
		for _, b := range instances {
			own.decodeInstance(b)
		}
	}
	u.decoded, u.file, u.loader = true, nil, nil
	u.pure = !defines && !u.partial && !own.readsEnv && len(u.watched) == 0 && !u.diags.HasErrors()
}

// merge puts what the units say together.
func (l *loader) merge(units []*unit) {
	l.cfg.units = units
	for _, u := range units {
		l.diags.file(u.name, u.src)
		l.diags.Merge(u.diags)
		l.partial = l.partial || u.partial
		for w := range u.watched {
			l.watched[w] = true
		}
		for _, e := range u.declared {
			l.name(e)
		}
		c, s := l.cfg, u.said
		c.Listeners = append(c.Listeners, s.Listeners...)
		c.Certificates = append(c.Certificates, s.Certificates...)
		c.Upstreams = append(c.Upstreams, s.Upstreams...)
		c.Plugins = append(c.Plugins, s.Plugins...)
		c.Policies = append(c.Policies, s.Policies...)
		c.Chains = append(c.Chains, s.Chains...)
		c.Routes = append(c.Routes, s.Routes...)
	}
}

// decodeUnits decodes the units that were not taken over.
func (l *loader) decodeUnits(units []*unit) {
	l.parallel(units, func(u *unit) {
		if !u.decoded {
			u.decode(l)
		}
	})
}

// parallel runs f for every unit on all processors. A panic, which is a bug in
// what evaluates the file, is an error of the file.
func (l *loader) parallel(units []*unit, f func(*unit)) {
	var next atomic.Int64
	var done sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(units)) {
		done.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(units) {
					return
				}
				guarded(units[i], f)
			}
		})
	}
	done.Wait()
}

func guarded(u *unit, f func(*unit)) {
	defer func() {
		if r := recover(); r != nil {
			u.diags.errorf(hcl.Range{Filename: u.name, Start: hcl.InitialPos, End: hcl.InitialPos}, "Internal error",
				"This file can't be used because of a bug of the gateway; please report it: %v\n%s", r, debug.Stack())
			u.partial, u.decoded, u.file, u.loader = true, true, nil, nil
		}
	}()
	f(u)
}

type digest [sha256.Size]byte

// valuesDigest tells whether variables and local values are the same.
func (l *loader) valuesDigest() digest {
	h := sha256.New()
	for _, root := range []string{"var", "local"} {
		v := l.base[root]
		bare, marks := v.UnmarkDeepWithPaths()
		if !bare.IsWhollyKnown() {
			continue // there was an error
		}
		ty, err := ctyjson.MarshalType(bare.Type())
		text, err2 := ctyjson.Marshal(bare, cty.DynamicPseudoType)
		if err != nil || err2 != nil {
			// Nothing that a configuration can hold; never the same as another.
			text = fmt.Appendf(nil, "%d", time.Now().UnixNano())
		}
		fmt.Fprintf(h, "%s %d %s %d %s ", root, len(ty), ty, len(text), text)
		for _, m := range marks {
			fmt.Fprintf(h, "%#v ", m.Path)
		}
	}
	return digest(h.Sum(nil))
}
