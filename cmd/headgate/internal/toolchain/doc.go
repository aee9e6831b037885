// Package toolchain builds plugins: it tells which language a project is written
// in, runs the compiler of that language with the flags that plugins need, and
// puts the schema of the configuration into the module. It also reads what a
// module consists of. It runs no module.
package toolchain
