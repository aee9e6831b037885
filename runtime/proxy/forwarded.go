package proxy

import (
	"net/netip"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// forwardedClient walks the elements of Forwarded (RFC 7239 section 4) from the
// right and returns the first client that is not a trusted proxy, with the scheme
// that it used, "" if the element does not say. What is malformed or no address
// ends the walk, as in X-Forwarded-For.
func forwardedClient(h *exchange.Head, trusted []netip.Prefix, peer netip.Addr) (ip netip.Addr, scheme string) {
	ip = peer
	var lines [8][]byte
	values := h.Values(lines[:0], exchange.NameForwarded.String())
	for i := len(values) - 1; i >= 0; i-- {
		var parts [16]string
		elements, ok := splitQuoted(parts[:0], exchange.String(values[i]), ',')
		if !ok {
			return ip, scheme
		}
		for j := len(elements) - 1; j >= 0; j-- {
			a, proto, ok := forwardedElement(elements[j])
			if !ok {
				return ip, scheme
			}
			if ip, scheme = a, proto; !contains(trusted, a) {
				return ip, scheme
			}
		}
	}
	return ip, scheme
}

// forwardedElement takes the address and the scheme out of an element.
func forwardedElement(s string) (ip netip.Addr, scheme string, ok bool) {
	var parts [8]string
	pairs, ok := splitQuoted(parts[:0], s, ';')
	if !ok {
		return ip, "", false
	}
	for _, pair := range pairs {
		k, v, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !ok {
			return ip, "", false
		}
		if len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
			v = v[1 : len(v)-1] // no address has an escape
		}
		switch {
		case strings.EqualFold(k, "for"):
			a, err := parseAddr(v)
			if n := len(v); err != nil && n > 2 && v[0] == '[' && v[n-1] == ']' {
				a, err = parseAddr(v[1 : n-1])
			}
			if err != nil || ip.IsValid() {
				return ip, "", false
			}
			ip = a
		case strings.EqualFold(k, "proto"):
			scheme = strings.ToLower(v)
		}
	}
	return ip, scheme, ip.IsValid()
}

// splitQuoted splits s at sep but within quoted strings. ok is false if a quoted
// string does not end.
func splitQuoted(dst []string, s string, sep byte) (parts []string, ok bool) {
	from, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			dst, from = append(dst, s[from:i]), i+1
		}
	}
	return append(dst, s[from:]), !quoted
}

// appendForwarded adds the element of this hop to the line of Forwarded at an
// index: a trusted proxy sent it. scheme is that of the connection.
func appendForwarded(x *exchange.Exchange, at int, scheme string) {
	c, h := x.Conn, &x.Request.Head
	_, _, v := h.At(at)
	var b strings.Builder
	b.Write(v)
	if strings.IndexByte(c.PeerIP, ':') >= 0 {
		b.WriteString(`, for="[` + c.PeerIP + `]"`)
	} else {
		b.WriteString(", for=" + c.PeerIP)
	}
	b.WriteString(`;host="` + x.Request.Authority + `";proto=` + scheme)
	h.SetAt(at, b.String())
}
