package config

import (
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/headgate/headgate/host/source"
	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/upstream"
)

// Plugin is a plugin block.
type Plugin struct {
	Name string
	// Path is the module's file, resolved; "" if Remote says where it is.
	Path         string
	Remote       *source.Ref
	SHA256       string // lower-case hex, or ""
	Filter       string
	VMConfig     string
	Concurrency  int // 0: as the ABI has it
	AllowOnError bool
	Env          []string
	// FetchUpstreams and FetchOrigins are what allow.fetch names.
	FetchUpstreams []Ref
	Namespaces     []string // of allow.state
	FetchOrigins   []upstream.Origin
	Auth           bool // allow.auth
	// CallPlugins and CallPolicies are what allow.call names.
	CallPlugins, CallPolicies []Ref
	HeadersRead               []string
	HeadersWrite              []string
	Limits                    PluginLimits

	Range, SourceRange, SumRange hcl.Range
}

// PluginLimits bound what a plugin uses.
type PluginLimits struct {
	Memory                  int64
	CPU, Deadline, StartCPU time.Duration
	Instances               int
}

func (l *loader) decodePlugin(b block) {
	s := l.read(b, pluginSchema)
	p := &Plugin{
		Name: b.id, Range: b.DefRange, SourceRange: s.rangeOf("source"), SumRange: s.rangeOf("sha256"),
		HeadersRead: []string{"*"}, HeadersWrite: []string{"*"},
		Limits: PluginLimits{Memory: 32 << 20, CPU: 20 * time.Millisecond, Deadline: 5 * time.Second, StartCPU: 10 * time.Second, Instances: 64},
	}
	if p.Name == "policy" || slices.Contains(builtinNames(), p.Name) {
		l.diags.errorf(b.LabelRanges[0], "Reserved name", "%q is a built-in filter: a plugin needs another name.", p.Name)
	}
	s.pluginSource(p)
	s.digest(p)
	s.publicKey(p)
	s.text("filter", &p.Filter, "name")
	s.text("vm_config", &p.VMConfig, "")
	s.number("concurrency", &p.Concurrency, 1, 10_000)
	p.AllowOnError = s.onError(false)
	if n, ok := s.one("allow"); ok {
		l.decodeAllow(n, p)
	}
	if n, ok := s.one("limits"); ok {
		l.decodePluginLimits(n, p)
	}
	l.cfg.Plugins = append(l.cfg.Plugins, p)
}

func (s *section) pluginSource(p *Plugin) {
	var text string
	if !s.require("source", `"./filter.wasm"`) || !s.text("source", &text, "./filter.wasm") {
		return
	}
	switch {
	case text == "":
		s.l.diags.errorf(p.SourceRange, "Invalid source", "plugin.source is the path of a WebAssembly module. Write for example: source = \"./filter.wasm\"")
	case source.Remote(text):
		r, err := source.Parse(text)
		if err != nil {
			s.l.diags.errorf(p.SourceRange, "Invalid source", "plugin.source: %s.", err)
			return
		}
		p.Remote = &r
	default:
		p.Path = s.scope.resolve(text)
		s.l.watch(p.Path)
		s.mustExist("source", p.SourceRange, p.Path, false)
	}
}

// digest decodes sha256, which a URL needs.
func (s *section) digest(p *Plugin) {
	if s.text("sha256", &p.SHA256, "<64 hex digits>") && p.SHA256 != "" {
		p.SHA256 = strings.ToLower(strings.TrimPrefix(p.SHA256, "sha256:"))
		if sum, err := hex.DecodeString(p.SHA256); err != nil || len(sum) != 32 {
			s.l.diags.errorf(p.SumRange, "Invalid digest", "plugin.sha256 takes 64 hexadecimal digits, as sha256sum prints them.")
			return
		}
	}
	if p.Remote == nil {
		return
	}
	if p.Remote.SHA256 = p.SHA256; p.Remote.URL() && p.SHA256 == "" {
		s.l.diags.errorf(p.SourceRange, "Missing digest", "A plugin from a URL needs plugin.sha256, so that nobody but you decides what runs. Write the 64 hexadecimal digits that sha256sum prints.")
	}
}

// publicKey decodes public_key_file, for images.
func (s *section) publicKey(p *Plugin) {
	var file string
	if !s.text("public_key_file", &file, "cosign.pub") || file == "" {
		return
	}
	rng := s.rangeOf("public_key_file")
	if p.Remote == nil || p.Remote.URL() {
		s.l.diags.errorf(rng, "Nothing to verify", "plugin.public_key_file is for plugins from registries: only images carry signatures.")
		return
	}
	file = s.scope.resolve(file)
	s.l.watch(file)
	if !s.mustExist("public_key_file", rng, file, false) {
		return
	}
	text, err := readFile(file)
	if err != nil {
		s.l.diags.errorf(rng, "Unreadable file", "plugin.public_key_file: %s can't be read: %s.", file, reason(err))
		return
	}
	if p.Remote.Key, err = source.ParseKey(text); err != nil {
		s.l.diags.errorf(rng, "Invalid key", "plugin.public_key_file: %s is no public key: %s.", file, err)
	}
}

// mustExist reports a file that can't be used.
func (s *section) mustExist(name string, rng hcl.Range, path string, dirs bool) bool {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		s.l.diags.errorf(rng, "Unreadable file", "%s: %s can't be read: %s.", s.name+"."+name, path, reason(err))
	case st.IsDir() && !dirs:
		s.l.diags.errorf(rng, "Unreadable file", "%s: %s is a directory.", s.name+"."+name, path)
	case !st.IsDir() && !st.Mode().IsRegular():
		s.l.diags.errorf(rng, "Unreadable file", "%s: %s is not a regular file.", s.name+"."+name, path)
	default:
		return true
	}
	return false
}

// onError decodes on_error: whether a failure is skipped.
func (s *section) onError(inherited bool) (allow bool) {
	v := "deny"
	if inherited {
		v = "allow"
	}
	s.oneOf("on_error", &v, "deny", "allow")
	return v == "allow"
}

// maxNamespace bounds the name of a namespace.
const maxNamespace = 100

func (l *loader) decodeAllow(b block, p *Plugin) {
	s := l.read(b, allowSchema)
	if s.list("state", &p.Namespaces, `["sessions"]`) {
		for i, n := range p.Namespaces {
			if n == "" || len(n) > maxNamespace {
				l.diags.errorf(s.itemRange("state", i), "Invalid namespace", "A namespace has from 1 to %d bytes.", maxNamespace)
			}
		}
	}
	s.fetchGrants(p)
	s.flag("auth", &p.Auth)
	s.callGrants(p)
	s.list("env", &p.Env, `["REGION"]`)
	if n, ok := s.one("headers"); ok {
		h := l.read(n, allowHeadersSchema)
		h.headerList("read", &p.HeadersRead)
		h.headerList("write", &p.HeadersWrite)
	}
}

// fetchGrants decodes allow.fetch: upstreams and origins.
func (s *section) fetchGrants(p *Plugin) {
	a := s.attrs["fetch"]
	if a == nil {
		return
	}
	t, ok := a.expr.(*hclsyntax.TupleConsExpr)
	if !ok {
		s.l.diags.errorf(a.expr.Range(), "Wrong type", "allow.fetch takes a list of upstreams and origins. Write for example: fetch = [upstream.NAME, \"https://idp.example.com\"]")
		return
	}
	for _, e := range t.Exprs {
		text, ok := literal(e)
		if !ok || !strings.Contains(text, "://") {
			if r := s.scope.reference(e, "upstream", "allow.fetch"); r != nil {
				p.FetchUpstreams = append(p.FetchUpstreams, *r)
			}
			continue
		}
		o, err := upstream.ParseOrigin(text)
		if err != nil {
			s.l.diags.errorf(e.Range(), "Invalid origin", "allow.fetch: %s. Write for example: \"https://idp.example.com\"", err)
			continue
		}
		p.FetchOrigins = append(p.FetchOrigins, o)
	}
}

// callGrants decodes allow.call: plugins and policies.
func (s *section) callGrants(p *Plugin) {
	a := s.attrs["call"]
	if a == nil {
		return
	}
	t, ok := a.expr.(*hclsyntax.TupleConsExpr)
	if !ok {
		s.l.diags.errorf(a.expr.Range(), "Wrong type", "allow.call takes a list of plugins and policies. Write for example: call = [plugin.NAME, policy.NAME]")
		return
	}
	for _, e := range t.Exprs {
		kind, refs := "plugin", &p.CallPlugins
		if v := e.Variables(); len(v) == 1 && v[0].RootName() == "policy" {
			kind, refs = "policy", &p.CallPolicies
		}
		if r := s.scope.reference(e, kind, "allow.call"); r != nil {
			*refs = append(*refs, *r)
		}
	}
}

// headerList decodes a list of header names, in which "*" stands for all.
func (s *section) headerList(name string, dst *[]string) {
	var names []string
	if !s.list(name, &names, `["x-user"]`) {
		return
	}
	out := []string{}
	for i, n := range names {
		if n != "*" && !exchange.ValidName(n) {
			s.l.diags.errorf(s.itemRange(name, i), "Invalid header name", "%q can't be the name of a header: use letters, digits and \"-\", or \"*\" alone for all.", n)
			continue
		}
		out = append(out, strings.ToLower(n))
	}
	*dst = out
}

func (l *loader) decodePluginLimits(b block, p *Plugin) {
	s := l.read(b, pluginLimitsSchema)
	p.Limits.set(s)
	if p.Limits.Memory < 64<<10 || p.Limits.Memory > 4<<30 {
		l.diags.errorf(s.rangeOf("memory"), "Size out of range", "limits.memory is from 64KiB to 4GiB.")
	}
	for name, d := range map[string]time.Duration{"cpu": p.Limits.CPU, "deadline": p.Limits.Deadline, "start_cpu": p.Limits.StartCPU} {
		if d == 0 {
			l.diags.errorf(s.rangeOf(name), "Invalid duration", "limits.%s can't be 0: a plugin could run for ever.", name)
		}
	}
}

func (p *PluginLimits) set(s *section) {
	s.size("memory", &p.Memory)
	s.duration("cpu", &p.CPU)
	s.duration("deadline", &p.Deadline)
	s.duration("start_cpu", &p.StartCPU)
	s.number("instances", &p.Instances, 1, 10_000)
}
