package exchange

// Name identifies a header field name that the gateway itself looks at. Parsers
// classify each field once, so that nothing on the hot path compares names
// again. Other names are NameOther.
type Name uint8

// The names that the core knows.
const (
	NameOther Name = iota
	NameAccept
	NameAltSvc
	NameAuthorization
	NameConnection
	NameContentLength
	NameContentType
	NameCookie
	NameDate
	NameExpect
	NameForwarded
	NameHost
	NameKeepAlive
	NameLocation
	NameProxyAuthenticate
	NameProxyAuthorization
	NameProxyConnection
	NameServer
	NameTE
	NameTrailer
	NameTransferEncoding
	NameUpgrade
	NameVia
	NameXForwardedClientCert
	NameXForwardedFor
	NameXForwardedHost
	NameXForwardedPort
	NameXForwardedProto
	nameCount
)

var nameText = [nameCount]string{
	NameAccept:               "accept",
	NameAltSvc:               "alt-svc",
	NameAuthorization:        "authorization",
	NameConnection:           "connection",
	NameContentLength:        "content-length",
	NameContentType:          "content-type",
	NameCookie:               "cookie",
	NameDate:                 "date",
	NameExpect:               "expect",
	NameForwarded:            "forwarded",
	NameHost:                 "host",
	NameKeepAlive:            "keep-alive",
	NameLocation:             "location",
	NameProxyAuthenticate:    "proxy-authenticate",
	NameProxyAuthorization:   "proxy-authorization",
	NameProxyConnection:      "proxy-connection",
	NameServer:               "server",
	NameTE:                   "te",
	NameTrailer:              "trailer",
	NameTransferEncoding:     "transfer-encoding",
	NameUpgrade:              "upgrade",
	NameVia:                  "via",
	NameXForwardedClientCert: "x-forwarded-client-cert",
	NameXForwardedFor:        "x-forwarded-for",
	NameXForwardedHost:       "x-forwarded-host",
	NameXForwardedPort:       "x-forwarded-port",
	NameXForwardedProto:      "x-forwarded-proto",
}

// String returns the name in lower case, "" for NameOther.
func (n Name) String() string { return nameText[n] }

// HopByHop reports whether a field of this name belongs to one connection only
// and is never forwarded (RFC 9110 section 7.6.1). Content-Length is not one of
// them: it is forwarded, but always written from the message's Length.
func (n Name) HopByHop() bool {
	switch n {
	case NameConnection, NameKeepAlive, NameProxyConnection, NameProxyAuthenticate,
		NameProxyAuthorization, NameTE, NameTrailer, NameTransferEncoding, NameUpgrade:
		return true
	}
	return false
}

// Classify returns the Name of a field name in any case.
func Classify[T ~string | ~[]byte](name T) Name {
	var n Name
	switch len(name) {
	case 2:
		n = NameTE
	case 3:
		n = NameVia
	case 4:
		if name[0]|0x20 == 'h' {
			n = NameHost
		} else {
			n = NameDate
		}
	case 6:
		switch name[0] | 0x20 {
		case 'a':
			n = NameAccept
		case 'c':
			n = NameCookie
		case 'e':
			n = NameExpect
		default:
			n = NameServer
		}
	case 7:
		switch name[0] | 0x20 {
		case 'a':
			n = NameAltSvc
		case 'u':
			n = NameUpgrade
		default:
			n = NameTrailer
		}
	case 8:
		n = NameLocation
	case 9:
		n = NameForwarded
	case 10:
		if name[0]|0x20 == 'c' {
			n = NameConnection
		} else {
			n = NameKeepAlive
		}
	case 12:
		n = NameContentType
	case 13:
		n = NameAuthorization
	case 14:
		n = NameContentLength
	case 15:
		n = NameXForwardedFor
	case 16:
		switch name[12] | 0x20 {
		case 'h':
			n = NameXForwardedHost
		case 'p':
			n = NameXForwardedPort
		default:
			n = NameProxyConnection
		}
	case 17:
		if name[0]|0x20 == 't' {
			n = NameTransferEncoding
		} else {
			n = NameXForwardedProto
		}
	case 18:
		n = NameProxyAuthenticate
	case 19:
		n = NameProxyAuthorization
	case 23:
		n = NameXForwardedClientCert
	default:
		return NameOther
	}
	if EqualFold(name, nameText[n]) {
		return n
	}
	return NameOther
}

// maxAlias is the length of the longest name with a dash.
const maxAlias = len("x-forwarded-client-cert")

// Alias reports whether name is one that the gateway looks at, but for underscores
// in the place of dashes. CGI makes one variable of both, so that a backend could
// take X_Forwarded_For for what the gateway says: no front end lets one in.
func Alias[T ~string | ~[]byte](name T) bool {
	if len(name) > maxAlias {
		return false
	}
	var dashed [maxAlias]byte
	found := false
	for i := range len(name) {
		if dashed[i] = name[i]; name[i] == '_' {
			dashed[i], found = '-', true
		}
	}
	return found && Classify(dashed[:len(name)]) != NameOther
}

// EqualFold reports whether name equals lower, which is ASCII in lower case,
// whatever the case of name. Only ASCII letters fold (RFC 9110 section 5.1).
func EqualFold[T ~string | ~[]byte](name T, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
