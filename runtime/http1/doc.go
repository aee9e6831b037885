// Package http1 is our HTTP/1.1 (RFC 9112): a strict head parser, body framing,
// the server's side of a connection and the client's.
//
// The parser is a pure function over bytes. Messages are always re-framed:
// nothing of a peer's framing is passed on. The package knows connections and
// exchanges; it must not know routes, upstreams or configuration.
package http1
