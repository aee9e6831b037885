// Package http1 is our own HTTP/1.1 (RFC 9112): a strict parser of message
// heads, body framing, the server's side of a connection and the client's.
//
// Parsers are pure functions over bytes. What they do not accept is refused, not
// repaired: two readers of one message that disagree where it ends are how
// requests get smuggled. For the same reason messages are always re-framed:
// nothing of a peer's framing is passed on.
//
// A connection is served by one goroutine, which reads and writes the socket
// itself. Buffers are borrowed while a message is under way and given back
// while the connection waits.
//
// The package knows bytes, connections and exchanges. It must not know routes,
// filters, pools of upstreams or configuration, and makes no error pages: a
// Refuser does.
package http1
