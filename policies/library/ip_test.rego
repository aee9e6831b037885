package headgate.ip_test

import data.headgate.ip

test_in_any if {
	ip.in_any("10.1.2.3", ["192.168.0.0/16", "10.0.0.0/8"])
	ip.in_any("2001:db8::1", ["2001:db8::/32"])
	not ip.in_any("11.1.2.3", ["10.0.0.0/8"])
	not ip.in_any("10.1.2.3", [])
}

test_private if {
	ip.private("192.168.1.1")
	ip.private("::1")
	ip.private("fd00::7")
	not ip.private("8.8.8.8")
	not ip.private("2001:db8::1")
}
