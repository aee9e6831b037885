package config

import (
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/headgate/headgate/policies"
)

// Policy is a policy block.
type Policy struct {
	Name       string
	Rego, Data []string // resolved
	Decide     string
	// Response is the rule about responses; "" for none.
	Response     string
	AllowOnError bool
	Deadline     time.Duration
	Allow        []string
	// Capabilities is a file, "" for none.
	Capabilities string
	// Bundle is nil for none.
	Bundle *policies.BundleSpec
	// DecisionLog is nil for none.
	DecisionLog *policies.LogSpec

	Range, RegoRange, DecideRange hcl.Range
}

func (l *loader) decodePolicy(b block) {
	s := l.read(b, policySchema)
	p := &Policy{
		Name: b.id, Range: b.DefRange, RegoRange: s.rangeOf("rego"), DecideRange: s.rangeOf("decide"),
		Deadline: 50 * time.Millisecond,
	}
	if n, ok := s.one("bundle"); ok {
		p.Bundle = l.decodeBundle(n)
	} else {
		s.require("rego", `["policies/"]`)
	}
	p.Rego = s.paths("rego", `["policies/"]`)
	p.Data = s.paths("data", `["data.json"]`)
	if s.has("rego") && len(p.Rego) == 0 && !l.unsure() {
		l.diags.errorf(p.RegoRange, "Policy without Rego", "policy.rego names at least one file or folder. Write for example: rego = [\"policies/\"]")
	}
	if s.require("decide", `"data.authz.decision"`) && s.text("decide", &p.Decide, "data.authz.decision") && !decidePattern.MatchString(p.Decide) {
		l.diags.errorf(p.DecideRange, "Invalid rule", "policy.decide names a rule. Write for example: decide = \"data.authz.decision\"")
	}
	if s.text("response", &p.Response, "data.authz.response") && !decidePattern.MatchString(p.Response) {
		l.diags.errorf(s.rangeOf("response"), "Invalid rule", "policy.response names a rule. Write for example: response = \"data.authz.response\"")
	}
	p.AllowOnError = s.onError(false)
	if s.duration("deadline", &p.Deadline) && p.Deadline == 0 {
		l.diags.errorf(s.rangeOf("deadline"), "Invalid duration", "policy.deadline can't be 0: a policy could run for ever.")
	}
	s.policyAllow(p)
	if s.text("capabilities", &p.Capabilities, "capabilities.json") && p.Capabilities != "" {
		p.Capabilities = s.scope.resolve(p.Capabilities)
		l.watch(p.Capabilities)
		s.mustExist("capabilities", s.rangeOf("capabilities"), p.Capabilities, false)
	}
	if n, ok := s.one("decision_log"); ok {
		p.DecisionLog = l.decodeDecisionLog(n)
	}
	l.cfg.Policies = append(l.cfg.Policies, p)
}

func (l *loader) decodeDecisionLog(n block) *policies.LogSpec {
	t := l.read(n, decisionLogSchema)
	log := &policies.LogSpec{Path: "stdout"}
	if s, ok := t.one("service"); ok {
		u := l.read(s, logServiceSchema)
		if u.require("url", `"https://logs.example.com/logs"`) && u.text("url", &log.Service, "https://logs.example.com/logs") {
			checkServiceURL(u, "url", log.Service)
		}
		u.text("token", &log.Token, "${env.TOKEN}")
		log.Path = ""
	}
	if t.text("path", &log.Path, "stdout") && log.Path != "stdout" && log.Path != "stderr" {
		log.Path = n.scope.resolve(log.Path)
	}
	t.number("rate", &log.Rate, 1, 1_000_000)
	return log
}

func (l *loader) decodeBundle(n block) *policies.BundleSpec {
	t := l.read(n, bundleSchema)
	b := &policies.BundleSpec{Poll: 30 * time.Second}
	const example = `"https://bundles.example.com/authz.tar.gz"`
	if t.require("url", example) && t.text("url", &b.URL, example) {
		if scheme, _, found := strings.Cut(b.URL, "://"); !found {
			b.URL = n.scope.resolve(b.URL)
			t.mustExist("url", t.rangeOf("url"), b.URL, false)
		} else if scheme != "file" {
			checkServiceURL(t, "url", b.URL)
		}
	}
	t.text("token", &b.Token, "${env.TOKEN}")
	if t.duration("poll", &b.Poll) && b.Poll < time.Second {
		l.diags.errorf(t.rangeOf("poll"), "Invalid duration", "bundle.poll is at least 1s.")
	}
	if t.duration("long_poll", &b.LongPoll) && (b.LongPoll < time.Second || b.LongPoll > 10*time.Minute) {
		l.diags.errorf(t.rangeOf("long_poll"), "Invalid duration", "bundle.long_poll is from 1s to 10m.")
	}
	l.bundleKey(t, b)
	return b
}

// bundleKey decodes what verifies a bundle.
func (l *loader) bundleKey(t *section, b *policies.BundleSpec) {
	var file string
	if t.text("public_key_file", &file, "bundle.pem") && file != "" {
		file = t.scope.resolve(file)
		l.watch(file)
		rng := t.rangeOf("public_key_file")
		if t.mustExist("public_key_file", rng, file, false) {
			text, err := readFile(file)
			if err == nil {
				err = policies.CheckKey(string(text))
			}
			if err != nil {
				l.diags.errorf(rng, "Invalid key", "bundle.public_key_file: %s can't be used: %s.", file, err)
			}
			b.Key = string(text)
		}
	}
	t.text("scope", &b.Scope, "read")
	b.Algorithm = "RS256"
	t.oneOf("algorithm", &b.Algorithm, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
	for _, name := range []string{"scope", "algorithm"} {
		if t.has(name) && !t.has("public_key_file") {
			l.diags.errorf(t.rangeOf(name), "Nothing to verify", "bundle.%s is for public_key_file, which is absent.", name)
		}
	}
}

// checkServiceURL reports a URL that nothing can be sent to.
func checkServiceURL(s *section, name, text string) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		s.l.diags.errorf(s.rangeOf(name), "Invalid URL", "%s is %q, which is no URL. Write for example: %s = \"https://logs.example.com/logs\"", s.name+"."+name, text, name)
	}
}

func (s *section) policyAllow(p *Policy) {
	known := []string{"http.send", "net.lookup_ip_addr", "opa.runtime"}
	if !s.list("allow", &p.Allow, `["http.send"]`) {
		return
	}
next:
	for i, a := range p.Allow {
		for _, k := range known {
			if a == k {
				continue next
			}
		}
		s.l.diags.errorf(s.itemRange("allow", i), "Unknown value", "policy.allow has %s, not %q.%s", quoted(known), a, suggest(a, append([]string(nil), known...)))
	}
}

// paths decodes a list of files and folders.
func (s *section) paths(name, example string) []string {
	var list, out []string
	if !s.list(name, &list, example) {
		return nil
	}
	for i, p := range list {
		path := s.scope.resolve(p)
		s.l.watch(path)
		if s.mustExist(name, s.itemRange(name, i), path, true) {
			out = append(out, path)
		}
	}
	return out
}

var decidePattern = regexp.MustCompile(`^data(\.[A-Za-z_][A-Za-z0-9_]*|\["[^"\\]+"\])+$`)
