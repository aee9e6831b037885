// Package native is the host side of the native plugin ABI: the functions of
// the http-wasm handler ABI (module http_handler) and Headgate's extension of
// it (module headgate_v1). sdk/ABI.md is the normative text.
//
// It translates between guest memory and one exchange. It must not know pools,
// limits or where instances come from.
package native
