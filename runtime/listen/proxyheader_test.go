package listen

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
)

func v2(command, family byte, body string) string {
	return signatureV2 + string([]byte{0x20 | command, family, byte(len(body) >> 8), byte(len(body))}) + body
}

func origins() map[string]struct{ in, src, dst string } {
	four := "\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"
	six := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x02\x12\x34\x01\xbb"
	return map[string]struct{ in, src, dst string }{
		"v1 tcp4":         {"PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n", "192.0.2.1:4660", "198.51.100.2:443"},
		"v1 tcp4 long":    {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535", "255.255.255.255:65535"},
		"v1 tcp6":         {"PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n", "[2001:db8::1]:4660", "[2001:db8::2]:443"},
		"v1 tcp6 short":   {"PROXY TCP6 ::1 ::2 1 2\r\n", "[::1]:1", "[::2]:2"},
		"v1 unknown":      {"PROXY UNKNOWN\r\n", "", ""},
		"v1 unknown long": {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "", ""},
		"v2 tcp4":         {v2(1, 0x11, four), "192.0.2.1:4660", "198.51.100.2:443"},
		"v2 tcp6":         {v2(1, 0x21, six), "[2001:db8::1]:4660", "[2001:db8::2]:443"},
		"v2 tlv":          {v2(1, 0x11, four+"\x04\x00\x03abc"), "192.0.2.1:4660", "198.51.100.2:443"},
		"v2 local":        {v2(0, 0x00, ""), "", ""},
		"v2 local tlv":    {v2(0, 0x11, four+"\xee\x00\x01x"), "", ""},
		"v2 unspec":       {v2(1, 0x00, "anything"), "", ""},
		"v2 unix":         {v2(1, 0x31, strings.Repeat("/", 216)), "", ""},
		"v2 udp":          {v2(1, 0x12, four), "", ""},
	}
}

// readAll takes p as a socket would: never more than asked for.
func readAll(p string, atMost int) (o origin, n, reads int, err error) {
	var buf []byte
	for {
		o, n, more, err := parseOrigin(buf)
		if err != nil || n > 0 {
			return o, n, reads, err
		}
		if more <= 0 {
			panic("it wants nothing, and is not done")
		}
		got := min(more, atMost, len(p)-len(buf))
		if got == 0 {
			return origin{}, 0, reads, net.ErrClosed
		}
		reads++
		buf = append(buf, p[len(buf):len(buf)+got]...)
	}
}

func TestParseOrigin(t *testing.T) {
	for name, c := range origins() {
		for _, atMost := range []int{1, 7, 1 << 20} {
			o, n, reads, err := readAll(c.in+"GET / HTTP/1.1\r\n", atMost)
			if err != nil || n != len(c.in) {
				t.Errorf("%s: took %d of %d bytes, %v", name, n, len(c.in), err)
				continue
			}
			var want origin
			if c.src != "" {
				want = origin{netip.MustParseAddrPort(c.src), netip.MustParseAddrPort(c.dst)}
			}
			if o != want {
				t.Errorf("%s: got %v, want %v", name, o, want)
			}
			if atMost > 100 && reads > 16 && !strings.Contains(name, "unknown") {
				t.Errorf("%s: %d reads", name, reads)
			}
		}
	}
}

func TestParseOriginRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"http":                   "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"tls":                    "\x16\x03\x01\x02\x00",
		"method PROXY":           "PROXY / HTTP/1.1\r\nHost: a\r\n\r\n",
		"lower case":             "proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
		"no such family":         "PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n",
		"family of the other":    "PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n",
		"six as four":            "PROXY TCP4 ::1 ::1 1 1\r\n",
		"bare newline":           "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n",
		"two spaces":             "PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n",
		"a space at the end":     "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
		"a field too few":        "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
		"port too large":         "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
		"port with a sign":       "PROXY TCP4 1.1.1.1 1.1.1.1 1 +1\r\n",
		"port with zeros":        "PROXY TCP4 1.1.1.1 1.1.1.1 1 01\r\n",
		"address with zeros":     "PROXY TCP4 01.1.1.1 1.1.1.1 1 1\r\n",
		"a zone":                 "PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n",
		"unknown and more":       "PROXY UNKNOWNX\r\n",
		"too long":               "PROXY UNKNOWN " + strings.Repeat("x", 200) + "\r\n",
		"endless":                "PROXY TCP4 " + strings.Repeat("1", 200),
		"v2 of version 1":        signatureV2 + "\x11\x11\x00\x0c123456789012",
		"v2 unknown command":     signatureV2 + "\x22\x11\x00\x0c123456789012",
		"v2 unknown family":      signatureV2 + "\x21\x41\x00\x0c123456789012",
		"v2 unknown transport":   signatureV2 + "\x21\x13\x00\x0c123456789012",
		"v2 addresses too short": signatureV2 + "\x21\x11\x00\x0b12345678901",
		"v2 six too short":       signatureV2 + "\x21\x21\x00\x0c123456789012",
		"v2 too long":            signatureV2 + "\x21\x11\xff\xff123456789012",
		"v2 broken signature":    "\r\n\r\n\x00\r\nQUIX\n\x21\x11\x00\x0c123456789012",
	} {
		if o, n, _, err := readAll(in, 1<<20); err == nil || err == net.ErrClosed {
			t.Errorf("%s: got %v, %d bytes, %v", name, o, n, err)
		}
	}
}

// FuzzOrigin compares with go-proxyproto: what that refuses we refuse, and what
// both accept means the same.
func FuzzOrigin(f *testing.F) {
	for _, c := range origins() {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		o, n, _, err := readAll(string(p), 1<<20)
		if err != nil {
			return
		}
		if n < 1 || n > len(p) {
			t.Fatalf("took %d of %d", n, len(p))
		}
		if o1, n1, _, err1 := readAll(string(p), 1); err1 != nil || o1 != o || n1 != n {
			t.Fatalf("byte by byte: %v %d %v, at once %v %d", o1, n1, err1, o, n)
		}
		r := bufio.NewReader(bytes.NewReader(p))
		h, err := proxyproto.Read(r)
		if !o.src.IsValid() {
			return // it looks into what is to be ignored, and may not like it
		}
		if err != nil {
			t.Fatalf("refused by go-proxyproto (%v): %s", err, hex.EncodeToString(p[:n]))
		}
		src, ok1 := h.SourceAddr.(*net.TCPAddr)
		dst, ok2 := h.DestinationAddr.(*net.TCPAddr)
		if !ok1 || !ok2 {
			t.Fatalf("go-proxyproto has %v and %v, we %v", h.SourceAddr, h.DestinationAddr, o)
		}
		same := func(a *net.TCPAddr, b netip.AddrPort) bool {
			p := a.AddrPort()
			return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()) == b
		}
		if !same(src, o.src) || !same(dst, o.dst) {
			t.Fatalf("go-proxyproto has %v and %v, we %v", src, dst, o)
		}
		if rest := r.Buffered(); rest != len(p)-n && len(p) < 4096 {
			t.Fatalf("go-proxyproto leaves %d bytes, we %d", rest, len(p)-n)
		}
	})
}
