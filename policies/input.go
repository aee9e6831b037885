package policies

import (
	"crypto/x509"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/headgate/headgate/runtime/exchange"
)

// builder makes the input document of one evaluation, straight in OPA's own
// values. Text is copied out of the exchange's buffers into memory that is never
// written again: OPA keeps some strings (compiled patterns, for one) and the
// decision log reads the input after the exchange ended.
type builder struct {
	w    *want
	x    *exchange.Exchange
	slab []byte
	size int // of all text, for the decision log's bound
}

// part is a member of an object in the making.
type part = [2]*ast.Term

// build returns the input. The error is a *bodyError if the request is at fault.
func (b *builder) build(extensions *ast.Term, decisionID string) (ast.Value, error) {
	w, x := b.w, b.x
	content, whole := x.Request.Content()
	if !w.needsBody() {
		content, whole = nil, true
	}
	root := make([]part, 0, 10)
	root = member(root, keys.attributes, b.attributes(extensions, decisionID, content, whole))
	if w.parsedPath {
		root = append(root, part{keys.parsedPath, b.parsedPath()})
	}
	if w.parsedQuery {
		root = append(root, part{keys.parsedQuery, b.pairs(x.Request.RawQuery)})
	}
	if w.parsedBody {
		body, err := b.parsedBody(&x.Request.Head, content, whole)
		if err != nil {
			return nil, err
		}
		root = append(root, part{keys.parsedBody, body})
	}
	if w.truncated {
		root = append(root, part{keys.truncatedBody, ast.InternedTerm(!whole)})
	}
	if w.principal {
		if p := principal(x.Conn); p != "" {
			root = append(root, part{keys.sourcePrincipal, b.text(p)})
		}
	}
	if w.vers {
		root = append(root, part{keys.version, keys.versionValue})
	}
	root = member(root, keys.headgate, b.headgate())
	if w.response() {
		answer, err := b.response()
		if err != nil {
			return nil, err
		}
		root = append(root, part{keys.response, ast.ObjectTerm(answer...)})
	}
	return ast.NewObject(root...), nil
}

func (b *builder) attributes(extensions *ast.Term, decisionID string, content []byte, whole bool) []part {
	w, x := b.w, b.x
	out := make([]part, 0, 5)
	if c := x.Conn; c != nil {
		if w.source || w.sourcePrincipal {
			peer := make([]part, 0, 2)
			if w.source && c.Peer.IsValid() {
				peer = append(peer, part{keys.address, b.socket(c.PeerIP, int(c.Peer.Port()))})
			}
			if p := principal(c); w.sourcePrincipal && p != "" {
				peer = append(peer, part{keys.principal, b.text(p)})
			}
			out = append(out, part{keys.source, ast.ObjectTerm(peer...)})
		}
		if w.destination && c.Local.IsValid() {
			ip := c.Local.Addr().String()
			out = append(out, part{keys.destination, ast.ObjectTerm(part{keys.address, b.socket(ip, int(c.Local.Port()))})})
		}
	}
	request := make([]part, 0, 2)
	if w.time {
		// The form of protobuf's JSON: UTC with a multiple of three digits.
		request = append(request, part{keys.time, ast.StringTerm(x.Start.UTC().Format("2006-01-02T15:04:05.000000Z"))})
	}
	request = member(request, keys.http, b.http(content, whole))
	out = member(out, keys.request, request)
	if w.extensions && extensions != nil {
		out = append(out, part{keys.contextExtensions, extensions})
	}
	if w.metadata {
		out = append(out, part{keys.metadataContext, b.metadata(decisionID)})
	}
	return out
}

func (b *builder) http(content []byte, whole bool) []part {
	w, x := b.w, b.x
	r := &x.Request
	out := make([]part, 0, 12)
	if w.id {
		out = append(out, part{keys.id, b.text(x.ID)})
	}
	if w.method {
		out = append(out, part{keys.method, b.text(r.Method)})
	}
	if w.anyHeader() {
		out = append(out, part{keys.headers, ast.ObjectTerm(b.headers()...)})
	}
	if w.host {
		out = append(out, part{keys.host, b.text(r.Authority)})
	}
	if w.path {
		out = append(out, part{keys.path, b.pathQuery()})
	}
	if w.protocol {
		out = append(out, part{keys.protocol, ast.StringTerm(r.Proto.String())})
	}
	if w.scheme {
		out = append(out, part{keys.scheme, b.text(r.Scheme)})
	}
	if w.query && r.RawQuery != "" {
		out = append(out, part{keys.query, b.text(r.RawQuery)})
	}
	if w.size {
		// A 64-bit integer is a string in protobuf's JSON.
		out = append(out, part{keys.size, ast.StringTerm(strconv.FormatInt(requestSize(r), 10))})
	}
	if w.body && len(content) > 0 {
		out = append(out, part{keys.body, b.text(exchange.String(content))})
	}
	if w.truncatedHTTP {
		out = append(out, part{keys.truncatedBody, ast.InternedTerm(!whole)})
	}
	return out
}

func requestSize(r *exchange.Request) int64 {
	if r.Body == nil {
		return 0
	}
	return r.Length
}

// headers are in lower case, values of one name joined by commas, with the
// pseudo headers that Envoy has.
func (b *builder) headers() []part {
	w, r := b.w, &b.x.Request
	var out []part
	pseudo := func(name *ast.Term, lower string, value func() *ast.Term) {
		if w.header(lower) {
			out = append(out, part{name, value()})
		}
	}
	if w.allHeaders {
		out = make([]part, 0, r.Head.Len()+5)
	}
	pseudo(keys.pseudoAuthority, ":authority", func() *ast.Term { return b.text(r.Authority) })
	pseudo(keys.host, "host", func() *ast.Term { return b.text(r.Authority) })
	pseudo(keys.pseudoMethod, ":method", func() *ast.Term { return b.text(r.Method) })
	pseudo(keys.pseudoPath, ":path", b.pathQuery)
	pseudo(keys.pseudoScheme, ":scheme", func() *ast.Term { return b.text(r.Scheme) })
	if !w.allHeaders {
		var buf [4][]byte
		for _, name := range w.headers {
			if values := r.Head.Values(buf[:0], name); len(values) > 0 && name != "host" {
				out = append(out, part{b.text(name), b.join(values)})
			}
		}
		return out
	}
	return append(out, b.fields(&r.Head)...)
}

// fields are those of a head but Host.
func (b *builder) fields(h *exchange.Head) []part {
	out := make([]part, 0, h.Len())
	var values [8][]byte
	for i := range h.Len() {
		id, name, value := h.At(i)
		if id == exchange.NameHost || seen(h, i) {
			continue
		}
		lower := b.lower(name)
		all := h.Values(values[:0], lower)
		if len(all) == 1 {
			out = append(out, part{ast.StringTerm(lower), b.text(exchange.String(value))})
		} else {
			out = append(out, part{ast.StringTerm(lower), b.join(all)})
		}
	}
	return out
}

// seen reports whether a field before the i-th has its name.
func seen(h *exchange.Head, i int) bool {
	_, name, _ := h.At(i)
	for j := range i {
		_, other, _ := h.At(j)
		if len(other) == len(name) && strings.EqualFold(exchange.String(other), exchange.String(name)) {
			return true
		}
	}
	return false
}

func (b *builder) join(values [][]byte) *ast.Term {
	if len(values) == 1 {
		return b.text(exchange.String(values[0]))
	}
	var s strings.Builder
	for i, v := range values {
		if i > 0 {
			s.WriteByte(',')
		}
		s.Write(v)
	}
	return b.text(s.String())
}

// pathQuery is the normalised path with the query, as Envoy's path is.
func (b *builder) pathQuery() *ast.Term {
	r := &b.x.Request
	if r.RawQuery == "" {
		return b.text(r.Path)
	}
	return b.text(r.Path + "?" + r.RawQuery)
}

func (b *builder) metadata(decisionID string) *ast.Term {
	out := append(b.published(), part{keys.openPolicyAgent, ast.ObjectTerm(part{keys.decisionID, ast.StringTerm(decisionID)})})
	return ast.ObjectTerm(part{keys.filterMetadata, ast.ObjectTerm(out...)})
}

// published is what other filters told about the exchange.
func (b *builder) published() []part {
	out := make([]part, 0, len(b.x.Metadata)+1)
	for name, v := range b.x.Metadata {
		if val, err := ast.InterfaceToValue(v); err == nil {
			out = append(out, part{ast.StringTerm(name), ast.NewTerm(val)})
		}
	}
	return out
}

// headgate is what Envoy does not know.
func (b *builder) headgate() []part {
	w, x := b.w, b.x
	var out []part
	if w.route {
		out = append(out, part{keys.route, b.text(x.Route)})
	}
	if w.params {
		params := make([]part, len(x.Params))
		for i, p := range x.Params {
			params[i] = part{b.text(p.Name), b.text(p.Value)}
		}
		out = append(out, part{keys.path, ast.ObjectTerm(params...)})
	}
	if w.subject || w.consumer || w.claims {
		out = append(out, part{keys.auth, b.auth()})
	}
	if w.filters {
		out = append(out, part{keys.filters, ast.ObjectTerm(b.published()...)})
	}
	if w.remoteIP && x.RemoteIP.IsValid() {
		out = append(out, part{keys.remoteIP, ast.StringTerm(x.RemoteIP.String())})
	}
	return out
}

func (b *builder) auth() *ast.Term {
	w, a := b.w, &b.x.Auth
	out := make([]part, 0, 3)
	if w.subject && a.Subject != "" {
		out = append(out, part{keys.subject, b.text(a.Subject)})
	}
	if w.consumer && a.Consumer != "" {
		out = append(out, part{keys.consumer, b.text(a.Consumer)})
	}
	if w.claims && a.Claims != nil {
		out = append(out, part{keys.claims, ast.ObjectTerm(b.claims()...)})
	}
	return ast.ObjectTerm(out...)
}

func (b *builder) claims() []part {
	out := make([]part, 0, len(b.x.Auth.Claims))
	for name, v := range b.x.Auth.Claims {
		if b.w.claimNames != nil && !slices.Contains(b.w.claimNames, name) {
			continue
		}
		if val, err := ast.InterfaceToValue(v); err == nil {
			out = append(out, part{b.text(name), ast.NewTerm(val)})
		}
	}
	return out
}

func (b *builder) socket(ip string, port int) *ast.Term {
	return ast.ObjectTerm(part{keys.socketAddress, ast.ObjectTerm(
		part{keys.address, ast.StringTerm(ip)},
		part{keys.portValue, ast.InternedTerm(port)},
	)})
}

// text copies s.
func (b *builder) text(s string) *ast.Term {
	if s == "" {
		return ast.InternedEmptyString
	}
	b.size += len(s)
	if !utf8.ValidString(s) {
		return ast.StringTerm(strings.ToValidUTF8(s, "\uFFFD"))
	}
	return ast.StringTerm(exchange.String(b.keep(s)))
}

// lower copies a header name in lower case.
func (b *builder) lower(name []byte) string {
	p := b.keep(exchange.String(name))
	for i, c := range p {
		if 'A' <= c && c <= 'Z' {
			p[i] = c | 0x20
		}
	}
	return exchange.String(p)
}

// slabSize is how much of text is allocated at once.
const slabSize = 1024

// keep copies s into the slab, which is used for this evaluation only.
func (b *builder) keep(s string) []byte {
	if cap(b.slab)-len(b.slab) < len(s) {
		b.slab = make([]byte, 0, max(slabSize, len(s)))
	}
	at := len(b.slab)
	b.slab = append(b.slab, s...)
	return b.slab[at:len(b.slab):len(b.slab)]
}

// member adds an object unless it is empty.
func member(to []part, key *ast.Term, of []part) []part {
	if len(of) == 0 {
		return to
	}
	return append(to, part{key, ast.ObjectTerm(of...)})
}

// principal is the identity of a verified peer certificate: its first URI (a
// SPIFFE id), else its first DNS name, else its subject, as in Envoy.
func principal(c *exchange.Conn) string {
	if c == nil || c.TLS == nil || len(c.TLS.VerifiedChains) == 0 || len(c.TLS.PeerCertificates) == 0 {
		return ""
	}
	return identity(c.TLS.PeerCertificates[0])
}

func identity(cert *x509.Certificate) string {
	switch {
	case len(cert.URIs) > 0:
		return cert.URIs[0].String()
	case len(cert.DNSNames) > 0:
		return cert.DNSNames[0]
	}
	return cert.Subject.String()
}

func extensionsTerm(m map[string]string) *ast.Term {
	parts := make([]part, 0, len(m))
	for k, v := range m {
		parts = append(parts, part{ast.StringTerm(k), ast.StringTerm(v)})
	}
	return ast.ObjectTerm(parts...)
}

// since is how long an evaluation took, for the decision log.
func since(start time.Time) int64 { return time.Since(start).Nanoseconds() }
