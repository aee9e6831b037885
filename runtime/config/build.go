package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/headgate/headgate/host"
	"github.com/headgate/headgate/host/builtin"
	"github.com/headgate/headgate/host/source"
	"github.com/headgate/headgate/policies"
	"github.com/headgate/headgate/runtime/certs"
	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
	"github.com/headgate/headgate/runtime/listen"
	"github.com/headgate/headgate/runtime/proxy"
	"github.com/headgate/headgate/runtime/telemetry"
	"github.com/headgate/headgate/runtime/upstream"
)

// Deps are what outlives a generation.
type Deps struct {
	Upstreams    *upstream.Registry
	Certificates *certs.Store
	Host         *host.Host
	// Modules has the plugins that come over the network.
	Modules *source.Store
	// Policies has those of the last configuration.
	Policies *policies.Store
	Metrics  *telemetry.Metrics
	Log      *slog.Logger
	// Stdout and Stderr take access and decision logs; nil is the process's.
	Stdout, Stderr io.Writer
	// Check builds only to see whether it can be done: no name is looked up and no
	// endpoint asked for its health, and log files are not opened,
	// since that would make them.
	Check bool
	// Starting is set as long as there is no configuration in force that could
	// stay: what comes over the network may then come later.
	Starting bool
}

// Generation is a configuration that can be served.
type Generation struct {
	Table     *proxy.Table
	Listeners []listen.Spec
	Config    *Config

	clusters map[string]*upstream.Cluster // of fetches
	closers  []func()
}

// Summary counts what a configuration has.
type Summary struct {
	Listeners, Upstreams, Plugins, Policies, Chains, Routes int
}

// Summary counts what the generation has.
func (g *Generation) Summary() *Summary {
	c := g.Config
	return &Summary{len(c.Listeners), len(c.Upstreams), len(c.Plugins), len(c.Policies), len(c.Chains), len(c.Routes)}
}

// Close gives plugins, policies and clusters back. The chains of the table must
// have ended: no exchange uses the generation any more.
func (g *Generation) Close() {
	for _, f := range slices.Backward(g.closers) {
		f()
	}
	g.closers = nil
}

// builder is the work of one Build.
type builder struct {
	ctx   context.Context
	c     *Config
	d     Deps
	diags *Diagnostics
	gen   *Generation

	plugins  map[string]*host.Plugin // by name
	builtins map[string]*host.Plugin
	policies map[string]*policies.Policy
	clusters map[string]*upstream.Cluster
	certs    map[string]*certs.Certificate
	servers  map[string]*certs.Server // by listener
	// filters are shared by the routes that use the same chain, and empty is the
	// chain of those that use none.
	filters map[*Filter]exchange.Filter
	empty   *proxy.Chain
}

// Build compiles plugins and policies and makes everything that serves c. It
// binds no socket. After an error nothing is left of it.
func Build(ctx context.Context, c *Config, d Deps) (*Generation, *Diagnostics) {
	if d.Stdout == nil {
		d.Stdout = os.Stdout
	}
	if d.Stderr == nil {
		d.Stderr = os.Stderr
	}
	b := &builder{
		ctx: ctx, c: c, d: d, gen: &Generation{Config: c},
		diags:    &Diagnostics{files: c.diags.files, secret: c.diags.secret},
		plugins:  map[string]*host.Plugin{},
		builtins: map[string]*host.Plugin{},
		policies: map[string]*policies.Policy{},
		clusters: map[string]*upstream.Cluster{},
		certs:    map[string]*certs.Certificate{},
		servers:  map[string]*certs.Server{},
		filters:  map[*Filter]exchange.Filter{},
		empty:    proxy.NewChain(nil),
	}
	for _, p := range c.Plugins {
		b.plugin(p)
	}
	for _, p := range c.Policies {
		b.policy(p)
	}
	for _, u := range c.Upstreams {
		b.cluster(u)
	}
	b.origins()
	b.discover()
	b.certificates()
	b.table()
	if b.diags.HasErrors() {
		b.gen.Close()
		return nil, b.diags
	}
	b.listeners()
	warnings := &Diagnostics{}
	warnings.Merge(c.warnings)
	warnings.Merge(b.diags)
	return b.gen, warnings
}

// onClose runs f when the generation goes, or when the build fails.
func (b *builder) onClose(f func()) { b.gen.closers = append(b.gen.closers, f) }

func (b *builder) plugin(p *Plugin) {
	wasm, ok := b.module(p)
	if !ok {
		return
	}
	made, err := b.d.Host.Plugin(b.ctx, host.Spec{
		Name: p.Name, Wasm: wasm, Filter: p.Filter, VMConfig: p.VMConfig, Concurrency: p.Concurrency,
		Memory: p.Limits.Memory, CPU: p.Limits.CPU, Deadline: p.Limits.Deadline, StartCPU: p.Limits.StartCPU,
		Instances: p.Limits.Instances, HeadersRead: p.HeadersRead, HeadersWrite: p.HeadersWrite, Env: p.Env, Fetch: p.fetches(), Namespaces: p.Namespaces,
		Auth: p.Auth, Call: p.calls(),
	})
	if err != nil {
		summary := "Plugin does not start"
		var module *host.ModuleError
		if errors.As(err, &module) {
			summary = "Invalid module"
		}
		b.diags.errorf(p.SourceRange, summary, "The plugin %q can't be used: %s.", p.Name, err)
		return
	}
	b.plugins[p.Name] = made
	b.onClose(made.Close)
}

// fetches are the grants of a plugin as its requests name them.
func (p *Plugin) fetches() (list []string) {
	for _, r := range p.FetchUpstreams {
		list = append(list, "upstream://"+r.ID)
	}
	for _, o := range p.FetchOrigins {
		list = append(list, o.Text)
	}
	return list
}

// calls are the names whose published data a plugin may read.
func (p *Plugin) calls() (list []string) {
	for _, r := range slices.Concat(p.CallPlugins, p.CallPolicies) {
		list = append(list, r.ID)
	}
	return list
}

// origins makes the clusters of what plugins fetch from without an upstream block.
func (b *builder) origins() {
	b.gen.clusters = map[string]*upstream.Cluster{}
	for _, p := range b.c.Plugins {
		for _, o := range p.FetchOrigins {
			if b.gen.clusters[o.Text] == nil {
				made := b.d.Upstreams.Cluster(o.Config())
				b.gen.clusters[o.Text] = made
				b.onClose(made.Close)
			}
		}
	}
	for name, c := range b.clusters {
		b.gen.clusters["upstream://"+name] = c
	}
}

// Cluster returns where a fetch of a plugin goes: upstream://NAME or an origin. It
// is nil if there is none.
func (g *Generation) Cluster(to string) *upstream.Cluster { return g.clusters[to] }

// module reads the module of a plugin, or gets it.
func (b *builder) module(p *Plugin) ([]byte, bool) {
	if p.Remote != nil {
		wasm, err := b.d.Modules.Module(b.ctx, *p.Remote)
		if errors.Is(err, source.ErrOffline) {
			b.diags.warnf(p.SourceRange, "Not checked", "The plugin %q comes from the network, and is not kept on this machine. Its filters are not checked without -online.", p.Name)
		} else if err != nil {
			b.diags.errorf(p.SourceRange, "No module", "plugin.source: %s can't be had: %s.", p.Remote.Text, err)
		}
		return wasm, err == nil
	}
	wasm, err := readModule(p.Path)
	if err != nil {
		b.diags.errorf(p.SourceRange, "Unreadable file", "plugin.source: %s can't be read: %s.", p.Path, reason(err))
		return nil, false
	}
	if p.SHA256 != "" {
		if sum := sha256.Sum256(wasm); hex.EncodeToString(sum[:]) != p.SHA256 {
			b.diags.errorf(p.SumRange, "Wrong digest", "The SHA-256 of %s is %x. If this is the module that you mean, write it here.", p.Path, sum)
			return nil, false
		}
	}
	return wasm, true
}

// maxModule bounds a WebAssembly module.
const maxModule = 256 << 20

func readModule(path string) ([]byte, error) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case st.Size() > maxModule:
		return nil, fmt.Errorf("it is larger than %d MiB", maxModule>>20)
	}
	return os.ReadFile(path)
}

// BuiltinPlugin is the name under which the built-in filters, which are one
// module and share its instances, appear in metrics and in the log.
const BuiltinPlugin = "builtin"

// builtinConcurrency is the number of exchanges inside one of those instances.
// We know our own filters not to trap.
const builtinConcurrency = 64

// builtin returns the plugin of a built-in filter.
func (b *builder) builtin(f *Filter) *host.Plugin {
	if p, ok := b.builtins[f.Label]; ok {
		return p
	}
	b.builtins[f.Label] = nil
	wasm, ok := builtin.Module()
	if !ok {
		b.diags.errorf(f.LabelRange, "Built-in filter missing", "This binary was built without the built-in filters, so %q can't be used. make build makes one that has them.", f.Label)
		return nil
	}
	p, err := b.d.Host.Plugin(b.ctx, host.Spec{
		Name: BuiltinPlugin, Wasm: wasm, Filter: f.Label, Concurrency: builtinConcurrency,
		HeadersRead: []string{"*"}, HeadersWrite: []string{"*"},
	})
	if err != nil {
		b.diags.errorf(f.LabelRange, "Built-in filter does not start", "The filter %q can't be used: %s.", f.Label, err)
		return nil
	}
	b.builtins[f.Label] = p
	b.onClose(p.Close)
	return p
}

func (b *builder) cluster(u *Upstream) {
	c := upstream.Config{
		Name: u.Name, Balance: u.Balance, ConnectTimeout: u.ConnectTimeout, Timeout: u.Timeout,
		IdleTimeout: u.IdleTimeout, MaxIdle: u.MaxIdle, HTTP2: u.HTTP2, Auto: u.Auto, TLS: u.TLS, ProxyProtocol: u.ProxyProtocol,
		Prefer: u.Prefer, SlowStart: u.SlowStart, Affinity: u.Affinity, HealthCheck: u.HealthCheck, Outliers: u.Outliers, Breaker: u.Breaker, Retry: u.Retry, Discovery: u.Discovery,
	}
	if u.HashOn != nil {
		c.HashOn = u.HashOn.Eval
	}
	for _, e := range u.Endpoints {
		c.Endpoints = append(c.Endpoints, upstream.EndpointConfig{Address: e.Address, Weight: e.Weight, Labels: e.Labels})
	}
	if b.d.Check {
		c.Discovery, c.HealthCheck = nil, nil // they ask the network
	}
	made := b.d.Upstreams.Cluster(c)
	b.clusters[u.Name] = made
	b.onClose(made.Close)
}

// discoverWait is how long a generation waits for its first endpoints. Sources
// that are slower don't hold it up.
const discoverWait = time.Second

func (b *builder) discover() {
	ctx, cancel := context.WithTimeout(b.ctx, discoverWait)
	defer cancel()
	b.d.Upstreams.Await(ctx)
}

func (b *builder) listeners() {
	g := &b.c.Gateway
	for _, l := range b.c.Listeners {
		b.gen.Listeners = append(b.gen.Listeners, listen.Spec{
			Name: l.Name, Address: l.Address, HTTP1: l.HTTP1, H2C: l.H2C, HTTP3: l.HTTP3,
			ProxyProtocol: l.ProxyProtocol, TrustedProxies: g.TrustedProxies, Stream: b.stream(l.TCP),
			TLS: b.servers[l.Name], ForwardClientCert: l.TLS != nil && l.TLS.ClientAuth.Forward, GRPCWeb: l.GRPCWeb,
			Limits:   http1.Limits{MaxHeaderBytes: int(g.Limits.MaxHeaderBytes), MaxHeaders: g.Limits.MaxHeaders},
			Timeouts: http1.Timeouts{Header: l.Timeouts.Header, Idle: l.Timeouts.Idle, StreamIdle: l.Timeouts.StreamIdle},
		})
	}
}

// stream makes what serves a TCP listener, nil without one.
func (b *builder) stream(t *TCP) listen.Stream {
	if t == nil {
		return nil
	}
	var fallback *upstream.Cluster
	if t.Upstream != nil {
		fallback = b.clusters[t.Upstream.ID]
	}
	names := map[string]*upstream.Cluster{}
	for _, n := range t.Names {
		names[n.Name] = b.clusters[n.Upstream.ID]
	}
	return proxy.NewStream(fallback, names)
}

func (b *builder) table() {
	g := &b.c.Gateway
	t := &proxy.Table{Router: b.c.table, Settings: proxy.Settings{
		TrustedProxies: g.TrustedProxies, RequestID: g.RequestID, MaxBody: g.Limits.MaxBody, MaxRequests: g.Limits.MaxRequests,
		DebugHeader: g.DebugHeader, Memory: exchange.NewBudget(g.BodyMemory),
	}}
	b.gen.Table = t
	for _, c := range b.c.Certificates {
		if c.ACME != nil && c.ACME.Challenge == certs.ChallengeHTTP {
			t.Challenge = b.d.Certificates.ChallengeHTTP
		}
	}
	if a := g.AccessLog; a != nil && b.d.Check {
		b.checkLogFile(a.Path, a.Range)
	} else if a != nil {
		log, err := telemetry.OpenAccessLog(a.Path, a.Format, a.Template.eval(), b.d.Stdout, b.d.Stderr)
		if err != nil {
			b.diags.errorf(a.Range, "Unusable access log", "%s can't be written: %s.", a.Path, reason(err))
		} else {
			t.AccessLog = log
			b.onClose(func() { _ = log.Close() })
		}
	}
	for _, r := range b.c.Routes {
		t.Routes = append(t.Routes, b.route(r))
	}
}

// checkLogFile reports that a log could not be written, without making it.
func (b *builder) checkLogFile(path string, at hcl.Range) {
	if path == "stdout" || path == "stderr" {
		return
	}
	dir := filepath.Dir(path)
	if f, err := os.Stat(dir); err != nil || !f.IsDir() {
		b.diags.errorf(at, "Unusable access log", "%s can't be written: there is no directory %s.", path, dir)
	} else if f, err := os.Stat(path); err == nil && f.IsDir() {
		b.diags.errorf(at, "Unusable access log", "%s can't be written: it is a directory.", path)
	}
}

func (b *builder) route(r *Route) *proxy.Route {
	out := &proxy.Route{
		Name: r.Name, Timeout: r.Timeout, Buffer: r.Buffer, Chain: b.chain(r),
		RequestHeaders: headerEdits(r.RequestHeaders), ResponseHeaders: headerEdits(r.ResponseHeaders),
	}
	if b.d.Metrics != nil {
		out.Metrics = b.d.Metrics.Route(r.Name)
	}
	switch r.MaxBody {
	case -1: // the gateway's
	case 0:
		out.MaxBody = math.MaxInt64
	default:
		out.MaxBody = r.MaxBody
	}
	for _, t := range r.Split {
		out.Split = append(out.Split, proxy.Target{Cluster: b.clusters[t.Upstream.ID], Weight: t.Weight})
	}
	if m := r.Mirror; m != nil {
		out.Mirror = &proxy.Mirror{Cluster: b.clusters[m.Upstream.ID], Percent: m.Percent}
	}
	if d := r.Redirect; d != nil {
		out.Redirect = &proxy.Redirect{URL: d.URL.Eval, Status: d.Status}
	}
	if d := r.Respond; d != nil {
		out.Respond = &proxy.Respond{Status: d.Status, Body: d.Body.eval(), Headers: headerEdits(d.Headers)}
		if out.Respond.Body == nil {
			out.Respond.Body = constant(exchange.Text("")).eval
		}
	}
	if w := r.Rewrite; w != nil {
		out.Rewrite = &proxy.Rewrite{Path: w.Path.eval(), Host: w.Host.eval()}
		for _, q := range w.Query {
			out.Rewrite.Query = append(out.Rewrite.Query, proxy.QueryEdit{Name: q.Name, Value: q.Value.Eval})
		}
	}
	if lateBody(r.ResponseHeaders) {
		out.RequestHeaders = append(out.RequestHeaders, readBodyEdit(r.Buffer))
	}
	return out
}

// lateBody reports whether the body is looked at after it was forwarded.
func lateBody(edits []HeaderEdit) bool {
	return slices.ContainsFunc(edits, func(e HeaderEdit) bool { return e.Value != nil && e.Value.Body })
}

// readBodyEdit is an edit that changes nothing, and reads the body ahead while
// it is still there, for the expressions that want it later.
func readBodyEdit(buffer int64) proxy.HeaderEdit {
	return proxy.HeaderEdit{Op: proxy.Add, Name: "x-headgate", Value: func(x *exchange.Exchange) (exchange.Value, error) {
		return exchange.Value{}, x.ReadAhead(&x.Request.Message, buffer)
	}}
}

// IsSensitive reports whether the expression, if there is one, has a sensitive
// value in it.
func (e *Expr) IsSensitive() bool { return e != nil && e.Sensitive }

// eval is e's closure, nil without an expression.
func (e *Expr) eval() exchange.Expr {
	if e == nil {
		return nil
	}
	return e.Eval
}

func headerEdits(list []HeaderEdit) []proxy.HeaderEdit {
	var out []proxy.HeaderEdit
	for _, e := range list {
		op := map[string]proxy.EditOp{"set": proxy.Set, "add": proxy.Add, "remove": proxy.Remove}[e.Op]
		out = append(out, proxy.HeaderEdit{Op: op, Name: e.Name, Value: e.Value.eval()})
	}
	return out
}
