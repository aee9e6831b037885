// Package fuel rewrites a WebAssembly module such that its host can interrupt
// it: between any two points in time that are further apart than a slice of
// fuel the guest calls the host, which lets it go on or ends it. Recursion has a
// budget in the same way, and tables a maximum.
//
// Bytes go in and bytes come out. The package knows the binary format (W3C
// WebAssembly Core Specification 2.0, chapter 5, with tail calls and extended
// constant expressions), not an engine, and it does not validate: whatever is
// wrong with the types of a module is still wrong afterwards, for the engine to
// find. What it must know to keep a guest from reaching what it adds, it checks.
package fuel
