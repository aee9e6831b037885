// Package source gets WebAssembly modules from where a configuration says that
// they are: an https URL with a digest, or an OCI registry. What it got it keeps
// by digest, with a lock file that says which digest a name stood for, so that a
// gateway that ran before starts without a network, and with the same modules.
package source
