// Package golden plays exchanges that are written down in a file against a
// plugin, and compares what came out with what the file says. There is no
// gateway and no network: the plugin runs in the gateway's own WebAssembly host,
// and the file answers what the plugin asks for.
package golden
