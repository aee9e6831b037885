package policies

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/headgate/headgate/runtime/exchange"
)

// keyer writes down the input values that a policy reads, so that two exchanges
// have the same key only if the policy can't tell them apart. Texts carry their
// length, so that no value can pass for another. It may be finer than needed
// (the raw query instead of the parsed one), never coarser.
type keyer struct {
	buf   []byte
	names []string // of the objects that are being written
}

// keyers are kept for the next exchanges.
type keyers struct{ pool sync.Pool }

func (p *keyers) take() *keyer {
	if k, ok := p.pool.Get().(*keyer); ok {
		k.buf = k.buf[:0]
		return k
	}
	return &keyer{buf: make([]byte, 0, 256)}
}

func (p *keyers) give(k *keyer) {
	if cap(k.buf) <= maxEntry {
		p.pool.Put(k)
	}
}

// write makes the key. It reports false if this exchange has no usable one.
func (k *keyer) write(w *want, x *exchange.Exchange, f *filter) bool {
	k.conn(w, x)
	k.request(w, &x.Request)
	if w.anyHeader() {
		k.headers(w, &x.Request)
	}
	if w.extensions {
		k.text(f.extensionsKey)
	}
	if w.parsedQuery {
		k.query(w, x.Request.RawQuery)
	}
	if w.parsedPath {
		k.segments(w, x.Request.Path)
	}
	return k.members(x.Metadata, w.metadataNames) && k.headgate(w, x) && k.body(w, x)
}

func (k *keyer) text(s string) {
	k.buf = binary.AppendUvarint(k.buf, uint64(len(s))+1)
	k.buf = append(k.buf, s...)
}

// absent is what no text looks like.
func (k *keyer) absent() { k.buf = append(k.buf, 0) }

func (k *keyer) bytes(b []byte) { k.text(exchange.String(b)) }

func (k *keyer) number(n int) { k.buf = binary.AppendVarint(k.buf, int64(n)) }

func (k *keyer) flag(b bool) {
	if b {
		k.number(1)
	} else {
		k.number(0)
	}
}

func (k *keyer) conn(w *want, x *exchange.Exchange) {
	c := x.Conn
	k.flag(c != nil)
	if c == nil {
		return
	}
	if w.source {
		k.text(c.PeerIP)
	}
	if w.sourcePort {
		k.number(int(c.Peer.Port()))
	}
	if w.sourcePrincipal || w.principal {
		k.text(principal(c))
	}
	if w.destination {
		k.flag(c.Local.IsValid())
		ip := c.Local.Addr().As16()
		k.bytes(ip[:])
		k.number(int(c.Local.Port()))
	}
}

func (k *keyer) request(w *want, r *exchange.Request) {
	if w.method || w.header(":method") {
		k.text(r.Method)
	}
	if w.host || w.header("host") || w.header(":authority") {
		k.text(r.Authority)
	}
	if w.path || w.header(":path") {
		k.text(r.Path)
		k.text(r.RawQuery)
	} else if w.query {
		k.text(r.RawQuery)
	}
	if w.protocol {
		k.number(int(r.Proto))
	}
	if w.scheme || w.header(":scheme") {
		k.text(r.Scheme)
	}
	if w.size {
		k.number(int(requestSize(r)))
	}
}

func (k *keyer) headers(w *want, r *exchange.Request) {
	if w.allHeaders {
		k.number(r.Head.Len())
		for i := range r.Head.Len() {
			_, name, value := r.Head.At(i)
			k.bytes(name)
			k.bytes(value)
		}
		return
	}
	var buf [4][]byte
	for _, name := range w.headers {
		values := r.Head.Values(buf[:0], name)
		k.number(len(values))
		for _, v := range values {
			k.bytes(v)
		}
	}
}

// segments writes the segments that are read, still encoded.
func (k *keyer) segments(w *want, path string) {
	if w.segments == nil {
		k.text(path)
		return
	}
	path = strings.TrimLeft(path, "/")
	i := 0
	for s := range strings.SplitSeq(path, "/") {
		if slices.Contains(w.segments, i) {
			k.number(i)
			k.text(s)
		}
		i++
	}
	k.number(-1)
}

// query writes the parameters that are read.
func (k *keyer) query(w *want, raw string) {
	if w.queryNames == nil {
		k.text(raw)
		return
	}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if name = unescape(name); slices.Contains(w.queryNames, name) {
			k.text(name)
			k.text(value)
		}
	}
	k.absent()
}

func (k *keyer) headgate(w *want, x *exchange.Exchange) bool {
	if w.route {
		k.text(x.Route)
	}
	if w.params {
		for i := range x.Params {
			if p := &x.Params[i]; w.paramNames == nil || slices.Contains(w.paramNames, p.Name) {
				k.text(p.Name)
				k.text(p.Value)
			}
		}
		k.absent()
	}
	if w.remoteIP {
		// A zone, if there is one, is part of the text that a policy sees.
		ip := x.RemoteIP.As16()
		k.bytes(ip[:])
		k.text(x.RemoteIP.Zone())
		k.number(x.RemoteIP.BitLen())
	}
	if w.subject {
		k.text(x.Auth.Subject)
	}
	if w.consumer {
		k.text(x.Auth.Consumer)
	}
	if w.allFilters && !k.value(x.Metadata) || !k.members(x.Metadata, w.filterNames) {
		return false
	}
	return !w.claims || k.claims(w, x.Auth.Claims)
}

func (k *keyer) claims(w *want, claims map[string]any) bool {
	k.flag(claims != nil)
	if w.claimNames == nil {
		return k.value(claims)
	}
	return k.members(claims, w.claimNames)
}

// members writes those of m that are named.
func (k *keyer) members(m map[string]any, names []string) bool {
	for _, name := range names {
		v, ok := m[name]
		if !ok {
			k.absent()
		} else if !k.value(v) {
			return false
		}
	}
	return true
}

// body writes the content and what decides how it is parsed.
func (k *keyer) body(w *want, x *exchange.Exchange) bool {
	if !w.needsBody() {
		return true
	}
	content, whole := x.Request.Content()
	if len(content) > maxEntry {
		return false
	}
	k.flag(whole)
	if w.body || w.parsedBody {
		k.bytes(content)
	}
	if w.parsedBody {
		var buf [2][]byte
		for _, name := range [...]string{"content-type", "content-encoding"} {
			values := x.Request.Head.Values(buf[:0], name)
			k.number(len(values))
			for _, v := range values {
				k.bytes(v)
			}
		}
	}
	return true
}

// object writes the members of m in the order of their names.
func (k *keyer) object(m map[string]any) bool {
	from := len(k.names)
	for name := range m {
		k.names = append(k.names, name)
	}
	to := len(k.names)
	slices.Sort(k.names[from:])
	ok := true
	for i := from; i < to && ok; i++ {
		name := k.names[i]
		k.text(name)
		ok = k.value(m[name])
	}
	clear(k.names[from:to])
	k.names = k.names[:from]
	return ok
}

// value writes a JSON value. It reports false for what is none.
func (k *keyer) value(v any) bool {
	switch v := v.(type) {
	case nil:
		k.buf = append(k.buf, 'n')
	case bool:
		if v {
			k.buf = append(k.buf, 't')
		} else {
			k.buf = append(k.buf, 'f')
		}
	case string:
		k.buf = append(k.buf, 's')
		k.text(v)
	case json.Number:
		k.buf = append(k.buf, '#')
		k.text(string(v))
	case float64:
		k.buf = append(k.buf, 'd')
		k.buf = binary.BigEndian.AppendUint64(k.buf, math.Float64bits(v))
	case int:
		k.buf = append(k.buf, 'i')
		k.number(v)
	case int64:
		k.buf = append(k.buf, 'i')
		k.buf = binary.AppendVarint(k.buf, v)
	case []any:
		k.buf = append(k.buf, 'a')
		k.number(len(v))
		for _, e := range v {
			if !k.value(e) {
				return false
			}
		}
	case map[string]any:
		k.buf = append(k.buf, 'm')
		k.number(len(v))
		return k.object(v)
	default:
		return false
	}
	return len(k.buf) <= maxEntry
}
