# METADATA
# description: Ranges of addresses.
package headgate.ip

# in_any reports whether an address is in one of the ranges, such as "10.0.0.0/8".
in_any(address, ranges) if {
	some r in ranges
	net.cidr_contains(r, address)
}

# private reports whether an address is of a private network, a loopback or a
# link-local one (RFC 1918, RFC 4193, RFC 4291, RFC 3927).
private(address) if in_any(address, [
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
	"fc00::/7", "fe80::/10", "::1/128",
])
