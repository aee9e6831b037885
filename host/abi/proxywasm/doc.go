// Package proxywasm is the host side of the proxy-wasm ABI, versions 0.2.1, 0.2.0
// and 0.1.0 (https://github.com/proxy-wasm/spec): what a filter made for Envoy
// imports and exports. Where the text and Envoy differ, it does as Envoy does.
//
// A stream of the ABI is an Exchange. One guest has many of them; calls into it
// happen one at a time. A guest that pauses a stream parks the goroutine of the
// exchange, or the one that sends its body, so that the engine sees calls that
// return when they are done. The package must not know pools or limits.
package proxywasm
