package proxy

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// identify decides who the client is and rewrites the forwarding headers
// accordingly: an untrusted peer's are replaced, a trusted one's are kept and
// extended. It also gives the exchange its request id.
func identify(x *exchange.Exchange, s *Settings) {
	c, h := x.Conn, &x.Request.Head
	trusted := len(s.TrustedProxies) > 0 && contains(s.TrustedProxies, c.Peer.Addr())
	x.RemoteIP = c.Peer.Addr()

	var haveProto, haveHost, havePort bool
	at, elements := -1, -1 // the last lines of x-forwarded-for and of forwarded
	scheme := x.Request.Scheme
	for i := 0; i < h.Len(); i++ {
		id, _, v := h.At(i)
		switch id {
		default:
			continue
		case exchange.NameXForwardedFor:
			if trusted {
				at = i
				continue
			}
		case exchange.NameForwarded:
			if trusted {
				elements = i
				continue
			}
		case exchange.NameXForwardedClientCert:
			if trusted {
				continue
			}
		case exchange.NameXForwardedProto:
			if trusted {
				if p := exchange.String(v); p == "http" || p == "https" {
					x.Request.Scheme = p
				}
				haveProto = true
				continue
			}
		case exchange.NameXForwardedHost:
			if trusted {
				haveHost = true
				continue
			}
		case exchange.NameXForwardedPort:
			if trusted {
				havePort = true
				continue
			}
		}
		h.DelAt(i)
		i--
	}
	if at >= 0 {
		x.RemoteIP = rightmostUntrusted(h, s.TrustedProxies, x.RemoteIP)
		_, _, v := h.At(at)
		if c.PeerIP != "" {
			buf := x.Arena.Alloc(len(v) + 2 + len(c.PeerIP))
			n := copy(buf, v)
			n += copy(buf[n:], ", ")
			copy(buf[n:], c.PeerIP)
			h.SetAt(at, exchange.String(buf))
		}
	} else if elements >= 0 { // of a proxy that speaks only the standard's language
		ip, proto := forwardedClient(h, s.TrustedProxies, x.RemoteIP)
		if !haveProto && (proto == "http" || proto == "https") {
			x.Request.Scheme = proto
		}
		list := c.PeerIP
		if ip != x.RemoteIP {
			list = ip.String() + ", " + list
		}
		x.RemoteIP = ip
		h.Add("X-Forwarded-For", list)
	} else if c.PeerIP != "" {
		h.Add("X-Forwarded-For", c.PeerIP)
	}
	if elements >= 0 {
		appendForwarded(x, elements, scheme)
	}
	if !haveProto {
		h.Add("X-Forwarded-Proto", x.Request.Scheme)
	}
	if !haveHost && x.Request.Authority != "" {
		h.Add("X-Forwarded-Host", x.Request.Authority)
	}
	if !havePort && c.LocalPort != "" {
		h.Add("X-Forwarded-Port", c.LocalPort)
	}
	if s.RequestID != "" {
		identifyRequest(x, s.RequestID, trusted)
	}
	h.Add("Via", via(x.Request.Proto))
}

// identifyRequest gives the exchange its request id: that of a trusted peer, or
// a new one.
func identifyRequest(x *exchange.Exchange, header string, trusted bool) {
	h := &x.Request.Head
	if trusted {
		if v, ok := h.Get(header); ok && len(v) > 0 && len(v) <= 128 {
			x.ID = exchange.String(v)
			return
		}
	}
	x.ID = newID(&x.Arena, x.Start)
	h.Set(header, x.ID)
}

// via is the element that a gateway adds to the requests which it forwards (RFC
// 9110 section 7.6.3).
func via(p exchange.Proto) string {
	return [...]string{"1.0 headgate", "1.1 headgate", "2 headgate", "3 headgate"}[p]
}

// forwardClientCert tells the backend who the client proved to be. A listener
// that does so is the end of what anyone before it said, trusted proxies
// included: the field then holds what we know and nothing else.
func forwardClientCert(x *exchange.Exchange) {
	if !x.Conn.Listener.ForwardClientCert {
		return
	}
	h := &x.Request.Head
	h.Del(exchange.NameXForwardedClientCert.String())
	if c := x.Conn.ClientCert(); c != nil {
		h.Add("X-Forwarded-Client-Cert", c.Forwarded)
	}
}

func contains(nets []netip.Prefix, a netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// rightmostUntrusted walks all X-Forwarded-For entries from the right and
// returns the first that is not a trusted proxy. An entry that is no address
// ends the walk: what is left of it can't be believed.
func rightmostUntrusted(h *exchange.Head, trusted []netip.Prefix, peer netip.Addr) netip.Addr {
	ip := peer
	var lines [8][]byte
	values := h.Values(lines[:0], exchange.NameXForwardedFor.String())
	for i := len(values) - 1; i >= 0; i-- {
		rest := exchange.String(values[i])
		for rest != "" {
			var entry string
			if j := strings.LastIndexByte(rest, ','); j >= 0 {
				rest, entry = rest[:j], rest[j+1:]
			} else {
				rest, entry = "", rest
			}
			a, err := parseAddr(strings.TrimSpace(entry))
			if err != nil {
				return ip
			}
			ip = a
			if !contains(trusted, a) {
				return ip
			}
		}
	}
	return ip
}

// parseAddr accepts an address, or one with a port as some proxies write it.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		ap, err2 := netip.ParseAddrPort(s)
		if err2 != nil {
			return a, err
		}
		a = ap.Addr()
	}
	return a.Unmap().WithZone(""), nil
}

// newID makes a UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds,
// then random bits.
func newID(arena *exchange.Arena, now time.Time) string {
	const hex = "0123456789abcdef"
	hi := uint64(now.UnixMilli())<<16 | 0x7000 | rand.Uint64()&0x0fff
	lo := rand.Uint64()&^(3<<62) | 2<<62
	b := arena.Alloc(36)
	for i, at := 0, 0; i < 32; i, at = i+1, at+1 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			b[at] = '-'
			at++
		}
		half := hi
		if i >= 16 {
			half = lo
		}
		b[at] = hex[half>>(60-4*(i&15))&15]
	}
	return exchange.String(b)
}
