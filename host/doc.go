// Package host runs WebAssembly plugins: it compiles modules, keeps bounded
// pools of instances, enforces their limits and grants, and makes an
// exchange.Filter of a plugin and its configuration.
//
// It knows one wazero runtime and the vocabulary of package exchange. It must
// not know configuration files, routes, metrics or the network: what it needs
// of those it declares as small interfaces that its owner passes in. The
// functions that guests import are in the packages below host/abi.
package host
