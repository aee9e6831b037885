package router

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

var errHost = errors.New("the host is not valid")

// maxHost is the longest name that DNS has (RFC 1035 section 2.3.4).
const maxHost = 253

// NormalizeHost returns the host of an authority in lower case, without port
// and trailing dot; an IPv6 address in its shortest form (RFC 5952), in
// brackets. An empty authority is an empty host: that is how HTTP/1.1 says that
// there is none (RFC 9112 section 3.2). What must be rewritten is put into the
// arena.
func NormalizeHost(authority string, arena *exchange.Arena) (string, error) {
	if authority == "" {
		return "", nil
	}
	if authority[0] == '[' {
		return normalizeIPv6(authority, arena)
	}
	h := authority
	if i := strings.IndexByte(h, ':'); i >= 0 {
		if !validPort(h[i:]) {
			return "", errHost
		}
		h = h[:i]
	}
	h = strings.TrimSuffix(h, ".")
	if h == "" || len(h) > maxHost || h[len(h)-1] == '.' {
		return "", errHost
	}
	upper := false
	for i := range len(h) {
		switch c := h[i]; {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_':
		case 'A' <= c && c <= 'Z':
			upper = true
		case c == '.' && i > 0 && h[i-1] != '.':
		default:
			return "", errHost
		}
	}
	if !upper {
		return h, nil
	}
	b := arena.Alloc(len(h))
	for i := range len(h) {
		b[i] = h[i]
		if 'A' <= b[i] && b[i] <= 'Z' {
			b[i] |= 0x20
		}
	}
	return exchange.String(b), nil
}

func normalizeIPv6(authority string, arena *exchange.Arena) (string, error) {
	end := strings.IndexByte(authority, ']')
	if end < 0 || end > 64 || !validPort(authority[end+1:]) {
		return "", errHost
	}
	ip, err := netip.ParseAddr(authority[1:end])
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return "", errHost
	}
	var buf [64]byte
	b := append(ip.AppendTo(append(buf[:0], '[')), ']')
	if string(b) == authority[:end+1] {
		return authority[:end+1], nil
	}
	out := arena.Alloc(len(b))
	copy(out, b)
	return exchange.String(out), nil
}

// validPort accepts "", ":" and ":" with a port.
func validPort(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ':' || len(s) > 6 {
		return false
	}
	n := 0
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n < 1<<16
}
