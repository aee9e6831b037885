package upstream

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/headgate/headgate/runtime/exchange"
)

// dialFor connects and sends the PROXY header, if there is to be one. A socket
// that is new takes it without waiting.
func (e *Endpoint) dialFor(ctx context.Context, client *exchange.Conn, counts bool) (net.Conn, error) {
	nc, err := e.dialer.DialContext(ctx, e.network, e.address)
	if counts {
		nc, err = e.pool.count(nc, err)
	}
	if err != nil || e.key.proxy == "" {
		return nc, err
	}
	if _, err := nc.Write(proxyHeader(e.key.proxy, client)); err != nil {
		nc.Close()
		return nil, fmt.Errorf("PROXY header: %w", err)
	}
	return nc, nil
}

// proxyHeader tells the two ends of the connection of client. Without them (a Unix
// socket, or the gateway on its own account) it says that it doesn't know.
// https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt
func proxyHeader(version string, client *exchange.Conn) []byte {
	var peer, local netip.AddrPort
	if client != nil {
		peer, local = client.Peer, client.Local
	}
	known := peer.IsValid() && local.IsValid() && peer.Addr().Is4() == local.Addr().Is4()
	if version == "v1" {
		return proxyText(peer, local, known)
	}
	return proxyBinary(peer, local, known)
}

// proxyText is section 2.1.
func proxyText(peer, local netip.AddrPort, known bool) []byte {
	if !known {
		return []byte("PROXY UNKNOWN\r\n")
	}
	family := "TCP6"
	if peer.Addr().Is4() {
		family = "TCP4"
	}
	return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, peer.Addr(), local.Addr(), peer.Port(), local.Port())
}

const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyLocal     = 0x20 // version 2, LOCAL
	proxyProxy     = 0x21 // version 2, PROXY
	proxyTCP4      = 0x11
	proxyTCP6      = 0x21
)

// proxyBinary is section 2.2.
func proxyBinary(peer, local netip.AddrPort, known bool) []byte {
	b := []byte(proxySignature)
	if !known {
		return append(b, proxyLocal, 0, 0, 0)
	}
	family := byte(proxyTCP6)
	if peer.Addr().Is4() {
		family = proxyTCP4
	}
	from, to := peer.Addr().AsSlice(), local.Addr().AsSlice()
	b = append(b, proxyProxy, family)
	b = binary.BigEndian.AppendUint16(b, uint16(2*len(from)+4))
	b = append(append(b, from...), to...)
	b = binary.BigEndian.AppendUint16(b, peer.Port())
	return binary.BigEndian.AppendUint16(b, local.Port())
}
