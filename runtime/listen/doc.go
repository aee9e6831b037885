// Package listen owns the sockets that clients connect to. They outlive
// configurations: a socket that a new one keeps never stops accepting, and
// connections of a socket that it drops end when their exchanges do.
//
// It hands connections to the protocol packages and knows nothing of routes.
package listen
