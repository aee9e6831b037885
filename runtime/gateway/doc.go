// Package gateway assembles the parts into a running gateway: it starts them,
// replaces one generation of the configuration by the next, and stops them. The
// lists of what exists are here and in config, written out.
//
// Nothing imports it but commands. It holds no policy of its own: what a
// request meets is decided below it.
package gateway
