package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Origin is where a filter may send requests without an upstream block: a scheme,
// a host and a port (RFC 6454 section 4).
type Origin struct {
	Text    string // as a URL begins: https://HOST, with the port if it is written
	Address string // host:port
	host    string
	secure  bool
}

// ParseOrigin understands http://HOST and https://HOST, each with an optional port.
func ParseOrigin(text string) (Origin, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Origin{}, fmt.Errorf("%q is not http:// or https:// and a host", text)
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return Origin{}, errors.New("an origin has neither a path nor a password")
	}
	o := Origin{Text: u.Scheme + "://" + strings.ToLower(u.Host), host: u.Hostname(), secure: u.Scheme == "https"}
	port := u.Port()
	switch {
	case port != "":
	case o.secure:
		port = "443"
	default:
		port = "80"
	}
	o.Address = net.JoinHostPort(o.host, port)
	return o, nil
}

// Config returns the cluster of an origin. It has the name of the origin.
func (o Origin) Config() Config {
	c := Config{Name: o.Text, Endpoints: []EndpointConfig{{Address: o.Address}}}
	if o.secure {
		c.TLS = &TLS{ServerName: o.host}
		c.Auto = true
	}
	return c
}
