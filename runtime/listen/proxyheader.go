package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol tells, ahead of the first byte of a connection, who is at
// the other end of the proxy that made it: as a line of text in version 1, in
// binary in version 2. Its specification is doc/proxy-protocol.txt of HAProxy.

// origin is what a header says. src and dst are invalid if it names no TCP ends:
// then those of the connection itself count.
type origin struct{ src, dst netip.AddrPort }

var (
	errNoOrigin  = errors.New("no PROXY header")
	errBadOrigin = errors.New("malformed PROXY header")
)

const (
	signatureV1 = "PROXY "
	signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"
	// maxLine is the longest line of version 1 (section 2.1).
	maxLine = 107
	// fixedV2 is the length of what every header of version 2 has.
	fixedV2 = 16
	// maxV2 bounds the rest of one. Its addresses take 216 bytes at most, and
	// those who send more send certificates and identifiers of a cloud.
	maxV2 = 4 << 10
)

// parseOrigin reads the header at the start of p. n is its length, or 0 if it
// goes on: then at least more bytes of it are to come, so that whoever reads no
// more than these reads nothing behind the header.
func parseOrigin(p []byte) (o origin, n, more int, err error) {
	switch {
	case len(p) == 0:
		return o, 0, len("PROXY UNKNOWN\r\n"), nil // nothing valid is shorter
	case p[0] == signatureV1[0]:
		return parseLine(p)
	case p[0] == signatureV2[0]:
		return parseBinary(p)
	}
	return o, 0, 0, errNoOrigin
}

// parseLine reads a header of version 1 (section 2.1).
func parseLine(p []byte) (o origin, n, more int, err error) {
	if m := min(len(p), len(signatureV1)); string(p[:m]) != signatureV1[:m] {
		return o, 0, 0, errNoOrigin
	}
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		if len(p) >= maxLine {
			return o, 0, 0, errBadOrigin
		}
		return o, 0, missing(p), nil
	}
	if end == 0 || end >= maxLine || p[end-1] != '\r' {
		return o, 0, 0, errBadOrigin
	}
	line := string(p[len(signatureV1) : end-1])
	if line == "UNKNOWN" || strings.HasPrefix(line, "UNKNOWN ") {
		return o, end + 1, 0, nil // what follows is to be ignored
	}
	f := strings.Split(line, " ")
	if len(f) != 5 || f[0] != "TCP4" && f[0] != "TCP6" {
		return o, 0, 0, errBadOrigin
	}
	src, ok1 := end4or6(f[0], f[1], f[3])
	dst, ok2 := end4or6(f[0], f[2], f[4])
	if !ok1 || !ok2 {
		return o, 0, 0, errBadOrigin
	}
	return origin{src, dst}, end + 1, 0, nil
}

// missing returns how many bytes an unfinished line lacks at least.
func missing(p []byte) int {
	if len(p) < len("PROXY UNKNOWN") {
		return len("PROXY UNKNOWN\r\n") - len(p)
	}
	least := 2
	if p[len(p)-1] == '\r' {
		least = 1
	}
	if p[len(signatureV1)] == 'U' {
		return least
	}
	// Each field that has not begun takes a space and a digit.
	if fields := 5 - bytes.Count(p, []byte(" ")); fields > 0 {
		least += 2 * fields
	}
	return least
}

func end4or6(family, address, port string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(address)
	n, ok := parsePort(port)
	if err != nil || !ok || a.Zone() != "" || a.Is4() != (family == "TCP4") {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), n), true
}

// parsePort takes digits without a sign and without zeros ahead.
func parsePort(s string) (uint16, bool) {
	if s == "" || s[0] == '0' && s != "0" || s[0] == '+' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}

// parseBinary reads a header of version 2 (section 2.2). What it may carry
// beside the addresses is skipped.
func parseBinary(p []byte) (o origin, n, more int, err error) {
	if m := min(len(p), len(signatureV2)); string(p[:m]) != signatureV2[:m] {
		return o, 0, 0, errNoOrigin
	}
	if len(p) < fixedV2 {
		return o, 0, fixedV2 - len(p), nil
	}
	version, command := p[12]>>4, p[12]&15
	family, transport := p[13]>>4, p[13]&15
	length := int(binary.BigEndian.Uint16(p[14:]))
	if version != 2 || command > 1 || family > 3 || transport > 2 || length > maxV2 {
		return o, 0, 0, errBadOrigin
	}
	if n = fixedV2 + length; len(p) < n {
		return o, 0, n - len(p), nil
	}
	body := p[fixedV2:n]
	size := [...]int{0, 12, 36, 216}[family]
	if command == 0 { // LOCAL: the proxy itself, as for a health check
		return o, n, 0, nil
	}
	if len(body) < size {
		return o, 0, 0, errBadOrigin
	}
	if transport != 1 { // not a stream
		return o, n, 0, nil
	}
	at := func(i, size int) netip.Addr {
		a, _ := netip.AddrFromSlice(body[i : i+size])
		return a.Unmap()
	}
	port := func(i int) uint16 { return binary.BigEndian.Uint16(body[i:]) }
	switch family {
	case 1:
		o = origin{netip.AddrPortFrom(at(0, 4), port(8)), netip.AddrPortFrom(at(4, 4), port(10))}
	case 2:
		o = origin{netip.AddrPortFrom(at(0, 16), port(32)), netip.AddrPortFrom(at(16, 16), port(34))}
	}
	return o, n, 0, nil
}
