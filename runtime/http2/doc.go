// Package http2 is the HTTP/2 front end (RFC 9113): golang.org/x/net/http2
// adapted to exchanges. It knows requests and responses; framing, flow control
// and the defences of the protocol are the library's.
//
// It must not know routes, upstreams or configuration.
package http2
